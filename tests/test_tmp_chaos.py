"""Several at once, each with a connection of its own: nobody is lost, nobody sees a deadlock."""

import random
import threading

import pytest
from django.db import connections

from conveyor_django import transitions
from conveyor_django.exceptions import InvalidJobState
from conveyor_django.ids import new_id
from conveyor_django.models import Job
from conveyor_django.outcomes import Completed, Failed
from conveyor_django.states import FINISHED, JobState

from .helpers import USING, add, fail, finish, job, node, report, report_of, start, states

pytestmark = pytest.mark.django_db(transaction=True)

POLICIES = ("fail", "ignore", "remove")


def at_once(*functions):
    """Run these at the same time; raises what any of them raised."""
    barrier = threading.Barrier(len(functions))
    errors = []

    def run(function):
        try:
            barrier.wait(20)
            function()
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=[function]) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
        assert not thread.is_alive(), "it hangs"
    if errors:
        raise errors[0]


def reporting(name, outcome):
    leased = start(name)
    return lambda: report(leased.worker, report_of(leased, outcome))


@pytest.mark.parametrize("size", [2, 8])
def test_siblings_that_complete_at_once_release_their_parent(size):
    names = [f"n{index}" for index in range(size)]
    add(node("root", node("parent", *map(node, names))))
    at_once(*(reporting(name, Completed(name)) for name in names))
    assert states()["parent"] == "waiting"
    assert list(job("parent").get_children_values().values()) == names


@pytest.mark.parametrize("policy", POLICIES)
def test_siblings_that_fail_at_once(policy):
    names = [f"n{index}" for index in range(6)]
    add(node("root", node("parent", *map(node, names), policy=policy)))
    at_once(*(reporting(name, Failed(name)) for name in names))
    assert {name: states()[name] for name in names} == dict.fromkeys(names, "failed")
    if policy == "fail":
        assert (states()["parent"], states()["root"]) == ("failed", "failed")
        first = Job.objects.get(pk=job("parent").failed_by)
        assert job("parent").failed_reason == f"child {first.pk} failed: {first.failed_reason}"
    elif policy == "ignore":
        assert (states()["parent"], states()["root"]) == ("waiting", "waiting-children")
    else:
        assert states()["root"] == "waiting"
        assert Job.objects.roots().count() == 7


def test_a_failure_and_a_cancel_of_the_tree():
    for _ in range(5):
        add(node("root", node("middle", node("leaf"), node("other"))))
        at_once(reporting("leaf", Failed("boom")), lambda: quietly(job("root").cancel))
        assert states()["root"] in ("failed", "cancelled")
        assert set(states().values()) <= {"failed", "cancelled"}
        job("root").remove()


def test_a_retry_of_the_parent_and_a_failing_sibling():
    for _ in range(5):
        add(node("root", node("parent", node("a"), node("b"))))
        failing = reporting("b", Failed("b"))
        fail("a")
        at_once(failing, lambda: job("root").retry())
        # whoever came first: a parent that waits for children has none that failed
        assert states()["a"] == "waiting"
        if states()["root"] == "failed":
            assert states()["b"] == "failed"
        else:
            assert states()["b"] == "waiting"
        job("root").remove()


def test_retries_of_all_children_at_once_reopen_their_parent_once():
    names = [f"n{index}" for index in range(6)]
    add(node("root", node("parent", *map(node, names))))
    for name in names:
        fail(name)
    at_once(*(job(name).retry for name in names))
    assert states() == dict.fromkeys(("root", "parent"), "waiting-children") | dict.fromkeys(names, "waiting")
    assert (job("root").pending_children, job("parent").pending_children) == (1, 6)
    assert job("parent").failed_by is None


def test_one_cancel_wins_over_many():
    add(node("root", node("parent", node("leaf"))))
    taken = []

    def cancel():
        if quietly(job("parent").cancel):
            taken.append(1)

    at_once(*[cancel] * 5)
    assert len(taken) == 1
    assert states() == {"root": "failed", "parent": "cancelled", "leaf": "cancelled"}


def test_claims_at_once_never_share_a_job():
    add(*(node(f"n{index}") for index in range(40)))
    claimed = []
    at_once(
        *[lambda: claimed.extend(transitions.claim(USING, new_id(), ["q"], 4, leased=False)) for _ in range(8)],
    )
    assert len({j.pk for j in claimed}) == len(claimed)
    assert Job.objects.active().count() == len(claimed)
    assert set(Job.objects.values_list("epoch", flat=True)) <= {0, 1}


def quietly(verb):
    """Whether it was done, or came too late."""
    try:
        verb()
    except (InvalidJobState, Job.DoesNotExist):
        return False
    return True


# All of it, in no order


class Chaos:
    """Does what comes to its mind to whatever jobs there are."""

    def __init__(self, seed, steps):
        self.random = random.Random(seed)
        self.steps = steps
        self.worker = new_id()

    def __call__(self):
        for _ in range(self.steps):
            action = self.random.choices([self.work, self.cancel, self.retry, self.remove, self.tidy], [8, 2, 3, 1, 1])
            action[0]()

    def pick(self, *states):
        jobs = list(Job.objects.in_state(*states)) if states else list(Job.objects.all())
        return self.random.choice(jobs) if jobs else None

    def work(self):
        leased = transitions.claim(USING, self.worker, None, self.random.randint(1, 5), leased=False)
        ways = [Completed(1), Failed("boom"), Failed("later", retry_in=0), Failed("never", discarded=True)]
        reports = [report_of(j, self.random.choice(ways)) for j in leased]
        self.random.shuffle(reports)
        report(self.worker, *reports)

    def cancel(self):
        if target := self.pick(*set(JobState) - FINISHED):
            quietly(target.cancel)

    def retry(self):
        if target := self.pick(*FINISHED):
            quietly(target.retry)

    def remove(self):
        if target := self.pick():
            quietly(target.remove)

    def tidy(self):
        transitions.tidy(USING)


def grow(random, depth):
    opts = {
        "policy": random.choice(POLICIES),
        "attempts": random.randint(1, 2),
        "remove_on_complete": random.random() < 0.1,
        "remove_on_fail": random.random() < 0.1,
    }
    children = [grow(random, depth - 1) for _ in range(random.randint(1, 3))] if depth else []
    return node("job", *children, queue=random.choice("ab"), **opts)


@pytest.mark.parametrize("seed", range(100, 150))
def test_anything_at_any_time(seed):
    """The counts are exact afterwards (the fixture looks), and what is left can be brought to its end."""
    order = random.Random(seed)
    add(*(grow(order, 3) for _ in range(8)))
    at_once(*(Chaos(f"{seed}-{number}", 60) for number in range(6)))
    worker = new_id()
    while jobs := transitions.claim(USING, worker, None, 50, leased=False):
        report(worker, *(report_of(j, Completed()) for j in jobs))
    assert not Job.objects.unfinished().exists()  # nobody waits for what never comes


def test_finish_helper_reports_what_it_leased():
    add(node("a"))
    finish("a", 1)
    assert states() == {"a": "completed"}
