"""Whether anything is left to do: what `until_idle` asks."""

from collections.abc import Sequence

from conveyor_django.engines import get_engine
from conveyor_django.models import Job, QueueState

from .maintenance import Removals


def has_work(using: str, queue_names: Sequence[str] | None, removals: Removals) -> bool:
    """Waiting or due jobs in queues that aren't paused, or active ones in any.

    Deferred removals are done on the way, and are work while there are more than can be done in a moment.
    """
    jobs = Job.objects.using(using)
    if queue_names is not None:
        jobs = jobs.in_queue(*queue_names)
    paused = QueueState.objects.using(using).filter(paused_at__isnull=False).values_list("queue_name", flat=True)
    open_ = jobs.exclude(queue_name__in=list(paused))
    due = open_.delayed().filter(run_at__lte=get_engine(using).now())
    # one statement: between two, a job could go from what the second sees to what the first saw
    waiting, *others = (part.values("pk") for part in (open_.waiting(), due, jobs.active()))
    if waiting.union(*others, all=True).exists():
        return True
    return not removals.bite()
