"""The product and the model side by side: the same steps for both, compared after each."""

from .flows import Flows

__all__ = ["Flows"]
