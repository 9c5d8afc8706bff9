"""The async forms, under ASGI (an event loop of its own thread) and where sync code runs async code."""

import asyncio

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.db import connections

from conveyor_django import FlowProducer, Queue, processor
from conveyor_django.exceptions import DuplicateJob, InvalidJobState, InvalidNode
from conveyor_django.models import Job
from conveyor_django.testing import adrain, drain

from .helpers import add, fail, finish, job, node, start, states

pytestmark = pytest.mark.django_db(transaction=True)


def under_asgi(function):
    async def run():
        try:
            await function()
        finally:
            await sync_to_async(connections.close_all)()

    asyncio.run(run())


@pytest.fixture(params=[under_asgi, lambda function: async_to_sync(function)()], ids=["under_asgi", "from_sync"])
def run(request):
    return request.param


def test_every_verb_that_writes_or_reads_has_an_async_form():
    for owner, verbs in (
        (FlowProducer, "add add_bulk get_flow"),
        (
            Queue,
            "add add_bulk get_job get_jobs count get_job_counts pause resume is_paused drain clean obliterate "
            "retry_jobs promote_jobs",
        ),
        (Job, "retry cancel remove promote get_children_values get_children_failures"),
    ):
        for verb in verbs.split():
            assert callable(getattr(owner, verb))
            assert callable(getattr(owner, f"a{verb}"))


def test_producers(run):
    async def use():
        producer = FlowProducer()
        result = await producer.aadd(node("root", node("child")))
        assert await producer.aget_flow(result.job.id) == result
        assert (await producer.aget_flow(result.job.id, depth=0)).children == []
        assert len(await producer.aadd_bulk([node("one"), node("two", job_id="x")])) == 2
        with pytest.raises(InvalidNode):
            await producer.aadd(node("bad", data=object()))
        with pytest.raises(DuplicateJob):
            await producer.aadd(node("bad", node("child", job_id="x")))

    run(use)
    assert states() == {"root": "waiting-children", "child": "waiting", "one": "waiting", "two": "waiting"}


def test_queues(run):
    async def use():
        queue = Queue("q")
        added = await queue.aadd("a", {"n": 1}, {"job_id": "x", "delay": 60})
        assert await queue.aget_job("x") == added
        await queue.aadd_bulk([("b", {}), ("c", {})])
        assert [j.name for j in await queue.aget_jobs("waiting")] == ["b", "c"]
        assert await queue.acount() == 3
        assert (await queue.aget_job_counts())["delayed"] == 1
        assert await queue.apromote_jobs() == 1
        await queue.apause()
        assert await queue.ais_paused()
        await queue.aresume()
        assert not await queue.ais_paused()
        assert await queue.aretry_jobs() == 0
        assert await queue.aclean("completed", 0) == 0
        assert await queue.adrain() == 3
        assert await queue.aobliterate() == 0

    run(use)
    assert states() == {}


def test_jobs(run):
    async def use():
        target = await Queue("q").aadd("a", opts={"delay": 60})
        await target.apromote()
        assert target.state == "waiting"
        with pytest.raises(InvalidJobState):
            await target.aretry()
        with pytest.raises(TimeoutError):
            await target.await_until_finished(0.01)
        await target.acancel()
        assert target.state == "cancelled"
        assert (await target.await_until_finished(0)).failed_reason == "cancelled"
        await target.aretry()
        assert target.state == "waiting"
        await target.aremove()
        with pytest.raises(Job.DoesNotExist):
            await target.acancel()

    run(use)
    assert states() == {}


def test_values(run):
    add(node("parent", node("a"), node("b"), policy="ignore"))
    finish("a", 1)
    fail("b", "why")
    parent = start("parent")

    async def use():
        assert list((await parent.aget_children_values()).values()) == [1]
        assert list((await parent.aget_children_failures()).values()) == ["why"]

    run(use)


def test_drain(run):
    @processor("q")
    async def work(job):
        return sum((await job.aget_children_values()).values()) + 1

    async def use():
        await FlowProducer().aadd(node("root", node("child")))
        assert await adrain("q") == 2

    run(use)
    assert job("root").return_value == 2
    assert drain("q") == 0
