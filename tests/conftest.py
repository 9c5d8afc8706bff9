import os

import pytest
from django.core.cache import cache
from django.db import connection

from conveyor_django import registry

from .helpers import wrong_counts

VENDOR = connection.vendor
ONE_CHANCE = ("test_chaos", "test_failpoints", "test_model", "test_races")


def pytest_collection_modifyitems(config, items):
    """Tests of what only some databases have are left out elsewhere: what is reported as skipped could have run.

    `--reruns` (see .ci/run) never hides a race: those tests run once.
    """
    left_out = [item for item in items if (mark := item.get_closest_marker("only_on")) and VENDOR not in mark.args]
    if os.environ.get("CONVEYOR_TEST_BROWSER") == "no":
        left_out += [item for item in items if item.get_closest_marker("browser")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]
    for item in items:
        if item.module.__name__.rpartition(".")[2] in ONE_CHANCE and not item.get_closest_marker("flaky"):
            item.add_marker(pytest.mark.flaky(reruns=0))


@pytest.fixture(autouse=True)
def fresh_cache():
    """What a test counted is not what the next one finds."""
    cache.clear()


@pytest.fixture(autouse=True)
def exact_counts(db):
    """After every test: `pending_children` is the number of unfinished children."""
    yield
    assert not wrong_counts()


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    """Processors that a test registers are gone after it."""
    monkeypatch.setattr(registry, "processors", dict(registry.processors))
    monkeypatch.setattr(registry, "conflicts", list(registry.conflicts))
    monkeypatch.setattr(registry, "_backoffs", dict(registry._backoffs))
