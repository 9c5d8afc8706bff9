"""The shop's processors: found by autodiscovery, as `admin.py` is.

A job is processed at least once, so each of these may run twice without harm.
"""

import asyncio
import time
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model

from conveyor_django import processor
from conveyor_django.models import Job
from example_project.shop import figures, months, releases
from example_project.shop.charts import stacked_columns
from example_project.shop.models import Order, Region
from example_project.shop.reporting import merge, store


def pause(seconds: float) -> None:
    """Only there to be watched: what these jobs really do takes milliseconds. DEMO_PACE=0 leaves it out."""
    time.sleep(seconds * settings.DEMO_PACE)


# The monthly report.


@processor("reports", "fetch-sales")
def fetch_sales(job: Job) -> dict[str, Any]:
    region, month = Region.objects.get(code=job.data["region"]), job.data["month"]
    totals = figures.sales(region, month)
    job.log(f"{totals['orders']} orders of {months.title(month)} in {region.name}")
    job.update_progress(50)
    pause(0.6)
    best = figures.bestseller(region, month)
    job.update_progress(100)
    return {"kind": "sales", "region": region.name, "bestseller": best} | totals


@processor("warehouse", "fetch-inventory")
def fetch_inventory(job: Job) -> dict[str, Any]:
    region = Region.objects.get(code=job.data["region"])
    pause(0.4)
    stock = figures.inventory(region)
    job.log(f"{stock['pieces']} pieces in {region.name}, {stock['low']} products run low")
    return {"kind": "stock", "region": region.name} | stock


@processor("reports", "fetch-history")
def fetch_history(job: Job) -> dict[str, Any]:
    """The revenue of one region in each of the last months."""
    region, revenues = Region.objects.get(code=job.data["region"]), []
    span = [months.shift(job.data["month"], -ago) for ago in reversed(range(job.data["months"]))]
    for done, month in enumerate(span, 1):
        revenues.append(figures.revenue(region, month))
        pause(0.15)
        job.update_progress(100 * done // len(span))
    return {"region": region.name, "months": span, "revenues": revenues}


@processor("reports", "render-charts")
def render_charts(job: Job) -> dict[str, Any]:
    histories = list(job.get_children_values().values())
    pause(0.5)
    labels = [months.title(month, short=True) for month in histories[0]["months"]]
    series = {history["region"]: history["revenues"] for history in histories}
    return {"kind": "chart", "svg": stacked_columns("Revenue by region", labels, series)}


@processor("reports", "send-report")
def send_report(job: Job) -> dict[str, Any]:
    values = list(job.get_children_values().values())
    rows, charts = merge(values), [value["svg"] for value in values if value["kind"] == "chart"]
    job.update_progress(50)
    pause(0.6)
    report = store(job.id, job.data["month"], rows, charts)
    job.log(f"stored as report {report.pk}")
    return {"report": report.pk, "rows": rows}


# A deploy: three levels.


@processor("deploys", "lint")
def lint(job: Job) -> dict[str, Any]:
    """Parses each Python file of the example project."""
    files = releases.python_files()
    for done, path in enumerate(files, 1):
        releases.parse(path)
        pause(0.8 / len(files))
        job.update_progress(100 * done // len(files))
    return {"files": len(files)}


@processor("deploys", "test")
def run_tests(job: Job) -> dict[str, Any]:
    """Runs Django's checks; the first attempt fails, to show a second one."""
    pause(0.4)
    if job.attempts_made == 1 and job.data["flaky"]:
        raise RuntimeError("the first attempt fails on purpose, the second will not")
    return {"warnings": releases.run_checks()}


@processor("deploys", "build")
def build(job: Job) -> dict[str, Any]:
    pause(0.6)
    return {"version": job.data["version"], "digest": releases.digest()}


@processor("deploys", "notify")
async def notify(job: Job) -> dict[str, Any]:
    """An async processor: it shares one event loop with the others of its kind."""
    staff = await get_user_model().objects.filter(is_staff=True).acount()
    await asyncio.sleep(0.5 * settings.DEMO_PACE)
    job.log(f"{staff} members of staff would get a mail about {job.data['version']}")
    return {"told": staff}


@processor("deploys", "deploy")
def deploy(job: Job) -> dict[str, Any]:
    pause(0.5)
    return {key: value for values in job.get_children_values().values() for key, value in values.items()}


# An order is shipped, and one of the steps fails on purpose.


class OutOfPaper(Exception):
    pass


@processor("orders", "charge-card")
def charge_card(job: Job) -> dict[str, Any]:
    order = Order.objects.get(number=job.data["order"])
    pause(0.5)
    return {"cents": sum(line.quantity * line.price_cents for line in order.lines.all())}


@processor("orders", "print-label")
def print_label(job: Job) -> None:
    pause(0.7)
    raise OutOfPaper("on purpose")


@processor("orders", "book-courier")
def book_courier(job: Job) -> dict[str, Any]:
    order = Order.objects.select_related("region").get(number=job.data["order"])
    pause(0.3)
    return {"courier": f"{order.region.name} Express"}


@processor("orders", "ship-order")
def ship_order(job: Job) -> dict[str, Any]:
    """Runs under the policy `ignore` only: then it sees what failed."""
    pause(0.4)
    return {"order": job.data["order"], "without": list(job.get_children_failures().values())}


# The statements of a month: many alike, some of which fail until somebody retries them.


class RenderTimeout(Exception):
    pass


@processor("pdf", "render-statement")
def render_statement(job: Job) -> dict[str, Any]:
    number = job.data["customer"]
    pause(0.02 + number * 37 % 60 / 1000)
    is_retried = job.epoch > job.attempts_made
    if number in (22, 97) and not is_retried:
        job.log(f"statement {number} did not load, attempt {job.attempts_made}")
        pause(0.2)
        raise RenderTimeout("page did not load in 30 s")
    if number == 141 and not is_retried:
        job.discard()
        raise KeyError("iban")
    return {"pages": 1 + number % 4}


@processor("pdf", "render-statements")
def render_statements(job: Job) -> dict[str, Any]:
    return {"pages": sum(value["pages"] for value in job.get_children_values().values())}


@processor("warehouse", "collect-data")
def collect_data(job: Job) -> dict[str, Any]:
    pause(0.2)
    return {"pieces": sum(value["pieces"] for value in job.get_children_values().values())}


@processor("reports", "draw-charts")
@processor("reports", "translate-text")
def work_long(job: Job) -> None:
    for done in range(1, 101):
        pause(0.15)
        job.update_progress(done)


@processor("reports", "build-summary")
@processor("reports", "send-statements")
def conclude(job: Job) -> dict[str, Any]:
    pause(0.3)
    return {"parts": len(job.get_children_values())}
