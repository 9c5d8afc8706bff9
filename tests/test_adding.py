"""Adding flows and jobs: one transaction that joins the caller's, all or nothing, and the result is what is stored."""

from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from conveyor_django import FlowJob, FlowProducer, Queue
from conveyor_django.exceptions import ConveyorError, InvalidFlow, InvalidNode
from conveyor_django.ids import new_id, new_ids
from conveyor_django.models import Job

from .helpers import add, finish, job, node, parents, states

pytestmark = pytest.mark.django_db


def every(result):
    """All results of a tree, depth first."""
    stack, found = [result], []
    while stack:
        found.append(stack.pop())
        stack.extend(reversed(found[-1].children))
    return found


# What is stored


@pytest.mark.parametrize("children", [(), [], None, iter(())])
def test_a_node_without_children_is_an_ordinary_job(children):
    result = FlowProducer().add(FlowJob("job", "q", children=children))
    assert (result.job.state, result.children) == ("waiting", [])
    stored = job("job")
    assert (stored.parent_id, stored.root_id, stored.depth, stored.pending_children) == (None, stored.pk, 0, 0)


@pytest.mark.parametrize("kind", [list, tuple, iter, lambda nodes: (n for n in nodes)])
def test_children_may_be_any_iterable(kind):
    result = FlowProducer().add(FlowJob("root", "q", children=kind([node("a"), node("b")])))
    assert [child.job.name for child in result.children] == ["a", "b"]


def test_the_columns_of_a_tree():
    [result] = add(node("root", node("a", node("b"), node("c", delay=60)), node("d")))
    root = job("root")
    assert parents() == {"root": None, "a": "root", "b": "a", "c": "a", "d": "root"}
    rows = {j.name: j for j in Job.objects.all()}
    assert {j.root_id for j in rows.values()} == {root.pk}
    assert {name: j.depth for name, j in rows.items()} == {"root": 0, "a": 1, "d": 1, "b": 2, "c": 2}
    counts = {name: j.pending_children for name, j in rows.items()}
    assert counts == {"root": 2, "a": 2, "b": 0, "c": 0, "d": 0}
    # children have lower ids than their parents, siblings are in declared order
    assert list(Job.objects.order_by("pk").values_list("name", flat=True)) == ["b", "c", "a", "d", "root"]
    assert [child.name for child in root.children.order_by("pk")] == ["a", "d"]
    assert {r.job.id: r.job.state for r in every(result)} == {str(j.pk): j.state for j in rows.values()}
    for row in rows.values():
        assert (row.attempts_made, row.epoch, row.stalls, row.worker, row.started_at) == (0, 0, 0, None, None)
        assert abs(row.created_at - timezone.now()) < timedelta(minutes=5)


@pytest.mark.parametrize(
    ("delay", "leaf"), [(0, "waiting"), (60, "delayed"), (timedelta(days=1), "delayed"), (0.0001, "delayed")]
)
def test_states_of_the_result(delay, leaf):
    [result] = add(node("parent", node("child", delay=delay), delay=delay))
    assert result.job.state == "waiting-children"
    assert result.children[0].job.state == leaf
    assert states() == {"parent": "waiting-children", "child": leaf}


def test_a_delay_of_a_parent_counts_from_its_release():
    add(node("parent", node("child"), delay=3600))
    assert job("parent").run_at is None
    finish("child")
    released = job("parent")
    assert released.state == "delayed"
    assert released.run_at - job("child").finished_at == timedelta(hours=1)


def test_a_time_to_run_of_a_parent_holds_at_its_release():
    at = timezone.now() + timedelta(hours=1)
    add(
        node("early", node("a"), delay=at),
        node("late", node("b"), delay=timezone.now() - timedelta(hours=1)),
    )
    finish("a")
    finish("b")
    assert (job("early").state, job("early").run_at) == ("delayed", at)
    assert job("late").state == "waiting"


@pytest.mark.parametrize("data", [None, 0, "", [], {}, "text"])
def test_any_json_is_data(data):
    FlowProducer().add(FlowJob("flow", "q", data=data))
    added = Queue("q").add("queue", data)
    [bulk] = Queue("q").add_bulk([("bulk", data)])
    assert added.data == bulk.data == data
    assert [j.data for j in Job.objects.all()] == [data] * 3


def test_a_job_of_a_queue_is_what_is_stored():
    added = Queue("q").add("job", {"n": 1}, {"attempts": 3, "delay": 60, "backoff": {"delay": 2}, "timeout": 1})
    stored = Job.objects.get()
    fields = [field.attname for field in Job._meta.concrete_fields]
    assert {name: getattr(added, name) for name in fields} == {name: getattr(stored, name) for name in fields}
    assert (added._state.adding, added._state.db) == (False, "default")
    assert Queue("q").add("other").data == {}


def test_ids_ascend():
    ids = [*new_ids(3), new_id(), *new_ids(1000), new_id()]
    assert ids == sorted(set(ids))
    assert all(value.version == 7 for value in ids)


def test_bulks_keep_their_order():
    flows = add(*(node(f"n{index}", node(f"c{index}")) for index in range(5)))
    assert [flow.job.name for flow in flows] == [f"n{index}" for index in range(5)]
    jobs = Queue("q").add_bulk((f"j{index}", {"n": index}) for index in range(5))
    assert [(j.name, j.data) for j in jobs] == [(f"j{index}", {"n": index}) for index in range(5)]
    assert FlowProducer().add_bulk([]) == []
    assert Queue("q").add_bulk([]) == []


# Statements


def test_a_flow_is_few_statements():
    with CaptureQueriesContext(connection) as queries:
        add(*(node(f"root-{n}", *(node(f"child-{n}-{m}") for m in range(20))) for n in range(10)))
    assert len(queries) < 10


def test_a_bulk_is_few_statements_with_and_without_job_ids():
    with CaptureQueriesContext(connection) as queries:
        Queue("q").add_bulk([(str(n), {}, {"job_id": str(n)} if n % 2 else None) for n in range(300)])
    assert len(queries) < 15
    with CaptureQueriesContext(connection) as queries:
        Queue("q").add_bulk([(str(n), {}, {"job_id": str(n)}) for n in range(300)])
    assert len(queries) < 15
    assert Job.objects.count() == 450


# All or nothing


def one_object_twice():
    shared = node("shared")
    return node("root", node("a", shared), node("b", shared))


def one_mapping_twice():
    return node("root", *[{"name": "child", "queue_name": "q"}] * 2)


def a_cycle():
    root = FlowJob("root", "q", children=[])
    root.children = [node("middle", root)]
    return root


def a_cycle_of_mappings():
    root = {"name": "root", "queue_name": "q", "children": []}
    root["children"].append({"name": "middle", "queue_name": "q", "children": [root]})
    return root


def itself():
    root = FlowJob("root", "q", children=[])
    root.children.append(root)
    return root


@pytest.mark.parametrize("make", [one_object_twice, one_mapping_twice, a_cycle, a_cycle_of_mappings, itself])
def test_an_object_may_be_in_a_flow_once(make):
    with pytest.raises(InvalidFlow, match="another place"):
        FlowProducer().add(make())
    assert not Job.objects.exists()


def test_equal_nodes_and_flows_are_fine():
    add(node("root", node("child"), node("child")))
    flow = node("again", node("below"))
    add(flow, flow)
    assert Job.objects.filter(name="again").count() == 2


def test_a_flow_has_a_limit(settings):
    settings.CONVEYOR = {"MAX_FLOW_JOBS": 10}
    add(node("root", *(node(str(n)) for n in range(9))))
    too_many = [
        node("root", *(node(str(n)) for n in range(10))),
        FlowJob("root", "q", children=(node("endless") for _ in iter(int, 1))),
    ]
    deep = node("leaf")
    for n in range(10):
        deep = node(str(n), deep)
    for flow in (*too_many, deep):
        with pytest.raises(InvalidFlow, match="more than 10 jobs"):
            FlowProducer().add(flow)
    assert Job.objects.count() == 10


@pytest.mark.parametrize("bad", [0, 1, 4, "last"])
def test_nothing_is_written_when_one_is_bad(bad):
    jobs = [(f"n{index}", {}) for index in range(10)]
    jobs[-1 if bad == "last" else bad] = ("bad", object())
    with pytest.raises(InvalidNode, match="object"):
        Queue("q").add_bulk(jobs)
    flows = [node("root", *(node(name, data=data) for name, data in jobs)), node("fine")]
    for order in (flows, flows[::-1]):
        with pytest.raises(InvalidNode, match="object"):
            FlowProducer().add_bulk(order)
    assert not Job.objects.exists()


@pytest.mark.parametrize("entry", [(), ("a",), ("a", 1, {}, 4), "ab", None, {"name": "a"}, 5])
def test_entries_of_a_bulk(entry):
    with pytest.raises(InvalidNode, match=r"jobs\[1\]: a job must be \(name, data\) or \(name, data, opts\)"):
        Queue("q").add_bulk([("fine", {}), entry])
    assert not Job.objects.exists()


def test_a_bad_node_far_down_is_named():
    flow = node("leaf", data=object())
    for _ in range(100):
        flow = node("inner", flow)
    with pytest.raises(InvalidNode, match="a node 100 levels down: data is a object") as caught:
        FlowProducer().add(flow)
    assert len(str(caught.value)) < 200


@pytest.mark.django_db(transaction=True)
def test_adding_joins_the_transaction_of_the_caller():
    with transaction.atomic():
        [result] = add(node("root", node("child")))
        Queue("q").add("other")
        assert FlowProducer().get_flow(result.job.id) == result  # it is there for the caller
        transaction.set_rollback(True)
    assert not Job.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_the_transaction_of_the_caller_stays_usable():
    Queue("q").add("there", opts={"job_id": "taken"})
    bad = [
        node("root", node("child", data=object())),
        node("root", node("child", job_id="taken")),
        node("root", node("x", job_id="twice"), node("y", job_id="twice")),
    ]
    with transaction.atomic():
        add(node("before"))
        for flow in bad:
            with pytest.raises(ConveyorError):
                FlowProducer().add(flow)
        add(node("after"))
    assert set(states()) == {"there", "before", "after"}


def test_another_database_alias_must_be_there():
    assert FlowProducer().using == Queue("q").using == "default"
    assert Queue("q", using="default").using == "default"
    with pytest.raises(Exception, match="elsewhere"):
        FlowProducer(using="elsewhere").add(node("a"))


# get_flow


def test_get_flow_is_what_is_stored_now():
    [result] = add(node("root", node("a", node("b")), node("c")))
    finish("b", 1)
    stored = FlowProducer().get_flow(result.job.id)
    assert [(r.job.name, r.job.state) for r in every(stored)] == [
        ("root", "waiting-children"),
        ("a", "waiting"),
        ("b", "completed"),
        ("c", "waiting"),
    ]


@pytest.mark.parametrize(
    ("top", "depth", "names"),
    [
        ("root", None, ["root", "a", "b", "c", "d"]),
        ("root", 0, ["root"]),
        ("root", 1, ["root", "a", "d"]),
        ("root", 2, ["root", "a", "b", "d"]),
        ("root", 9, ["root", "a", "b", "c", "d"]),
        ("a", None, ["a", "b", "c"]),
        ("a", 0, ["a"]),
        ("a", 1, ["a", "b"]),
        ("c", None, ["c"]),
    ],
)
@pytest.mark.parametrize("kind", [str, lambda pk: pk, lambda pk: pk.hex])
def test_get_flow_of_any_job_so_deep(top, depth, names, kind):
    add(node("root", node("a", node("b", node("c"))), node("d")), node("stranger"))
    stored = FlowProducer().get_flow(kind(job(top).pk), depth)
    assert [r.job.name for r in every(stored)] == names
    assert stored == FlowProducer().get_flow(job(top).pk, depth=depth)


@pytest.mark.parametrize("job_id", [new_id(), str(new_id()), "nonsense", "", None, 7, "a\x00b", "\ud800", b"x"])
def test_get_flow_of_what_is_not_there(job_id):
    with pytest.raises(Job.DoesNotExist):
        FlowProducer().get_flow(job_id)
    assert Job.objects.find(job_id) is None
