"""What the search box of the jobs takes: an id, a job_id, the beginning of a name, or a value in the data."""

import json
import re
from typing import Any, NoReturn
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.db.models.fields.json import KeyTransform
from django.utils.translation import gettext as _

from conveyor_django.encoding import MAX_DEPTH, MAX_NAME, normalize
from conveyor_django.exceptions import InvalidNode
from conveyor_django.ids import parse_id
from conveyor_django.models import Job
from conveyor_django.redaction import is_secret

from .bounds import among_newest
from .display import grouped
from .keyset import LOOK

MAX_READ = 10_000  # jobs whose data one search reads
_MAX_TERM = 1_000  # characters
_IN_DATA = re.compile(r"data\.([^:]*):(.*)", re.DOTALL)
_KEY = re.compile(r"[^\"\\\x00-\x1f]+")  # databases differ in how they read the others in a path
_INDEX = re.compile(r"[0-9]{1,9}")


def find(jobs: QuerySet[Any], term: str, *, may_see_data: bool, is_indexed: bool) -> QuerySet[Any]:
    """`is_indexed`: an index finds `jobs`; else they are gone through, and so are no more than the newest of all."""
    term = term.strip()
    if asked := _IN_DATA.fullmatch(term):
        wanted = _wanted(*asked.groups()) if may_see_data else None
        return jobs.none() if wanted is None else _with_value(jobs, *wanted, is_indexed=is_indexed)
    if uuid := _id_of_a_job(term, jobs.db):
        return jobs.filter(pk=uuid)
    if len(term) > MAX_NAME:
        return jobs.none()
    return jobs.filter(Q(name__startswith=term) | Q(job_id=term)) if term else jobs


def condition(term: str, using: str) -> Q | None:
    """The search as a condition on the row, if that is all of it."""
    term = term.strip()
    if is_in_data(term) or _id_of_a_job(term, using) or not 0 < len(term) <= MAX_NAME:
        return None
    return Q(name__startswith=term) | Q(job_id=term)


def is_in_data(term: str) -> bool:
    return _IN_DATA.fullmatch(term.strip()) is not None


def _id_of_a_job(term: str, using: str) -> UUID | None:
    """Other ids may be job_ids."""
    uuid = parse_id(term)
    return uuid if uuid and Job.objects.using(using).filter(pk=uuid).exists() else None


def note(term: str, *, may_see_data: bool, is_indexed: bool) -> str:
    """What has to be said of a search besides what it found."""
    asked = _IN_DATA.fullmatch(term.strip())
    if not asked:
        return ""
    if not may_see_data:
        return _("You may not search in the data.")
    if _wanted(*asked.groups()) is None:
        return _('Data can\'t be searched for this. Write data.order_id:42, or data.customer.name:"Ann".')
    numbers = {"read": grouped(MAX_READ), "look": grouped(LOOK)}
    if is_indexed:
        return _("Looked for in the data of the %(read)s newest jobs that the filters leave.") % numbers
    return (
        _("Looked for in the data of the %(read)s newest jobs that the filters leave of the %(look)s newest.") % numbers
    )


def _wanted(keys: str, text: str) -> tuple[list[str], Any] | None:
    """Path and value, None for what no job's data can hold, and for what is masked wherever it is shown."""
    path = keys.split(".")
    is_path = len(path) <= MAX_DEPTH and all(map(_is_key, path))
    if not is_path or any(map(is_secret, path)) or len(keys) + len(text) > _MAX_TERM:
        return None
    try:
        value = normalize(_value(text.strip()), "value", 4 * _MAX_TERM)
    except InvalidNode:
        return None
    return None if isinstance(value, (dict, list)) else (path, value)


def _is_key(key: str) -> bool:
    """Whatever `int` takes is a place in a list for Django; of that, plain numbers only."""
    try:
        int(key)
    except ValueError:
        return bool(_KEY.fullmatch(key))
    return bool(_INDEX.fullmatch(key))


def _value(text: str) -> Any:
    """JSON, or else the text itself, which then needs no quotes."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return text


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _with_value(jobs: QuerySet[Any], path: list[str], value: Any, *, is_indexed: bool) -> QuerySet[Any]:
    if not is_indexed:
        jobs = among_newest(LOOK, jobs, of=Job.objects.using(jobs.db))
    place: Any = F("data")
    for key in path:
        place = KeyTransform(key, place)  # a parameter of the statement, as the value is
    found: QuerySet[Any] = among_newest(MAX_READ, jobs, of=jobs).alias(place=place).filter(place=value)
    return found
