"""The one canonical encoder that stands before any SQL: what passes here is stored alike by every database.

Values are refused with a reason; the texts of errors are never refused but cleaned and cut.
"""

import json
import math
import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from .exceptions import InvalidNode

MAX_DEPTH = 30  # MariaDB's JSON_VALID refuses 32
MAX_NAME = 255
MAX_REASON = 4_000
MAX_TEXT = 64 * 1024
_MAX_INT = 2**63
_TEXT_OR_LARGE_FLOAT = re.compile(r'"(?:[^"\\]|\\.)*"|-?[\d.]+e\+\d+')


_json = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode

Path = Any  # a field's name, or (the path above, a key): put into words only for an error


class PortableEncoder(json.JSONEncoder):
    """Writes large floats without an exponent: PostgreSQL would give back 1e+23 as the int that it isn't."""

    def encode(self, o: Any) -> str:
        text = super().encode(o)
        return _TEXT_OR_LARGE_FLOAT.sub(_positional, text) if "e+" in text else text


def _positional(match: re.Match[str]) -> str:
    token = match[0]
    return token if token.startswith('"') else f"{Decimal(token):f}.0"


def kind(value: object) -> str:
    return type(value).__name__


def shown(value: object) -> str:
    """A value and its kind, short, for an error's message."""
    try:
        return f"{kind(value)} {value!r}"[:100]
    except Exception:  # an int of more digits than Python prints, or a __repr__ that fails
        return kind(value)


def normalize(value: Any, field: str, max_bytes: int) -> Any:
    """A copy of `value` made of plain JSON types (tuples become lists).

    Raises `InvalidNode`, naming `field` and the offending value's kind.
    """
    copy = _plain(value, field, 0)
    size = len(_json(copy).encode())
    if size > max_bytes:
        raise InvalidNode(f"{field} is {size} bytes of JSON, the limit is {max_bytes}")
    return copy


def _plain(value: Any, path: Path, depth: int) -> Any:
    if value is None or value is True or value is False:
        return value
    if isinstance(value, str):
        return _text(value, path)
    if isinstance(value, int):
        if not -_MAX_INT <= value < _MAX_INT:
            raise InvalidNode(f"{_words(path)} holds an int beyond 64 bits")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidNode(f"{_words(path)} holds the float {value!r}, which JSON doesn't have")
        return float(value)
    if depth == MAX_DEPTH:
        raise InvalidNode(f"{_words(path)} is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, Mapping):
        return {_key(key, path): _plain(item, (path, key), depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item, (path, index), depth + 1) for index, item in enumerate(value)]
    raise InvalidNode(f"{_words(path)} is a {kind(value)}, which JSON doesn't have")


def _key(key: object, path: Path) -> str:
    if not isinstance(key, str):
        raise InvalidNode(f"{_words(path)} has a key that is a {kind(key)}; JSON keys are str")
    return _text(key, (path, key))


def _text(value: str, path: Path) -> str:
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InvalidNode(f"{_words(path)} holds a str with a lone surrogate, which is not text") from None
    if "\x00" in value:
        raise InvalidNode(f"{_words(path)} holds a str with a NUL character")
    return str.__str__(value)  # of a subclass, such as an enum's member, the text itself


def _words(path: Path) -> str:
    keys = []
    while isinstance(path, tuple):
        path, key = path
        keys.append(f"[{key!r}]"[:80])
    return "".join([path, *reversed(keys)])


def check_name(value: object, field: str) -> str:
    """A queue's, a job's or a custom id's name: 1 to 255 characters, none of them a control character."""
    if not isinstance(value, str):
        raise InvalidNode(f"{field} must be a str, not {kind(value)}")
    if not value:
        raise InvalidNode(f"{field} must not be empty")
    if len(value) > MAX_NAME:
        raise InvalidNode(f"{field} has {len(value)} characters, the limit is {MAX_NAME}")
    if not is_inert(value):
        raise InvalidNode(f"{field} holds a control character or a lone surrogate: {ascii(value)[:80]}")
    return str.__str__(value)


def is_inert(value: str) -> bool:
    """Whether there is no control character (NUL among them) and no lone surrogate."""
    return value.isprintable() or not any(unicodedata.category(char) in ("Cc", "Cs") for char in value)


def clean_text(value: object, limit: int = MAX_TEXT) -> str:
    """Text that every database takes: no NUL, no lone surrogates, cut in the middle to `limit` characters."""
    try:
        text = str(value)
    except BaseException as error:  # noqa: B036 - a __str__ that fails must not keep a failure from being recorded
        text = f"<{kind(value)} whose str() raised {kind(error)}>"
    text = text.replace("\x00", "\ufffd").encode("utf-8", "backslashreplace").decode()
    if len(text) <= limit:
        return text
    half = (limit - 5) // 2
    return f"{text[:half]} ... {text[-half:]}"


def printable(value: object, limit: int = 200) -> str:
    """One inert line for logs and terminals: control characters are escaped."""
    text = clean_text(value, limit)
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
