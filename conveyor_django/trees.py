"""What producers hand in and get back: `FlowJob`, `FlowResult`, `JobSummary`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .options import JobOptions

if TYPE_CHECKING:  # these names can be imported before the app registry is ready
    from .models import Job


@dataclass(eq=False)
class FlowJob:
    """A node of a flow; a mapping with the same keys is taken wherever one is.

    `data` is any JSON. `children` may be empty or None: then it is an ordinary job.
    """

    name: str
    queue_name: str
    data: Any = field(default_factory=dict, repr=False)
    opts: JobOptions | Mapping[str, Any] | None = field(default=None, repr=False)
    children: "Iterable[FlowJob | Mapping[str, Any]] | None" = field(default=(), repr=False)


@dataclass(frozen=True)
class JobSummary:
    """A job as it was when it was added or read."""

    id: str
    name: str
    queue_name: str
    data: Any = field(repr=False)
    state: str

    @classmethod
    def of(cls, job: "Job") -> "JobSummary":
        return cls(str(job.pk), job.name, job.queue_name, job.data, str(job.state))


@dataclass(eq=False)
class FlowResult:
    """Mirrors the tree that was added or is stored. Its `repr` is shallow: trees may be thousands deep."""

    job: JobSummary
    children: "list[FlowResult]" = field(default_factory=list, repr=False)

    def __eq__(self, other: object) -> bool:
        """Whether the whole trees are equal, found without recursion."""
        if not isinstance(other, FlowResult):
            return NotImplemented
        pairs = [(self, other)]
        while pairs:
            one, two = pairs.pop()
            if one.job != two.job or len(one.children) != len(two.children):
                return False
            pairs.extend(zip(one.children, two.children, strict=True))
        return True

    __hash__ = None  # type: ignore[assignment]


NODE_COLUMNS = ("pk", "name", "queue_name", "data", "state", "parent_id")  # what `result_of` reads


def result_of(jobs: "Iterable[Job]", top: Any) -> FlowResult:
    """The result for the job whose id is `top`, out of the jobs of its subtree; siblings in ascending id."""
    ordered = sorted(jobs, key=lambda job: job.pk)
    results = {job.pk: FlowResult(JobSummary.of(job)) for job in ordered}
    for job in ordered:
        if job.pk != top and job.parent_id in results:
            results[job.parent_id].children.append(results[job.pk])
    return results[top]
