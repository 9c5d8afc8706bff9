"""The rows of a flow's list: what is open, folded, grouped and left out, read whole or a level at a time."""

from datetime import timedelta

import pytest
from django.http import QueryDict
from django.utils import timezone

from conveyor_django.admin.flow.nodes import COLUMNS, Node, id_of, key_of
from conveyor_django.admin.flow.outline import outline
from conveyor_django.admin.flow.page import Flow
from conveyor_django.admin.flow.paths import paths
from conveyor_django.admin.flow.sources import ByLevel, Whole, source_of
from conveyor_django.admin.flow.view import MAX_ROWS, PAGE, View
from conveyor_django.ids import new_id
from conveyor_django.models import Job
from conveyor_django.states import UNFINISHED, JobState

from .factories import JobFactory
from .helpers import add
from .test_large_flows import chain

pytestmark = pytest.mark.django_db
USING = "default"


def parent(*states, name="parent", above=None):
    """And its children, one in each of these states."""
    left = sum(state in UNFINISHED for state in states)
    state = "waiting-children" if left else "waiting"
    job = JobFactory(name=name, parent=above, state=state, pending_children=left)
    if above:
        above.state = "waiting-children"
        above.pending_children += 1
        above.save()
    return job, [JobFactory(name=f"{name}-{n}", parent=job, state=state) for n, state in enumerate(states)]


def top_of(job):
    return Node(*Job.objects.filter(pk=job.pk).values_list(*COLUMNS).get())


def sources(root):
    """Both ways to read a flow."""
    return [source_of(USING, root.root_id, 0), ByLevel(USING, root.root_id)]


def read(source, root, query, asked):
    view = View.from_query(query)
    return outline(source, top_of(root), view, paths(source, asked, only_failed=view.mode == "failed"))


def rows(root, query=None, asked=None):
    """As text; both sources must say the same."""
    whole, by_level = (read(source, root, query or {}, asked)[0] for source in sources(root))
    said = [described(entry) for entry in whole]
    assert said == [described(entry) for entry in by_level]
    return said


def described(entry):
    indent = "  " * entry.level
    if entry.rest:
        return f"{indent}{entry.rest} more"
    sign = "-" if entry.is_open else "+" if entry.group else " "
    if entry.group:
        return f"{indent}{sign} {entry.group.count} {entry.group.state}"
    return f"{indent}{sign} {Job.objects.get(pk=entry.node.pk).name}"


def key(job, state=None):
    return key_of(job.pk) + (f".{state}" if state else "")


# The view


def test_a_view_comes_back_from_its_own_query():
    one, other = key_of(new_id()), f"{key_of(new_id())}.failed"
    top = new_id()
    view = View("failed", {one: PAGE, other: 60}, frozenset({f"{one}.completed"}), top)

    assert View.from_query(QueryDict(view.query()[1:]).dict()) == view
    assert View.from_query({}).query() == "?"


@pytest.mark.parametrize(
    "junk",
    ["", "x", "\x00", "é" * 22, "A" * 21, "A" * 23, ".failed", "A" * 22 + ".gone", "../../", "'\"><script>", "%00"],
)
def test_what_is_no_key_opens_nothing(junk):
    view = View.from_query({"open": f"{junk},{junk}:40", "fold": junk, "top": junk, "view": junk})
    assert view == View()


def test_a_view_takes_so_many_keys_and_members():
    keys = [key_of(new_id()) for _ in range(300)]
    view = View.from_query({"open": ",".join(keys), "fold": ",".join(keys)})
    assert len(view.opened) == len(view.folded) == 200
    limits = {
        "": PAGE,
        ":": PAGE,
        ":x": PAGE,
        ":-5": PAGE,
        ":0": PAGE,
        ":40": 40,
        ":999": MAX_ROWS,
        ":1000": PAGE,
        ":²": PAGE,
    }
    for limit, shown in limits.items():
        assert View.from_query({"open": keys[0] + limit}).opened == {keys[0]: shown}


def test_a_key_is_an_id():
    pk = new_id()
    assert id_of(key_of(pk)) == pk
    assert len(key_of(pk)) == 22


def test_toggling_twice_gives_the_same_view():
    one = key_of(new_id())

    closed = View.from_query(QueryDict(View().toggled(one, is_open=True)[1:]).dict())
    assert closed == View(folded=frozenset({one}))
    opened = View.from_query(QueryDict(closed.toggled(one, is_open=False)[1:]).dict())
    assert opened == View(opened={one: PAGE})


# The outline


def test_few_children_stand_in_declared_order():
    root, _ = parent("waiting", "completed", "failed", "active", "completed", "cancelled", "completed")
    assert rows(root) == ["- parent", *[f"    parent-{n}" for n in range(7)]]


def test_of_few_children_the_completed_are_folded_from_four_on():
    root, [first, *_] = parent("completed", "waiting", "completed", "completed", "completed")
    assert rows(root) == ["- parent", "    parent-1", "  + 4 completed"]
    opened = ["- parent", "    parent-1", "  - 4 completed", *[f"      parent-{n}" for n in (0, 2, 3, 4)]]
    assert rows(root, {"open": key(root, "completed")}) == opened
    assert rows(root, {"view": "all"}) == ["- parent", *[f"    parent-{n}" for n in range(5)]]
    assert rows(root, asked=first.pk) == ["- parent", *[f"    parent-{n}" for n in range(5)]]  # three are left


def test_many_children_are_grouped_by_state():
    states = ["completed"] * 12 + ["cancelled", "delayed", "active", "waiting", "waiting", "failed"] + ["completed"] * 3
    root, children = parent(*states)
    grouped = ["- parent", "  - 1 failed", f"      {children[17].name}", "  - 1 active", f"      {children[14].name}"]
    closed = ["  + 1 delayed", "  + 2 waiting", "  + 1 cancelled", "  + 15 completed"]
    assert rows(root) == grouped + closed
    assert rows(root, {"view": "failed"}) == grouped[:3]
    assert rows(root, {"view": "folded"}) == ["- parent", "  + 1 failed", "  + 1 active", *closed]
    folded = rows(root, {"fold": key(root, "failed")})
    assert folded == ["- parent", "  + 1 failed", *grouped[3:], *closed]
    assert rows(root, {"fold": key(root)}) == ["  parent"]


def test_the_twentieth_child_is_shown_and_the_twenty_first_makes_groups():
    assert rows(parent(*["waiting"] * 20)[0])[-1] == "    parent-19"
    assert rows(parent(*["waiting"] * 21)[0]) == ["- parent", "  + 21 waiting"]


def test_a_group_shows_twenty_and_then_more():
    root, _ = parent(*["failed"] * 45)
    assert rows(root)[-3:] == ["      parent-18", "      parent-19", "    25 more"]
    more = View().with_more(key(root, "failed"), 20)
    assert rows(root, {"open": f"{key(root, 'failed')}:40"})[-2:] == ["      parent-39", "    5 more"]
    assert more == f"?open={key(root, 'failed')}:40"
    assert rows(root, {"open": f"{key(root, 'failed')}:60"})[-1] == "      parent-44"


def test_the_ways_to_what_failed_and_to_what_runs_are_open():
    root, _ = parent(name="root")
    for name, state in (("bad", "failed"), ("busy", "active"), ("calm", "waiting")):
        parent(state, "completed", name=name, above=root)
    lines = ["- root", "  - bad", "      bad-0", "      bad-1", "  - busy", "      busy-0", "      busy-1", "    calm"]
    assert rows(root) == lines
    assert rows(root, {"view": "failed"}) == ["- root", "  - bad", "      bad-0"]
    assert rows(root, {"view": "folded"}) == ["- root", "    bad", "    busy", "    calm"]
    bad = Job.objects.get(name="bad")
    assert rows(root, {"view": "folded", "open": key(bad)})[1:3] == ["  - bad", "      bad-0"]
    assert rows(root, {"view": "all"})[-2:] == ["      calm-0", "      calm-1"]


def test_the_job_that_was_asked_for_is_always_shown_once():
    root, children = parent(*["failed"] * 45, *["completed"] * 30)
    for asked in (children[40], children[3], children[60]):
        shown = rows(root, asked=asked.pk)
        assert shown[1] == f"    {asked.name}"
        assert sum(asked.name in line for line in shown) == 1
        assert sum(asked.name in line for line in rows(root, {"open": key(root, "completed")}, asked=asked.pk)) == 1


def test_a_page_has_so_many_rows():
    root, _ = parent(name="root")
    for n in range(15):
        parent(*["waiting"] * 20, name=f"part-{n}", above=root)
    for source in sources(root):
        entries, following = read(source, root, {"view": "all"}, None)
        assert len(entries) == MAX_ROWS
        assert following is not None


def test_no_more_parents_are_opened_than_a_page_can_pay_for(monkeypatch):
    for kind in (Whole, ByLevel):
        monkeypatch.setattr(kind, "max_opened", 3)
    root, _ = parent(name="root")
    parts = [parent("waiting", name=f"part-{n}", above=root)[0] for n in range(5)]
    for source in sources(root):
        entries, following = read(source, root, {"view": "all"}, None)
        assert [entry.node.pk for entry in entries if entry.is_open] == [root.pk, parts[0].pk, parts[1].pk]
        assert following.node.pk == parts[2].pk


@pytest.mark.parametrize("query", [{}, {"view": "all"}, {"view": "folded"}, {"view": "failed"}])
def test_a_chain_of_thousands_is_cut_and_goes_on(query):
    add(chain())
    root, leaf = Job.objects.get(name="root"), Job.objects.get(name="leaf")
    flow = Flow(root, lambda *args: "/", View.from_query(query))
    shown = flow.page()
    assert len(shown["rows"]) <= MAX_ROWS
    if query == {"view": "all"}:
        name, url = shown["go_on"]
        assert name == shown["rows"][-1].name
        assert url == f"?view=all&top={shown['rows'][-1].key}"
    deep = Flow(root, lambda *args: "/", View.from_query(query), asked=leaf.pk).page()
    assert deep["is_part"]
    if not query:
        assert [row.name for row in deep["rows"]] == [*(f"n{n}" for n in range(8, 0, -1)), "leaf"]


def test_a_part_of_a_flow_is_shown_from_its_top():
    root, _ = parent(name="root")
    part, _ = parent("waiting", name="part", above=root)
    other = JobFactory(name="other")
    assert [row.name for row in page(root, {"top": key(part)})["rows"]] == ["part", "part-0"]
    assert page(root, {"top": key(part)})["is_part"]
    for elsewhere in (key(other), key_of(new_id())):
        shown = page(root, {"top": elsewhere})
        assert (shown["is_part"], shown["rows"][0].name) == (False, "root")


def page(root, query=None):
    return Flow(root, lambda *args: "/", View.from_query(query or {})).page()


def test_groups_know_when_they_ran_however_they_are_read():
    now = timezone.now()
    root, _ = parent(*["waiting"] * 21)
    for n in range(5):
        JobFactory(
            parent=root,
            state="completed",
            started_at=now + timedelta(seconds=n),
            finished_at=now + timedelta(seconds=60 + n),
        )
    whole, by_level = (
        [(g.state, g.count, g.first, g.last) for g in source.groups(root.pk)] for source in sources(root)
    )
    assert whole == by_level
    assert whole[-1] == (JobState.COMPLETED, 5, now, now + timedelta(seconds=64))
