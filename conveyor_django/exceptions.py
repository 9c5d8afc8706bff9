"""What the package raises. Everything derives from `ConveyorError`."""


class ConveyorError(Exception):
    """Base of all errors of this package."""


class InvalidJob(ConveyorError, ValueError):
    """A job's name, queue, data or options can't be accepted; nothing was written."""


class InvalidFlow(ConveyorError, ValueError):
    """A flow can't be accepted (a cycle, equal job_ids, too many jobs); nothing was written."""


class InvalidNode(InvalidFlow, InvalidJob):
    """One job's input is bad, alone or as part of a flow; the message names the field and the value's kind."""


class DuplicateJob(ConveyorError):
    """A node below a flow's root has a job_id that its queue already holds; nothing was written."""


class TryAgain(ConveyorError):
    """Others kept changing the same jobs meanwhile, many times in a row; nothing was written."""


class InvalidJobState(ConveyorError):
    """The job's state, or that of a job in its subtree, does not allow this."""


class LostLease(ConveyorError):
    """The job is no longer this worker's: it was rescued, cancelled or removed meanwhile."""


class JobCancelled(ConveyorError):
    """Raised inside a running processor whose job was cancelled."""


class JobTimeout(ConveyorError):
    """The attempt ran longer than its `timeout`; raised inside the processor as a courtesy."""


class NoProcessor(ConveyorError):
    """No processor is registered for this queue and name."""
