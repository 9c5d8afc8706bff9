"""How states, durations and moments look: everything that becomes HTML passes `format_html` here."""

import re
from datetime import datetime, timedelta
from typing import Any

from django.template.defaultfilters import date
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from conveyor_django.redaction import redact_text
from conveyor_django.states import JobState

MOMENT = "j M Y, H:i:s"
MAX_REASON = 200  # characters in a row
_CHILDREN = re.compile(r"\A(child [0-9a-f-]{36} (failed: )?)+")


def icon(name: str) -> SafeString:
    """One of the symbols of `icons.html`; the word stands beside it."""
    return format_html('<svg class="cv-icon" aria-hidden="true"><use href="#cv-icon-{}"></use></svg>', name)


def sign(kind: str, word: object) -> SafeString:
    """Icon and word in the colour of a state, or of what borrows one (`live`, `gone`, `paused`)."""
    return format_html('<span class="cv-state cv-{}">{} {}</span>', kind, icon(kind), word)


def chip(state: str) -> SafeString:
    return sign(state, JobState(state).label)


def mark(state: str) -> SafeString:
    """The icon in its colour; its word is there for who hears or points."""
    word = JobState(state).label
    return format_html(
        '<span class="cv-{0}" title="{1}">{2}<span class="cv-hidden">{1}</span></span>', state, word, icon(state)
    )


def own_words(job: Any, reason: str) -> str:
    """The reason without secrets, and without the ids of the children that it came through: they stand in the tree."""
    return redact_text(_CHILDREN.sub("", reason, count=1) if job.failed_by else reason)


def short_reason(job: Any, child: str = "") -> SafeString | str:
    """The first line, for a row with the annotation `short_reason`; nothing for a job that didn't fail.

    `child`: the name of the one that it failed through, where that is known.
    """
    if job.state != JobState.FAILED:
        return ""
    text = own_words(job, job.short_reason).strip().split("\n", 1)[0][:MAX_REASON]
    if not job.failed_by:
        return format_html('<span class="cv-reason">{}</span>', text)
    through = _("Through a child:")
    said = f"{child}, {text}" if child else text
    return format_html('<span class="cv-reason"><b class="cv-failed">{}</b> {}</span>', through, said)


def grouped(number: int) -> str:
    """`10,000`, as the language writes it."""
    return number_format(number, force_grouping=True)


def duration(span: timedelta) -> str:
    """For prose and tables: `0.6 s`, `41 s`, `1 min 44 s`, `2 h 5 min`, `3 d 4 h`. Never rounded up."""
    tenths = max(0, int(span.total_seconds() * 10))
    seconds = tenths // 10
    if seconds < 10:
        return _("%s s") % f"{seconds}.{tenths % 10}"
    if seconds < 60:
        return _("%s s") % seconds
    if seconds < 3600:
        return _("%(min)d min %(s)d s") % {"min": seconds // 60, "s": seconds % 60}
    if seconds < 86400:
        return _("%(h)d h %(min)d min") % {"h": seconds // 3600, "min": seconds // 60 % 60}
    return _("%(d)d d %(h)d h") % {"d": seconds // 86400, "h": seconds // 3600 % 24}


def age(span: timedelta) -> str:
    """One unit is enough: `12 s`, `3 min`, `5 h`, `2 d`."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < 60:
        return _("%s s") % seconds
    if seconds < 3600:
        return _("%d min") % (seconds // 60)
    if seconds < 86400:
        return _("%d h") % (seconds // 3600)
    return _("%d d") % (seconds // 86400)


def clock(span: timedelta) -> str:
    """For the tree: `0:12`, `14:32`, `1:02:03`."""
    seconds = max(0, int(span.total_seconds()))
    if seconds < 3600:
        return f"{seconds // 60}:{seconds % 60:02}"
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def moment(when: datetime | None) -> str:
    return date(timezone.localtime(when), MOMENT) if when else "–"


def ago(when: datetime, now: datetime) -> SafeString:
    """The age, with the moment itself for who wants it."""
    return format_html('<time datetime="{}" title="{}">{}</time>', when.isoformat(), moment(when), age(now - when))


def end(when: datetime, now: datetime) -> SafeString:
    """The time of day, with the date if that was another day's; the whole moment for who wants it."""
    text = date(timezone.localtime(when), "H:i:s" if now - when < timedelta(days=1) else "j M Y, H:i")
    return format_html('<time datetime="{}" title="{}">{}</time>', when.isoformat(), moment(when), text)
