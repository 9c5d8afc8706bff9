"""How long things may take in a worker's own sessions, in leases; processors' sessions have no limits from here."""

from conveyor_django.conf import get_settings

CUT_AFTER = 1.5  # without a word from the database its session is given up; it ended the statement by then
HUNG_AFTER = 2  # the loop does nothing at all
_LEAST = 2.0  # seconds: a lease shorter than that is no measure for the network


def lease_or_so() -> float:
    """Seconds; also the limit of one statement."""
    return max(get_settings().HEARTBEAT_TIMEOUT, _LEAST)
