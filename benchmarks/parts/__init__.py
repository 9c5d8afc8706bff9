"""The parts of the benchmark, by the names that the command line takes."""

from .adding import Adding
from .base import Part
from .commit import Commit
from .cost import Cost
from .databases import Databases
from .drain import Drain
from .flows import Flows, Wide
from .growth import Growth
from .idle import Idle
from .latency import Latency
from .profile import Profile
from .waiting import Waiting

PARTS: dict[str, Part] = {
    "enqueue": Adding(),
    "drain": Drain(),
    "flows": Flows(),
    "wide": Wide(),
    "latency": Latency(),
    "idle": Idle(),
    "async": Waiting(),
    "databases": Databases(),
    "commit": Commit(),
    "growth": Growth(),
    "cost": Cost(),
    "profile": Profile(),
}
USUAL = ("enqueue", "drain", "flows", "wide", "latency", "idle")  # the peers beside each other
