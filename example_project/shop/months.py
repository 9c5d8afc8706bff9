"""Months as they stand in a job's data: `2026-10`."""

from datetime import date, datetime

from django.utils import dateformat, timezone

from example_project.shop.models import Order


def shift(month: str, months: int) -> str:
    """`month` so many months later, or earlier when negative."""
    year, number = map(int, month.split("-"))
    years, index = divmod(number - 1 + months, 12)
    return f"{year + years:04}-{index + 1:02}"


def start(month: str) -> datetime:
    return timezone.make_aware(datetime.fromisoformat(f"{month}-01"))


def title(month: str, *, short: bool = False) -> str:
    """October 2026, or Oct 2026"""
    return dateformat.format(date.fromisoformat(f"{month}-01"), "M Y" if short else "F Y")


def of(moment: datetime) -> str:
    return timezone.localtime(moment).strftime("%Y-%m")


def latest() -> str | None:
    """The month of the newest order; None in an empty shop."""
    newest = Order.objects.order_by("-placed_at").values_list("placed_at", flat=True).first()
    return of(newest) if newest else None
