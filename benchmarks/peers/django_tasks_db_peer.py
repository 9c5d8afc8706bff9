"""django-tasks-db, a backend of Django's own tasks: two workers."""

import sys

from benchmarks.marks import mark

from .base import Peer
from .django_site import migrate, set_up

set_up("django_tasks_db")

from django.tasks import task  # noqa: E402 - Django has to be set up
from django_tasks_db.models import DBTaskResult  # noqa: E402


@task()
def job(number: int) -> dict[str, int]:
    mark(number)
    return {"number": number}


class DjangoTasksDb(Peer):
    most = 3_000

    def prepare(self) -> None:
        migrate()

    def workers(self) -> list[list[str]]:
        run = [sys.executable, "-m", "django", "db_worker", "--verbosity", "0", "--no-startup-delay"]
        return [[*run, "--worker-id", name] for name in ("one", "two")]

    def add(self, number: int) -> None:
        job.enqueue(number)

    def unfinished(self) -> int:
        return DBTaskResult.objects.filter(status__in=["READY", "RUNNING"]).count()


PEER = DjangoTasksDb
