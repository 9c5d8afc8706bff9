"""Claims that go on where the last ones ended, while those from the front take long."""

import pytest

from conveyor_django import Queue, processor
from conveyor_django.models import Job
from conveyor_django.states import JobState
from conveyor_django.transitions import Claiming, place, turn
from conveyor_django.worker import bookmarks
from conveyor_django.worker.bookmarks import Bookmarks

from .factories import WorkerProcessFactory
from .workers import work

LONG = 1000.0


def claiming(after=None, limit=2):
    return Claiming(["q"], limit, {"q": limit}, {}, after or {})


def test_a_slow_turn_may_be_chance():
    marks = Bookmarks()
    marks.note(claiming(), [("q", (0, 0, 1))], LONG)
    assert not marks.after()
    marks.note(claiming(), [("q", (0, 0, 2))], LONG)
    assert marks.after() == {"q": (0, 0, 2)}


def test_it_goes_on_behind_the_last_place():
    marks = Bookmarks()
    for _ in range(2):
        marks.note(claiming(), [("q", (0, 0, 2)), ("r", (1, 0, 4)), ("r", (0, 0, 5))], LONG)
    assert marks.after() == {"q": (0, 0, 2), "r": (1, 0, 4)}
    marks.note(claiming(marks.after()), [("q", (0, 0, 7)), ("q", (0, 0, 6))], LONG)
    assert marks.after() == {"q": (0, 0, 7), "r": (1, 0, 4)}


def test_it_looks_at_the_front_when_it_gets_less_than_it_could_take():
    marks = Bookmarks()
    for _ in range(2):
        marks.note(claiming(), [("q", (0, 0, 2)), ("q", (0, 0, 3))], LONG)
    marks.note(claiming(marks.after()), [("q", (0, 0, 4))], LONG)
    assert not marks.after()


def test_quick_turns_look_at_the_front():
    marks = Bookmarks()
    for seconds in (LONG, 0.0, LONG):
        marks.note(claiming(), [("q", (0, 0, 2))], seconds)
    assert not marks.after()


@pytest.mark.only_on("postgresql", reason="elsewhere what was claimed doesn't lie in the way of claims")
@pytest.mark.django_db(transaction=True)
def test_a_claim_takes_only_what_comes_after_the_place():
    worker = WorkerProcessFactory().pk
    Queue("q").add_bulk([("n", {"number": number}) for number in range(4)])
    urgent = Queue("q").add("n", {"number": 4}, {"priority": -1})
    second = Job.objects.exclude(pk=urgent.pk).order_by("pk")[1]
    for after, numbers in [({"q": place(second)}, [2, 3]), ({"other": place(second)}, [4, 0]), ({}, [1])]:
        done = turn("default", worker, [], claiming(after))
        assert [job.data["number"] for job in done.taken] == numbers


@pytest.mark.django_db(transaction=True)
def test_whatever_waits_is_processed(monkeypatch):
    """Also what comes to lie before the place: released parents, retries, urgent jobs."""
    monkeypatch.setattr(bookmarks, "_SLOW", -1.0)
    monkeypatch.setattr(bookmarks, "_TIMES", LONG)
    done = []

    @processor("q", "n")
    def note(job):
        done.append(job.data["number"])
        if job.data["number"] % 50 == 0 and job.attempts_made == 1:
            Queue("q").add("n", {"number": -job.data["number"] - 1}, {"priority": -1})
            raise ValueError("once more")

    Queue("q").add_bulk([("n", {"number": number}, {"attempts": 2}) for number in range(500)])
    work("q", concurrency=4)
    assert Job.objects.filter(state=JobState.COMPLETED).count() == len(set(done)) == 510
