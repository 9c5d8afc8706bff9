"""The tests' settings with the app whose processors do as their jobs' data say."""

from tests.settings import *  # noqa: F403

INSTALLED_APPS = ["conveyor_django", "tests.chaos.app"]
ROOT_URLCONF = None  # no pages
