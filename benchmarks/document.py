"""Puts results into docs/: `python -m benchmarks.document [RESULTS]`, or `make bench ARGS=--document`.

Parts that weren't measured this time keep what was measured before, which docs/performance.json has. What stands
between `<!-- made: NAME -->` and `<!-- end -->` in a page is made here, and nowhere else.
"""

import json
import re
import sys
from pathlib import Path
from typing import Any

from . import pages
from .chart import draw

_ROOT = Path(__file__).resolve().parent.parent
_DOCS = _ROOT / "docs"
_KEPT = _DOCS / "performance.json"
_CHART = _DOCS / "images" / "performance.svg"
PAGES = (_ROOT / "README.md", _DOCS / "performance.md", _DOCS / "scaling.md")
_BLOCK = re.compile(r"(<!-- made: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def document(results: Path | None = None) -> None:
    kept: dict[str, Any] = json.loads(_KEPT.read_text()) if _KEPT.exists() else {"parts": {}}
    if results:
        kept["parts"] |= {name: part for name, part in json.loads(results.read_text())["parts"].items() if _whole(part)}
        _KEPT.write_text(json.dumps(kept, indent=1) + "\n")
    _CHART.write_text(draw({name: part["runs"] for name, part in kept["parts"].items()}))
    for page in PAGES:
        page.write_text(made(page.read_text(), kept["parts"]))


def made(text: str, parts: dict[str, Any]) -> str:
    """A page with its blocks made anew."""
    return _BLOCK.sub(lambda found: _made(found, parts), text)


def _whole(part: dict[str, Any]) -> bool:
    """A part that failed for somebody is no news."""
    rounds = [figures for found in part["runs"].values() for figures in found]
    return bool(rounds) and not any("error" in figures for figures in rounds)


def _made(found: re.Match[str], parts: dict[str, Any]) -> str:
    """The block anew; as it was, where nothing was measured for it."""
    begin, name, end = found.groups()
    text = pages.BLOCKS[name](parts)
    return f"{begin}\n{text}\n\n{end}" if text else found[0]


if __name__ == "__main__":
    document(Path(sys.argv[1]) if sys.argv[1:] else None)
