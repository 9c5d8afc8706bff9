"""All faults by name."""

from .base import Fault, Scene
from .callers import Admin, Clock, Twice
from .database import Exhaust, ReadOnly, Restart, Snapshot, Terminate
from .network import Proxy
from .processes import Crowd, Kill, Processors, Sigterm, Stop

__all__ = ["FAULTS", "Fault", "Scene"]

FAULTS: dict[str, type[Fault]] = {
    fault.name: fault
    for fault in (
        *(Kill, Stop, Sigterm, Processors, Crowd),
        *(Terminate, Proxy, Restart, ReadOnly, Exhaust, Snapshot),
        *(Clock, Twice, Admin),
    )
}
