"""The German translation is whole: a text that was added or changed without it is noticed here."""

import gettext
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.utils import translation

from conveyor_django.states import JobState
from tests.factories import JobFactory

PACKAGE = Path(__file__).resolve().parent.parent / "conveyor_django"
GERMAN = PACKAGE / "locale/de/LC_MESSAGES"
HTML = re.compile(r"<[^>]+>")


def compiled():
    with (GERMAN / "django.mo").open("rb") as file:
        return gettext.GNUTranslations(file)._catalog


@pytest.fixture
def collected(tmp_path):
    """The catalogue as makemessages writes it now, beside the translations that are there."""
    copy = shutil.copytree(PACKAGE, tmp_path / "package", ignore=shutil.ignore_patterns("__pycache__", "*.mo"))
    command = [sys.executable, "-m", "django", "makemessages", "--locale", "de", "--no-obsolete"]
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    subprocess.run(command, cwd=copy, check=True, capture_output=True, env=environment)
    return copy / "locale/de/LC_MESSAGES/django.po"


@pytest.mark.skipif(not shutil.which("msgfmt") and os.environ.get("CI") != "true", reason="needs gettext")
def test_every_text_is_translated_and_compiled(collected):
    statistics = subprocess.run(
        ["msgfmt", "--check", "--statistics", "--output-file", os.devnull, collected],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    ).stderr
    assert re.fullmatch(r"\d+ translated messages\.\n", statistics), f"make messages, and translate: {statistics}"
    texts = set(re.findall(r'^msgid "(.+)"$', collected.read_text(), re.MULTILINE))
    known = {key[0] if isinstance(key, tuple) else key for key in compiled()}
    assert {text.replace('\\"', '"') for text in texts if "\\n" not in text} <= known, "make messages"


def test_pages_speak_the_language_of_their_reader(admin_client, settings):
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, "django.middleware.locale.LocaleMiddleware"]
    job = JobFactory(name="job", queue_name="q")
    pages = {
        "overview/": "Braucht Aufmerksamkeit",
        "job/": "Wartet",
        f"job/{job.pk}/change/": "Worauf er wartet",
    }
    with translation.override(None):  # the middleware chooses for the thread, and not for the request alone
        for page, word in pages.items():
            answer = admin_client.get(f"/admin/conveyor_django/{page}", headers={"accept-language": "de"})
            assert word in HTML.sub(" ", answer.content.decode()), page


def test_the_words_of_states_stay_apart():
    with translation.override("de"):
        assert len({str(state.label) for state in JobState}) == len(JobState)
