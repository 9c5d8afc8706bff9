"""The flows of the example. Data are small: ids and codes, no copies of rows."""

from collections.abc import Callable
from dataclasses import dataclass
from uuid import uuid4

from conveyor_django import Backoff, ChildFailurePolicy, FlowJob, JobOptions
from example_project.shop import months
from example_project.shop.models import Order, Region

HISTORY = 6  # months
STATEMENTS = 204


class EmptyShop(Exception):
    """There is nothing to make a flow of; `manage.py seed` helps."""


def monthly_report(month: str) -> FlowJob:
    """send-report <- each region's sales and stock, and (render-charts <- each region's history)."""
    places = [{"region": code, "month": month} for code in Region.objects.values_list("code", flat=True)]
    sales = [FlowJob("fetch-sales", "reports", place) for place in places]
    stocks = [FlowJob("fetch-inventory", "warehouse", place) for place in places]
    histories = [FlowJob("fetch-history", "reports", place | {"months": HISTORY}) for place in places]
    charts = FlowJob("render-charts", "reports", {"month": month}, children=histories)
    return FlowJob("send-report", "reports", {"month": month}, children=[*sales, *stocks, charts])


def deploy(version: str) -> FlowJob:
    """deploy <- (build <- lint, test), notify. The test fails once and is tried again."""
    again = JobOptions(attempts=3, backoff=Backoff("fixed", delay=0.5))
    data = {"version": version}
    checks = [
        FlowJob("lint", "deploys", data),
        FlowJob("test", "deploys", data | {"flaky": True}, opts=again),
    ]
    children = [FlowJob("build", "deploys", data, children=checks), FlowJob("notify", "deploys", data)]
    return FlowJob("deploy", "deploys", data, children=children)


def monthly_statements(month: str) -> FlowJob:
    """A flow of 214 jobs, some of which fail on purpose until they are retried: what the admin is for."""
    data = {"month": month}
    places = [{"region": code, "month": month} for code in Region.objects.values_list("code", flat=True)]
    again = {"attempts": 3, "backoff": {"type": "fixed", "delay": 0.3}}
    statements = [
        FlowJob(
            "render-statement", "pdf", data | {"customer": n}, again | {"job_id": f"{month}-{n:04}-{uuid4().hex[:4]}"}
        )
        for n in range(1, STATEMENTS + 1)
    ]
    summary = [FlowJob("draw-charts", "reports", data), FlowJob("translate-text", "reports", data)]
    children = [
        FlowJob(
            "collect-data", "warehouse", data, children=[FlowJob("fetch-inventory", "warehouse", p) for p in places]
        ),
        FlowJob("render-statements", "pdf", data, children=statements),
        FlowJob("build-summary", "reports", data, children=summary),
    ]
    opts = JobOptions(fail_parent_on_child_failure="ignore")
    return FlowJob("send-statements", "reports", data, opts=opts, children=children)


def policy_demo(policy: str) -> FlowJob:
    """An order is shipped. Printing its label fails on purpose; `policy` says what becomes of the parent."""
    data = {"order": newest_order(), "policy": policy}
    steps = [
        FlowJob("charge-card", "orders", data),
        FlowJob("print-label", "orders", data, opts=JobOptions(priority=-1)),
        # late, so that it has not begun when the label fails
        FlowJob("book-courier", "orders", data, opts=JobOptions(delay=4)),
    ]
    opts = JobOptions(fail_parent_on_child_failure=policy)
    return FlowJob("ship-order", "orders", data, opts=opts, children=steps)


def of_latest_month(build: Callable[[str], FlowJob]) -> FlowJob:
    if month := months.latest():
        return build(month)
    raise EmptyShop


def newest_order() -> int:
    if number := Order.objects.order_by("-number").values_list("number", flat=True).first():
        return number
    raise EmptyShop


@dataclass(frozen=True)
class Kind:
    """One of the flows that the page, `addflow` and `demo` offer."""

    title: str
    text: str
    build: Callable[[], FlowJob]
    is_small: bool = True  # enough so for a terminal


KINDS = {
    "report": Kind(
        "Monthly report", "Sales, stock and a chart of each region", lambda: of_latest_month(monthly_report)
    ),
    "deploy": Kind("Deploy", "Three levels, and a test that needs two attempts", lambda: deploy("1.0")),
    "fail": Kind(
        "Policy fail", "A child fails, its parent fails with it", lambda: policy_demo(ChildFailurePolicy.FAIL)
    ),
    "ignore": Kind(
        "Policy ignore",
        "A child fails, its parent runs without it",
        lambda: policy_demo(ChildFailurePolicy.IGNORE),
    ),
    "remove": Kind(
        "Policy remove",
        "A child fails, its parent is removed",
        lambda: policy_demo(ChildFailurePolicy.REMOVE),
    ),
    "statements": Kind(
        "Monthly statements",
        "A flow of 214 jobs, three of which fail until they are retried",
        lambda: of_latest_month(monthly_statements),
        is_small=False,
    ),
}
