"""JSON as text for a page, without secrets, cut where it is large."""

import json
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.template.defaultfilters import filesizeformat

from conveyor_django.redaction import redact

LIMIT = 20 * 1024  # bytes of text that are shown whole
SHOWN = 4 * 1024  # bytes of a larger one
PARTS = {"data": "data", "result": "return_value", "progress": "progress"}  # as URLs name them: the column


@dataclass(frozen=True)
class Payload:
    part: str  # of the job: its URL is `<part>.json`
    text: str
    size: str
    cut_to: str = ""


def may_see_payload(request: HttpRequest) -> bool:
    user: Any = request.user
    return bool(user.has_perm("conveyor_django.view_payload"))


def as_file(value: Any) -> str:
    """All of it, without secrets, in ASCII without control characters."""
    return json.dumps(redact(value), indent=2).replace("\x7f", "\\u007f")


def payload(part: str, value: Any) -> Payload:
    text = json.dumps(redact(value), indent=2, ensure_ascii=False)
    raw = text.encode("utf-8", "backslashreplace")
    if len(raw) <= LIMIT:
        return Payload(part, text, filesizeformat(len(raw)))
    return Payload(part, raw[:SHOWN].decode("utf-8", "ignore"), filesizeformat(len(raw)), filesizeformat(SHOWN))
