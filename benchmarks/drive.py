"""Measures one entrant in one part, in a process of its own: `python -m benchmarks.drive PART PEER SCALE OPTIONS`.

The environment says where the store is. The last line it prints is a JSON object of figures.
"""

import importlib
import json
import sys

from .arena import Arena, TooSlow
from .parts import PARTS
from .peers import module_of


def main(part: str, peer: str, scale: str, options: str) -> int:
    arena = Arena(importlib.import_module(module_of(peer)).PEER(), float(scale), json.loads(options))
    try:
        PARTS[part].before(arena)
        arena.peer.prepare()
        figures = PARTS[part].measure(arena)
    except TooSlow as error:
        sys.stderr.write(f"{part} {peer}: {error}\n")
        return 1
    finally:
        arena.close()
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
