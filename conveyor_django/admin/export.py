"""The list as a file: all jobs that its filters leave as CSV or JSON, read and sent one chunk after another."""

import csv
import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from typing import Any

from asgiref.sync import sync_to_async
from django.core.handlers.asgi import ASGIRequest
from django.core.serializers.json import DjangoJSONEncoder
from django.db.models import QuerySet
from django.http import HttpRequest, StreamingHttpResponse

from conveyor_django.encoding import visible
from conveyor_django.redaction import redact

from .display import own_words

CHUNK = 1_000  # jobs of one query
CHUNK_WITH_PAYLOAD = 10  # each takes up to MAX_DATA_BYTES twice, and read into Python many times that
_FIELDS = (
    *("id", "name", "job_id", "queue_name", "state", "parent_id", "root_id", "depth", "priority"),
    *("attempts_made", "max_attempts", "created_at", "run_at", "started_at", "finished_at"),
)
_PAYLOAD = ("data", "return_value")
_FORMULA = tuple("=+-@\uff1d\uff0b\uff0d\uff20")  # how a spreadsheet knows one, in full width too

Record = dict[str, Any]
Chunks = Iterator[list[Record]]


def export(request: HttpRequest, jobs: QuerySet[Any], kind: str, *, with_payload: bool) -> StreamingHttpResponse:
    """`jobs` have the annotation `short_reason`; `kind` is one of `FORMATS`."""
    content_type, parts_of = FORMATS[kind]
    payload = _PAYLOAD if with_payload else ()
    parts: Any = parts_of(_chunks(jobs, payload), (*_FIELDS, "failed_reason", *payload))
    if isinstance(request, ASGIRequest):
        parts = _async(parts)
    headers = {"Content-Type": content_type, "Content-Disposition": f'attachment; filename="jobs.{kind}"'}
    return StreamingHttpResponse(parts, headers=headers)


async def _async(parts: Iterator[str]) -> AsyncIterator[str]:
    """For an ASGI server: a sync iterator would be read to its end before anything is sent."""
    following: Any = sync_to_async(next)
    while (part := await following(parts, None)) is not None:
        yield part


def _chunks(jobs: QuerySet[Any], payload: tuple[str, ...]) -> Chunks:
    """From the newest to the oldest, each chunk found by where the last one ended."""
    size = CHUNK_WITH_PAYLOAD if payload else CHUNK
    rows = jobs.order_by("-pk").values_list(*_FIELDS, "failed_by", "short_reason", *payload, named=True)
    page = list(rows[:size])
    while page:
        yield [_record(row, payload) for row in page]
        page = list(rows.filter(pk__lt=page[-1].id)[:size]) if len(page) == size else []


def _record(row: Any, payload: tuple[str, ...]) -> Record:
    return {
        **{name: getattr(row, name) for name in _FIELDS},
        "failed_reason": own_words(row, row.short_reason),
        **{name: redact(getattr(row, name)) for name in payload},
    }


def _json(chunks: Chunks, columns: tuple[str, ...]) -> Iterator[str]:
    before = "[\n"
    for records in chunks:
        yield before + ",\n".join(_dumped(record) for record in records)
        before = ",\n"
    yield "[]\n" if before == "[\n" else "\n]\n"


def _dumped(value: Any) -> str:
    """Without control characters: ASCII has one that JSON may hold as it is."""
    return json.dumps(value, cls=DjangoJSONEncoder).replace("\x7f", "\\u007f")


class _Lines:
    """A file for `csv.writer`, whose `writerow` returns what this does."""

    def write(self, text: str) -> str:
        return text


def _csv(chunks: Chunks, columns: tuple[str, ...]) -> Iterator[str]:
    writer: Any = csv.writer(_Lines())
    yield writer.writerow(columns)
    for records in chunks:
        yield "".join(writer.writerow(_cell(name, record[name]) for name in columns) for record in records)


def _cell(name: str, value: Any) -> Any:
    if name in _PAYLOAD:
        value = _dumped(value)
    if isinstance(value, datetime):
        return value.isoformat()
    return _as_text(visible(value)) if isinstance(value, str) else value


def _as_text(text: str) -> str:
    """A spreadsheet takes what begins like a formula for one, and carries it out."""
    acts = text.startswith(("\t", "\r", "\n")) or text.lstrip().startswith(_FORMULA)
    return f"'{text}" if acts else text


FORMATS: dict[str, tuple[str, Callable[[Chunks, tuple[str, ...]], Iterator[str]]]] = {
    "csv": ("text/csv; charset=utf-8", _csv),
    "json": ("application/json", _json),
}
