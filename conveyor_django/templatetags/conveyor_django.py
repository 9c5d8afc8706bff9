"""`{% load conveyor_django %}`: what a site puts on its own pages."""

import re
from typing import Any

from django import template
from django.core.exceptions import ImproperlyConfigured
from django.db import router
from django.template.context import Context
from django.urls import NoReverseMatch, reverse
from django.utils.translation import gettext_lazy as _

from conveyor_django.models import Job
from conveyor_django.progress import progress_of, token_of

register = template.Library()

WORDS: dict[str, Any] = {
    "waiting": _("In line"),
    "waiting_note": _("Starts when it is its turn"),
    "running": _("In progress"),
    "steps": _("{done} of {total} steps done"),
    "per_cent": _("{percent} %"),
    "completed": _("Ready"),
    "completed_note": "",
    "url": "",  # where `link` leads once it is completed
    "link": _("Open it"),
    "failed": _("It did not work"),
    "failed_note": "",
    "help_url": "",  # where `help` leads once it has failed
    "help": _("Ask for help"),
    "gone": _("No longer followed here"),
    "gone_note": _("Load the page again to see what became of it"),
}


@register.inclusion_tag("conveyor_django/flow_progress.html", takes_context=True)
def flow_progress(context: Context, job: Job | None, **words: Any) -> dict[str, Any]:
    """A bar for the flow that `job` is in, which keeps itself up to date; nothing where there is no job."""
    if unknown := words.keys() - WORDS.keys():
        raise template.TemplateSyntaxError(
            f"flow_progress has no {', '.join(sorted(unknown))}; it has {', '.join(WORDS)}"
        )
    if not job:
        return {}
    using = job._state.db or router.db_for_read(Job)
    progress = progress_of(using, job.root_id)
    said = {**WORDS, **words}
    return {
        **said,
        "stage": progress.stage,
        "interval": progress.interval,
        "percent": progress.figures["percent"],
        "per_cent_now": _filled(said["per_cent"], progress.figures),
        "steps_now": _filled(said["steps"], progress.figures),
        "has_steps": progress.total > 1,
        "source": _address(token_of(using, job.root_id)),
        "nonce": _nonce(context),
    }


def _filled(text: object, figures: dict[str, str]) -> str:
    """With `{done}` and the like replaced, as flow_progress.js does it."""
    return re.sub(r"\{(\w+)\}", lambda match: figures.get(match[1], match[0]), str(text))


def _address(token: str) -> str:
    try:
        return reverse("conveyor_django:flow_progress", args=[token])
    except NoReverseMatch as error:
        raise ImproperlyConfigured(
            'flow_progress needs path("conveyor/", include("conveyor_django.urls")) in the URLs of the site'
        ) from error


def _nonce(context: Context) -> str:
    """That of the Content-Security-Policy, from Django's own context processor or from django-csp, if there is one."""
    nonce = context.get("csp_nonce")
    if nonce is None:
        nonce = getattr(context.get("request"), "csp_nonce", None)
    return "" if nonce is None else str(nonce)
