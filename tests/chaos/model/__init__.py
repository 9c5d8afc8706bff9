"""What flows do, told once more in memory and as plainly as possible, to compare the database's answer with.

It follows the design's words on states and flows and shares no code with the package: states are plain strings,
time is a number that only `advance()` moves, and what can be counted (unfinished children) is counted, not kept.

`Model` takes one step at a time: `add`, `claim`, `complete`, `fail`, `delay`, `give_back`, `stall`, `retry`, `cancel`,
`remove`, `drain`, `clean`, `prune`, `obliterate`, `promote`, `promote_due`, `tidy`, ...; jobs go by their names. A step
that the design forbids raises `Refused` and changes nothing.

`verdicts(tree, ends)` says what each job of a flow can come to, whatever the order in which its jobs happen to run.
"""

from .jobs import Job, Node, Refused
from .model import Model
from .verdicts import verdicts

__all__ = ["Job", "Model", "Node", "Refused", "verdicts"]
