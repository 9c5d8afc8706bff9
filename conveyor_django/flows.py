"""`FlowProducer`: trees of jobs into the database and back."""

from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

from asgiref.sync import sync_to_async
from django.db import router

from .encoding import printable
from .engines import get_engine
from .flatten import check_job_ids, flatten, listed
from .models import Job, NewJob
from .options import whole
from .transitions import enqueue
from .trees import NODE_COLUMNS, FlowJob, FlowResult, JobSummary, result_of


class FlowProducer:
    """Adds flows. `using` is a database alias; None is what the router says for `Job`."""

    def __init__(self, using: str | None = None) -> None:
        self.using = using or router.db_for_write(Job)

    def add(self, flow: FlowJob | Mapping[str, Any]) -> FlowResult:
        """Store the whole tree in one transaction, which joins the caller's.

        Raises `InvalidFlow` (or its form for one node, `InvalidNode`) and `DuplicateJob`; then nothing is
        written. A flow whose root has a job_id that exists is not added: the existing one is returned.
        """
        return self.add_bulk([flow])[0]

    def add_bulk(self, flows: Iterable[FlowJob | Mapping[str, Any]]) -> list[FlowResult]:
        """Store all of these flows or none."""
        given = listed(flows, "flows")
        trees = [flatten(flow, f"flows[{index}]" if len(given) > 1 else "flow") for index, flow in enumerate(given)]
        check_job_ids([job for tree in trees for job in tree])
        existing = enqueue(self.using, trees) if trees else {}
        results = []
        for tree in trees:
            root = tree[-1]
            if root.pk in existing:
                results.append(self._stored(existing[root.pk]))
            else:
                results.append(_result_of(tree))
        return results

    def get_flow(self, job_id: str | UUID, depth: int | None = None) -> FlowResult:
        """What is stored of this job and `depth` levels below it (all by default).

        Raises `Job.DoesNotExist`.
        """
        jobs = Job.objects.using(self.using)
        top = jobs.find(job_id)
        if top is None:
            raise Job.DoesNotExist(f"no job has the id {printable(job_id)!r}")
        return self._stored(top, None if depth is None else whole(depth, "depth"))

    def _stored(self, top: Job, depth: int | None = None) -> FlowResult:
        jobs = Job.objects.using(self.using)
        if depth is not None:
            jobs = jobs.filter(depth__lte=top.depth + depth)
        if top.root_id == top.pk:
            found = list(jobs.filter(root_id=top.pk).values_list(*NODE_COLUMNS, named=True))
        else:
            engine = get_engine(self.using)
            chunks = engine.chunks(engine.subtree_ids([top.pk]))
            pages = (jobs.filter(pk__in=chunk).values_list(*NODE_COLUMNS, named=True) for chunk in chunks)
            found = [node for page in pages for node in page]
        nodes: list[Any] = [top, *found]  # top alone, should it be gone by now
        return result_of({node.pk: node for node in nodes}.values(), top.pk)

    aadd = sync_to_async(add)
    aadd_bulk = sync_to_async(add_bulk)
    aget_flow = sync_to_async(get_flow)


def _result_of(tree: list[NewJob]) -> FlowResult:
    """Of a tree in which a job's children stand before it, which is used up: there may be very many jobs."""
    results: list[FlowResult] = []  # of those whose parents are still to come
    tree.reverse()
    while tree:
        job = tree.pop()
        result = FlowResult(JobSummary(str(job.pk), job.name, job.queue_name, job.data, str(job.state)))
        if number := job.pending_children:
            result.children = results[-number:]
            del results[-number:]
        results.append(result)
    return results[0]
