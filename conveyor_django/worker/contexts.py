"""What processors find set when they begin: the site's language and time zone, and nothing of earlier jobs."""

from contextvars import Context
from functools import lru_cache

from django.conf import settings
from django.utils import translation


def fresh() -> Context:
    return _speaking(settings.LANGUAGE_CODE).copy()


@lru_cache
def _speaking(language: str) -> Context:
    context = Context()
    context.run(translation.activate, language)
    return context
