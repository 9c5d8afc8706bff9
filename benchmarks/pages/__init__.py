"""The blocks of pages that are made from results, by the names that stand in `<!-- made: NAME -->`."""

from collections.abc import Callable

from .markdown import Parts
from .parts import commit, latency, profile, table_of
from .peers import against, peers, readme, spreads
from .scaling import bends, capacity, curves
from .setting import setting

BLOCKS: dict[str, Callable[[Parts], str]] = {
    "readme": readme,
    "setting": setting,
    "peers": peers,
    "against": against,
    "spreads": spreads,
    "commit": commit,
    "profile": profile,
    "capacity": capacity,
    "curves": curves,
    "bends": bends,
    "latency": latency,
    **{name: table_of(name) for name in ("async", "databases", "growth", "cost")},
}
