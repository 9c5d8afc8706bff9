"""Django, set up for a peer that is an app of a site; for the workers too, which inherit the environment."""

import os

import django
from django.core.management import call_command


def set_up(app: str) -> None:
    os.environ.update({"DJANGO_SETTINGS_MODULE": "benchmarks.site.settings", "BENCH_APPS": app})
    django.setup()


def migrate() -> None:
    call_command("migrate", verbosity=0)
