"""The one canonical encoder that stands before any SQL: what passes here is stored alike by every database.

Values are refused with a reason; the texts of errors are never refused but cleaned and cut.
"""

import json
import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from math import isfinite
from typing import Any

from .exceptions import ConveyorError, InvalidNode

MAX_DEPTH = 30  # MariaDB's JSON_VALID refuses 32
MAX_NAME = 255
MAX_REASON = 4_000
MAX_TEXT = 64 * 1024
_MAX_INT = 2**63
_AS_IT_IS = {bool, type(None)}
# control characters but for those of lines, and what turns the direction of the text around it
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]|\r(?!\n)")
_class_name = vars(type)["__name__"].__get__  # a metaclass may say something else, or raise
_TEXT_OR_LARGE_FLOAT = re.compile(r'"(?:[^"\\]|\\.)*"|-?[\d.]+e\+\d+')


_compact = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode
_stored = json.JSONEncoder(check_circular=False).encode  # for each value: an encoder of its own would take longer

Path = Any  # a field's name, or (the path above, a key): put into words only for an error


class PortableEncoder(json.JSONEncoder):
    """Writes large floats without an exponent: PostgreSQL would give back 1e+23 as the int that it isn't."""

    def encode(self, o: Any) -> str:
        return _portable(super().encode(o))


def _portable(text: str) -> str:
    return _TEXT_OR_LARGE_FLOAT.sub(_positional, text) if "e+" in text else text


def _positional(match: re.Match[str]) -> str:
    token = match[0]
    return token if token.startswith('"') else f"{Decimal(token):f}.0"


def kind(value: object) -> str:
    name: str = _class_name(type(value))
    return name


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
    return normalize_text(value, field, max_bytes)[0]


def normalize_text(value: Any, field: str, max_bytes: int) -> tuple[Any, str]:
    """What `normalize` returns, and the JSON that every database is given for it: `PortableEncoder`'s."""
    copy = _copied(value, max_bytes)
    if copy is _ODD or _may_be_no_text(text := _stored(copy)):
        try:
            copy = _Plain(field, max_bytes).of(value, field, 0)
        except ConveyorError:
            raise
        except Exception as error:
            raise unreadable(value, field, error) from error
        text = _stored(copy)
    # it has more bytes than what is limited: blanks, and escapes for what isn't ASCII
    if len(text) > max_bytes and (size := len(_compact(copy).encode())) > max_bytes:
        raise InvalidNode(f"{field} is {size} bytes of JSON, the limit is {max_bytes}")
    return copy, _portable(text)


def unreadable(value: object, field: str, error: Exception) -> InvalidNode:
    """For an object whose own methods raise `error` while it is read."""
    return InvalidNode(f"{field} is a {kind(value)} that can't be read: {kind(error)}")


_ODD: Any = object()


def _may_be_no_text(text: str) -> bool:
    """Whether there may be a NUL or a surrogate among the escapes."""
    return "\\u0000" in text or "\\ud" in text


def _copied(value: Any, max_bytes: int) -> Any:
    """A copy of what nearly all values are made of, in a third of the time; `_ODD` for what `_Plain` has to look at."""
    quick = _Quick(max_bytes)
    try:
        copy = quick.of(value, 0)
    except (_Odd, RuntimeError):  # the second for what grows or shrinks meanwhile
        return _ODD
    return copy if quick.left >= 0 else _ODD


class _Odd(Exception):
    pass


class _Quick:
    """Copies a value that has JSON's own types only, and is no longer and no deeper than it may be."""

    def __init__(self, max_bytes: int) -> None:
        self.left = max_bytes - 1  # as `_Plain` counts: this value

    def of(self, value: Any, depth: int) -> Any:
        cls = type(value)
        if cls is str:
            self.left -= len(value)
            return value
        if cls in _AS_IT_IS or (cls is int and -_MAX_INT <= value < _MAX_INT) or (cls is float and isfinite(value)):
            return value
        if cls is not dict and cls is not list and cls is not tuple:
            raise _Odd
        self.left -= len(value)
        if self.left < 0 or depth == MAX_DEPTH:
            raise _Odd
        if cls is not dict:
            return [self.of(item, depth + 1) for item in value]
        copy = {}
        for key, item in value.items():
            if type(key) is not str:
                raise _Odd
            self.left -= len(key)
            copy[key] = self.of(item, depth + 1)
        return copy


class _Plain:
    """Copies one value, and stops where the copy outgrows its limit: what holds itself twice grows fast.

    Subclasses of JSON's types are read past their own methods, which may say anything.
    """

    def __init__(self, field: str, max_bytes: int) -> None:
        self._field = field
        self._max_bytes = max_bytes
        self._left = max_bytes  # each value and each character is a byte at least

    def of(self, value: Any, path: Path, depth: int) -> Any:
        self._take(1)
        if value is None or value is True or value is False:
            return value
        if isinstance(value, str):
            return self._text(value, path)
        if isinstance(value, int):
            return _whole(value, path)
        if isinstance(value, float):
            return _finite(value, path)
        if depth == MAX_DEPTH:
            raise InvalidNode(f"{_words(path)} is nested deeper than {MAX_DEPTH} levels")
        if isinstance(value, Mapping):
            return dict(self._item(key, item, path, depth) for key, item in value.items())
        if isinstance(value, (list, tuple)):
            return [self.of(item, (path, index), depth + 1) for index, item in enumerate(value)]
        raise InvalidNode(f"{_words(path)} is a {kind(value)}, which JSON doesn't have")

    def _item(self, key: object, item: Any, path: Path, depth: int) -> tuple[str, Any]:
        if not isinstance(key, str):
            raise InvalidNode(f"{_words(path)} has a key that is a {kind(key)}; JSON keys are str")
        below = (path, str.__str__(key))
        return self._text(key, below), self.of(item, below, depth + 1)

    def _text(self, value: str, path: Path) -> str:
        text = str.__str__(value)
        self._take(len(text))
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise InvalidNode(f"{_words(path)} holds a str with a lone surrogate, which is not text") from None
        if "\x00" in text:
            raise InvalidNode(f"{_words(path)} holds a str with a NUL character")
        return text

    def _take(self, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise InvalidNode(f"{self._field} is too many bytes of JSON, the limit is {self._max_bytes}")


def _whole(value: int, path: Path) -> int:
    number = int.__int__(value)
    if not -_MAX_INT <= number < _MAX_INT:
        raise InvalidNode(f"{_words(path)} holds an int beyond 64 bits")
    return number


def _finite(value: float, path: Path) -> float:
    number = float.__float__(value)
    if not isfinite(number):
        raise InvalidNode(f"{_words(path)} holds the float {number!r}, which JSON doesn't have")
    return number


def _words(path: Path) -> str:
    keys = []
    while isinstance(path, tuple):
        path, key = path
        keys.append(f"[{key!r}]"[:80])
    return "".join([path, *reversed(keys)])


def text_of(value: object) -> str | None:
    """The plain text of a str, whatever its subclass says it is; None for anything else."""
    return str.__str__(value) if issubclass(type(value), str) else None


def check_name(value: object, field: str) -> str:
    """A queue's, a job's or a custom id's name: 1 to 255 characters, none of them a control character."""
    name = text_of(value)
    if name is None:
        raise InvalidNode(f"{field} must be a str, not {kind(value)}")
    if not name:
        raise InvalidNode(f"{field} must not be empty")
    if len(name) > MAX_NAME:
        raise InvalidNode(f"{field} has {len(name)} characters, the limit is {MAX_NAME}")
    if not is_inert(name):
        raise InvalidNode(f"{field} holds a control character or a lone surrogate: {ascii(name)[:80]}")
    return name


def is_inert(value: str) -> bool:
    """Whether there is no control character (NUL among them) and no lone surrogate."""
    return value.isprintable() or not any(unicodedata.category(char) in ("Cc", "Cs") for char in value)


def clean_text(value: object, limit: int = MAX_TEXT) -> str:
    """Text that every database takes: no NUL, no lone surrogates, cut in the middle to `limit` characters."""
    try:
        text = str.__str__(str(value))
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


def visible(text: str) -> str:
    """Several lines for a page: what isn't seen, and changes how the rest is, is escaped."""
    return _CONTROLS.sub(lambda match: ascii(match[0])[1:-1], text)
