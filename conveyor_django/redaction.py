"""What looks like a secret stays out of pages, logs and commands' output; the stored rows are left as they are."""

import re
from typing import Any

from .conf import get_settings

MASK = "***"
_KEY = 256  # characters of a key that are looked at
_SECRET = re.compile(
    r"pass(?:word|wd|phrase|code)|pwd|secret|token|credential|cookie|authorization|signature"
    r"|(?:api|private|access|signing|encryption)[-_ ]?key"
    r"|session(?:[-_ ]?(?:id|key))?$"
    r"|(?<![a-z])(?:pass|auth|otp|jwt)(?![a-z])",
    re.IGNORECASE,
)
# Each begins where nothing of its own can stand before it, so that a long text is read once. The second half of the
# first is a password that was cut off before its host.
_USERINFO = re.compile(r"(?<=://)(?:[^\s/]*@|[^\s/:@\[]+:(?!\d*(?:[\s/?#,;)'\"]|$))[^\s/]*)")
# A quoted value may have been cut off too.
_ASSIGNMENT = re.compile(r"(?<![\w.-])([\w.-]{1,64})=(\"[^\"]*(?:\"|\Z)|'[^']*(?:'|\Z)|[^\s&;,\"']+)")


def redact(value: Any) -> Any:
    """A copy of JSON in which the values of secret keys, and secrets inside of texts, are masked."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, list):
        return [redact(item) for item in value]
    if isinstance(value, dict):
        return {redact_text(key): _below(key, item) for key, item in value.items()}
    return value


def _below(key: str, item: Any) -> Any:
    """None and booleans say that there is a secret, or none, and not which."""
    if item is None or isinstance(item, bool):
        return item
    return MASK if is_secret(key) else redact(item)


def is_secret(key: str) -> bool:
    start = key[:_KEY]
    return bool(_SECRET.search(start)) or any(pattern.search(start) for pattern in get_settings().secret_keys)


def redact_text(text: str) -> str:
    """Without what stands between `://` and `@`, and without the value in `key=value` where the key is a secret's."""
    if "://" in text:
        text = _USERINFO.sub(_without_userinfo, text)
    return _ASSIGNMENT.sub(_without_value, text) if "=" in text else text


def _without_userinfo(match: re.Match[str]) -> str:
    return f"{MASK}@" if match[0].endswith("@") else MASK


def _without_value(match: re.Match[str]) -> str:
    return f"{match[1]}={MASK}" if is_secret(match[1]) else match[0]
