"""Tracebacks are shown with the site's own frames open, whole and in order."""

import time
import traceback

from conveyor_django.admin.tracebacks import parts_of

OWN = '  File "/srv/shop/jobs.py", line 88, in render\n    load()\n    ^^^^^^\n'
LIBRARY = '  File "/srv/venv/lib/python3.12/site-packages/requests/api.py", line 1, in get\n    request()\n'
STANDARD = '  File "/usr/lib/python3.12/socket.py", line 2, in connect\n    connect()\n'
START = "Traceback (most recent call last):\n"


def shape(text):
    parts = parts_of(text)
    assert "\n".join(part.text for part in parts) == text.rstrip("\n")  # nothing is lost
    return [(part.kind, part.frames) for part in parts]


def test_frames_of_libraries_are_folded_together():
    text = START + LIBRARY + OWN + LIBRARY + STANDARD + "OSError: away\n"
    assert shape(text) == [("own", 0), ("library", 1), ("own", 1), ("library", 2), ("error", 0)]


def test_what_was_raised_may_have_lines():
    text = START + OWN + "ValueError: first\nsecond\n    third\n"
    assert shape(text)[-1] == ("error", 0)
    assert parts_of(text)[-1].text == "ValueError: first\nsecond\n    third"


def test_a_cause_stands_between():
    text = START + OWN + "KeyError: 'iban'\n\nThe above exception was the cause:\n\n" + START + LIBRARY + OWN + "E: x"
    assert shape(text) == [("own", 1), ("library", 1), ("own", 1), ("error", 0)]


def test_one_of_libraries_alone_is_shown():
    assert shape(START + LIBRARY + "OSError: away") == [("own", 1), ("error", 0)]


def test_texts_of_other_kinds_are_left_alone():
    for text in ("", "boom", "line\n\nline", "  File 'x'", '  File "'):
        assert all(kind == "own" or text.startswith("  File") for kind, _ in shape(text)[:1])


def test_a_real_one():
    try:
        int("x")
    except ValueError:
        text = traceback.format_exc()
    assert shape(text) == [("own", 1), ("error", 0)]


def test_it_takes_no_longer_than_the_text_has_lines():
    started = time.monotonic()
    assert shape(START + OWN + "E: x\n" * 100_000) == [("own", 1), ("error", 0)]
    assert time.monotonic() - started < 20  # if each line were to look at all that follow: a quarter of an hour
