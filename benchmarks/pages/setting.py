"""When, where and with what."""

from textwrap import fill
from typing import Any

from .markdown import Parts


def setting(parts: Parts) -> str:
    """Where, when and with what; if parts were measured apart, each with its date."""
    measured = [part["measured"] for part in parts.values()]
    if not measured:
        return ""
    last = max(measured, key=lambda one: one["date"])
    machine = last["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in last["versions"].items() if name != "conveyor-django")
    when = "; ".join(
        f"{one['date']}, {one['rounds']} of each at {one['scale']:g} of the full size: {', '.join(names)}"
        for one, names in _alike(parts)
    )
    lines = (
        f"- **When**: {when}",
        f"- **Machine**: {machine['processor']}, {machine['cores']} cores, {machine['memory_gib']} GiB; "
        "workers, producers and servers share it",
        f"- **Versions**: {versions}",
    )
    return "\n".join(fill(line, 120, subsequent_indent="  ") for line in lines)


def _alike(parts: Parts) -> list[tuple[dict[str, Any], list[str]]]:
    found: dict[tuple[Any, ...], tuple[dict[str, Any], list[str]]] = {}
    for name, part in parts.items():
        one = part["measured"]
        found.setdefault((one["date"], one["rounds"], one["scale"]), (one, []))[1].append(name)
    return list(found.values())


def in_a_line(part: dict[str, Any]) -> str:
    measured = part["measured"]
    machine, versions = measured["machine"], measured["versions"]
    return (
        f"Medians of {measured['rounds']} rounds on {measured['date']}. {machine['processor']}, {machine['cores']} "
        f"cores, shared by workers and servers. Python {versions['Python']}; PostgreSQL "
        f"{versions.get('PostgreSQL', '')}, which waits for the disk; Redis {versions.get('Redis', '')}, in memory. "
        "The floor is no queue: it is what Python leaves of PostgreSQL."
    )
