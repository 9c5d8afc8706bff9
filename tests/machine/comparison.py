"""Whether the rows say what the model says, and what must hold of rows whatever the model says."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from conveyor_django.models import Job
from tests.chaos.model import Model

_START = datetime(2030, 1, 1, tzinfo=UTC)
_UNFINISHED = {"waiting", "waiting-children", "delayed", "active"}
_SAME = ("name", "state", "attempts_made", "stalls", "priority")
_READ = (*_SAME, "pk", "queue_name", "parent_id", "root_id", "depth", "pending_children", "worker", "epoch", "delay")
_READ = (*_READ, "return_value", "failed_reason", "failed_by", "run_at", "created_at", "finished_at")


def at(seconds: float) -> datetime:
    """The time that the model gives as a number."""
    return _START + timedelta(seconds=seconds)


def read_rows() -> dict[UUID, Any]:
    return {row["pk"]: row for row in Job.objects.order_by("pk").values(*_READ)}


def differences(rows: Mapping[UUID, Any], model: Model, ids: Mapping[str, UUID]) -> dict[str, Any]:
    """By job and field, what the product says and what the model says."""
    names = {pk: name for name, pk in ids.items()}
    real = {row["name"]: _of_row(row, names) for row in rows.values()}
    modelled = {name: _of_model(model, name) for name in model.jobs}
    found: dict[str, Any] = {}
    for name in sorted({*real, *modelled}):
        ours, theirs = real.get(name, {"state": "gone"}), modelled.get(name, {"state": "gone"})
        if other := {key: (ours.get(key), theirs[key]) for key in theirs if ours.get(key) != theirs[key]}:
            found[name] = other
        elif cause := _unexplained(rows[ids[name]]["failed_reason"], model, name, ids):
            found[name] = cause
    return found


def _of_row(row: Mapping[str, Any], names: Mapping[UUID, str]) -> dict[str, Any]:
    return {
        **{key: row[key] for key in _SAME},
        "queue": row["queue_name"],
        "parent": names.get(row["parent_id"]),
        "root": names.get(row["root_id"]),
        "depth": row["depth"],
        "pending": row["pending_children"],
        "value": repr(row["return_value"]),  # 0 and False are equal
        "failed_by": names.get(row["failed_by"]),
        "due": row["run_at"] if row["state"] == "delayed" else None,
        "created_at": row["created_at"],
        "finished_at": row["finished_at"],
    }


def _of_model(model: Model, name: str) -> dict[str, Any]:
    job = model.jobs[name]
    path = model.path(name)
    return {
        **{key: getattr(job, key) for key in _SAME},
        "queue": job.node.queue,
        "parent": job.parent,
        "root": path[-1],
        "depth": len(path) - 1,
        "pending": model.pending(name),
        "value": repr(job.value),
        "failed_by": job.failed_by,
        "due": at(job.not_before) if job.state == "delayed" and job.not_before is not None else None,
        "created_at": at(job.created_at),
        "finished_at": None if job.finished_at is None else at(job.finished_at),
    }


def _unexplained(reason: str, model: Model, name: str, ids: Mapping[str, UUID]) -> str:
    """A reason says why, and through which child."""
    job = model.jobs[name]
    if job.failed_reason in reason and bool(job.failed_reason) == bool(reason):
        return "" if job.failed_by is None or str(ids[job.failed_by]) in reason else f"{job.failed_by} not in: {reason}"
    return f"{job.failed_reason!r} not in: {reason!r}"


def check_rows(rows: Mapping[UUID, Any], epochs: Mapping[UUID, int]) -> None:
    """`epochs` are those of the step before."""
    for pk, row in rows.items():
        parent = rows.get(row["parent_id"])
        children = [child for child in rows.values() if child["parent_id"] == pk]
        unfinished = sum(child["state"] in _UNFINISHED for child in children)
        assert row["pending_children"] == unfinished, row
        assert (row["state"] == "waiting-children") <= (unfinished > 0), row
        assert (row["state"] in ("waiting", "delayed")) <= (unfinished == 0), row
        assert (row["state"] == "active") == (row["worker"] is not None), row
        assert (row["state"] in _UNFINISHED) == (row["finished_at"] is None), row
        assert (row["state"] == "delayed") <= (row["run_at"] is not None), row
        assert row["epoch"] >= epochs.get(pk, 0), row
        assert 0 <= row["attempts_made"] <= row["epoch"], row
        assert (row["parent_id"] is None) == (parent is None), row
        above = (parent["root_id"], parent["depth"] + 1) if parent else (pk, 0)
        assert (row["root_id"], row["depth"]) == above, row
