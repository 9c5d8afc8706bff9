"""What the list of jobs is told while it is looked at: how many came since, and nothing while it knows that."""

from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.cache import get_conditional_response
from django.utils.http import quote_etag
from django.utils.translation import ngettext

from conveyor_django.models import Job

from . import keyset

MAX_NEWER = 100


def newer(request: HttpRequest, changelist: Any) -> HttpResponse:
    after = changelist.begins.after
    jobs = changelist.queryset
    through = Job.objects.using(jobs.db)
    count = keyset.count_newer(jobs, after, MAX_NEWER + 1, through=through) if after else 0
    shown = f"{MAX_NEWER}+" if count > MAX_NEWER else str(count)
    text = ngettext("%s newer", "%s newer", count) % shown if count else ""
    response = JsonResponse({"count": count, "text": text})
    etag = quote_etag(f"{after}-{count}")
    response["ETag"] = etag
    return get_conditional_response(request, etag=etag, response=response) or response
