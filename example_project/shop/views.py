"""The shop's pages. They have no login: this is an example to try out, not to put on the internet."""

from uuid import UUID

from django.contrib import messages
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.html import format_html
from django.views.decorators.http import require_GET, require_POST

from conveyor_django import FlowProducer
from conveyor_django.models import Job
from conveyor_django.states import FINISHED
from example_project.shop import months
from example_project.shop.flows import KINDS, EmptyShop
from example_project.shop.models import Order, Report
from example_project.shop.titles import ROOTS, title

SHOWN = 10


@require_GET
def start(request: HttpRequest) -> HttpResponse:
    reports = Report.objects.defer("html")[:SHOWN]
    context = {
        "kinds": KINDS,
        "flows": latest_flows(),
        "reports": [(report, months.title(report.month)) for report in reports],
        "is_empty": not Order.objects.exists(),
    }
    return render(request, "shop/start.html", context)


@require_POST
def add_flow(request: HttpRequest, kind: str) -> HttpResponse:
    if kind not in KINDS:
        raise Http404
    try:
        added = FlowProducer().add(KINDS[kind].build())
    except EmptyShop:
        messages.error(request, "The shop is empty. Fill it first: python manage.py seed")
    else:
        if kind == "report":
            return redirect("report-of", job_id=added.job.id)
        page = Job.objects.get(pk=added.job.id).get_admin_url()
        messages.success(request, format_html('Added {}: <a href="{}">its jobs</a>.', KINDS[kind].title, page))
    return redirect("start")


@require_GET
def report_of(request: HttpRequest, job_id: UUID) -> HttpResponse:
    """The report that this flow makes; until there is one, the page of whoever waits for it."""
    if found := Report.objects.defer("html").filter(job_id=job_id).first():
        return redirect(found)
    flow = get_object_or_404(Job, pk=job_id, name="send-report")
    return render(request, "shop/waiting.html", {"flow": flow, "title": title(flow)})


@require_GET
def report(request: HttpRequest, pk: int) -> HttpResponse:
    found = get_object_or_404(Report, pk=pk)
    flow = Job.objects.filter(pk=found.job_id).first()  # None once it was pruned
    return render(request, "shop/report.html", {"report": found, "title": months.title(found.month), "flow": flow})


def latest_flows() -> list[Job]:
    """The newest flows of this shop; each has `title`, `total` and `finished`."""
    jobs = list(Job.objects.roots().filter(name__in=ROOTS).order_by("-pk")[:SHOWN])
    counted = Job.objects.filter(root__in=jobs).values("root")
    counts = {
        row["root"]: row
        for row in counted.annotate(total=Count("pk"), finished=Count("pk", filter=Q(state__in=FINISHED)))
    }
    for job in jobs:
        job.title = title(job)
        job.total, job.finished = counts[job.pk]["total"], counts[job.pk]["finished"]
    return jobs
