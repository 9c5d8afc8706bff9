"""Tables in Markdown."""

from typing import Any

Parts = dict[str, Any]  # as results.json has them


def table(head: list[str], rows: list[list[str]]) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
