"""What workers count by the minute, and what the overview makes of it."""

import random
from collections import Counter
from datetime import timedelta
from statistics import quantiles
from types import SimpleNamespace

import pytest
from django.db import DatabaseError
from django.utils import timezone

from conveyor_django import FlowProducer, Queue, Worker, processor
from conveyor_django.admin.overview_rates import DAY, HOUR, MINUTE, read_rates
from conveyor_django.admin.sparkline import HEIGHT, WIDTH, sparkline
from conveyor_django.models import QueueMinute
from conveyor_django.outcomes import Completed, Delayed, Failed
from conveyor_django.spreads import merged, quantile, step_of
from conveyor_django.worker.tally import KEPT, Tally, forget_old_minutes
from tests.helpers import node

USING = "default"


def attempt(queue_name="q", *, claimed_at=None, waited=1.0, ran=0.0, made=1, most=1):
    claimed_at = claimed_at or timezone.now()
    return SimpleNamespace(
        queue_name=queue_name,
        claimed_at=claimed_at,
        waiting_since=claimed_at - timedelta(seconds=waited),
        started=0.0,
        ended_at=0.0,
        attempts_made=made,
        max_attempts=most,
    )


def sums():
    return Counter(
        {
            (row.queue_name, word): sum(
                getattr(each, word) for each in QueueMinute.objects.filter(queue_name=row.queue_name)
            )
            for row in QueueMinute.objects.all()
            for word in ("completed", "failed")
        }
    )


# Durations


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_a_quantile_is_near_the_true_one(share):
    rng = random.Random(7)
    spans = [rng.lognormvariate(0, 2) for _ in range(5_000)]
    found = quantile(Counter(map(step_of, spans)), share)
    true = quantiles(spans, n=100)[round(100 * share) - 1]
    assert abs(found - true) / true < 0.15


def test_a_quantile_of_nothing():
    assert quantile({}, 0.5) is None
    assert quantile({0: 3}, 0.5) < 0.001
    assert step_of(0) == step_of(-5) == 0
    assert step_of(10**9) == step_of(10**12)


def test_spreads_are_added_up():
    assert merged([{"3": 1, "5": 2}, {"5": 1}]) == {3: 1, 5: 3}


# Counting


@pytest.mark.django_db(transaction=True)
def test_a_worker_counts_what_ended_for_good(own_registry):
    @processor("rates", attempts=2)
    def work(job):
        if job.data.get("fails"):
            raise ValueError

    @processor("rates-parents")
    def parent(job):
        raise AssertionError  # its child fails

    Queue("rates").add_bulk([("job", {})] * 5 + [("job", {"fails": True})] * 2)
    FlowProducer().add(node("parent", node("child", queue="rates", data={"fails": True}), queue="rates-parents"))
    Worker(["rates", "rates-parents"], concurrency=2).run(until_idle=True)
    assert sums() == {("rates", "completed"): 5, ("rates", "failed"): 3}
    counted = merged(QueueMinute.objects.values_list("ran", flat=True))
    assert counted.total() == merged(QueueMinute.objects.values_list("waited", flat=True)).total() == 8


@pytest.mark.django_db
def test_what_goes_on_is_not_counted():
    tally = Tally(USING)
    tally.add(attempt(made=1, most=3), Failed("again"))
    tally.add(attempt(), Delayed(3))
    tally.write()
    assert not QueueMinute.objects.exists()
    tally.add(attempt(made=1, most=3), Failed("no more", discarded=True))
    tally.write()
    assert sums() == {("q", "completed"): 0, ("q", "failed"): 1}


@pytest.mark.django_db
def test_a_minute_is_one_row_of_each_worker():
    tallies = [Tally(USING), Tally(USING)]
    now = timezone.now()
    for _ in range(3):
        for tally in tallies:
            tally.add(attempt(claimed_at=now), Completed(1))
            tally.write()
    assert QueueMinute.objects.count() == 2
    assert sums()["q", "completed"] == 6


@pytest.mark.django_db
def test_what_is_written_is_not_written_again(django_assert_num_queries):
    tally = Tally(USING)
    tally.add(attempt(), Completed(1))
    tally.write()
    with django_assert_num_queries(0):
        tally.write()


@pytest.mark.django_db
def test_a_database_that_is_away_costs_nothing_but_time(monkeypatch):
    tally = Tally(USING)
    tally.add(attempt(), Completed(1))

    def away(*arguments, **options):
        raise DatabaseError

    with monkeypatch.context() as patch:
        patch.setattr("conveyor_django.worker.tally._save", away)
        tally.write()  # says so, and no more
    tally.add(attempt(), Completed(1))
    tally.write()
    assert sums()["q", "completed"] == 2


@pytest.mark.django_db
def test_what_waits_for_a_database_is_bounded(monkeypatch):
    monkeypatch.setattr("conveyor_django.worker.tally._MAX_PENDING", 5)
    monkeypatch.setattr("conveyor_django.worker.tally._save", lambda *_: 1 / 0)
    tally = Tally(USING)
    for number in range(20):
        tally.add(attempt(f"q-{number}"), Completed(1))
    tally.write()
    assert [name for name, _ in tally._minutes] == [f"q-{number}" for number in range(15, 20)]


@pytest.mark.django_db
def test_old_minutes_are_forgotten():
    now = timezone.now()
    for ago in (KEPT + MINUTE, KEPT - MINUTE):
        QueueMinute.objects.create(queue_name="q", minute=now - ago)
    forget_old_minutes(USING)
    assert [row.minute for row in QueueMinute.objects.all()] == [now - KEPT + MINUTE]


# Reading


def minute(queue_name, when, completed=0, failed=0, **spreads):
    when = when.replace(second=0, microsecond=0)
    QueueMinute.objects.create(queue_name=queue_name, minute=when, completed=completed, failed=failed, **spreads)


@pytest.mark.django_db
@pytest.mark.parametrize(("span", "slots"), [(HOUR, 60), (DAY, 48)])
def test_rates_of_a_window(span, slots):
    now = timezone.now().replace(minute=47, second=30)
    minute("q", now - MINUTE, completed=3, failed=1, waited={"10": 4}, ran={"20": 4})
    minute("q", now - MINUTE, completed=2)  # of another worker
    minute("q", now - span / 2, completed=10)
    minute("q", now - span - timedelta(minutes=31), completed=1_000)
    minute("other", now, failed=1)
    rates = read_rates(USING, now, span)
    rate = rates["q"]
    assert len(rate.points) == slots
    assert rate.finished == sum(rate.points) == 16
    assert rate.points[-2 if span == HOUR else -1] == 6
    assert 10 in rate.points[slots // 2 - 2 : slots // 2 + 2]
    assert rate.last_minute == 6
    assert sum(rate.failures) == rate.failed == 1
    assert rate.took(0.5, waiting=True) < rate.took(0.5, waiting=False)
    assert rates["other"].failure_share == 1


@pytest.mark.django_db
@pytest.mark.parametrize("span", [HOUR, DAY])
def test_reading_takes_as_many_statements_for_many_queues(span, django_assert_num_queries):
    now = timezone.now()
    for number in range(30):
        minute(f"q-{number}", now - number * MINUTE, completed=1)
    with django_assert_num_queries(3):
        read_rates(USING, now, span)


@pytest.mark.django_db
def test_a_sparkline_stays_in_its_box():
    now = timezone.now()
    minute("q", now - 20 * MINUTE, completed=5, failed=5)
    minute("q", now - MINUTE, completed=20)
    drawn = sparkline(read_rates(USING, now, HOUR)["q"])
    places = [tuple(map(float, point.split(","))) for point in drawn.line.split()]
    assert len(places) == 60
    assert all(0 <= x <= WIDTH and 0 < y < HEIGHT for x, y in places)
    assert min(y for _, y in places) == 1
    assert len(drawn.ticks) == 1
    assert sparkline(None) is None
