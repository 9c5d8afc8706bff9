import pytest
from django.db.models import Count, F, Q

from conveyor_django import registry
from conveyor_django.models import Job
from conveyor_django.states import UNFINISHED


@pytest.fixture(autouse=True)
def exact_counts(db):
    """After every test: `pending_children` is the number of unfinished children."""
    yield
    unfinished = Count("children", filter=Q(children__state__in=UNFINISHED))
    wrong = Job.objects.annotate(unfinished=unfinished).exclude(pending_children=F("unfinished"))
    assert not [(str(job), job.state, job.pending_children, job.unfinished) for job in wrong]


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    """Processors that a test registers are gone after it."""
    monkeypatch.setattr(registry, "processors", dict(registry.processors))
    monkeypatch.setattr(registry, "conflicts", list(registry.conflicts))
    monkeypatch.setattr(registry, "_backoffs", dict(registry._backoffs))
