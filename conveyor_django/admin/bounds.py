"""How far a look goes for what no index answers."""

from typing import Any

from django.db.models import QuerySet


def among_newest(limit: int, jobs: QuerySet[Any], *, of: QuerySet[Any]) -> QuerySet[Any]:
    """Those of `jobs` that are no older than the `limit` newest ones of `of`."""
    oldest = list(of.order_by("-pk").values_list("pk", flat=True)[limit - 1 : limit])
    return jobs.filter(pk__gte=oldest[0]) if oldest else jobs
