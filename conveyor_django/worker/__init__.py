"""The worker: claims jobs, runs their processors, reports what came of them."""

from .worker import Worker

__all__ = ["Worker"]
