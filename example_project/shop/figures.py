"""What the report's jobs compute, each from the database. Values are plain JSON."""

from typing import Any

from django.db.models import Count, F, Q, QuerySet, Sum

from example_project.shop import months
from example_project.shop.models import Order, OrderLine, Region, Stock

REVENUE = Sum(F("quantity") * F("price_cents"), default=0)


def sales(region: Region, month: str) -> dict[str, int]:
    orders = Order.objects.filter(region=region, **_during(month, "placed_at")).count()
    return {"orders": orders} | _lines(region, month).aggregate(revenue=REVENUE, pieces=Sum("quantity", default=0))


def bestseller(region: Region, month: str) -> str:
    """The name of the product that brought most; empty without orders."""
    ranking = _lines(region, month).values("product__name").annotate(revenue=REVENUE)
    best = ranking.order_by("-revenue", "product__name").first()
    return best["product__name"] if best else ""


def inventory(region: Region) -> dict[str, int]:
    return Stock.objects.filter(region=region).aggregate(
        pieces=Sum("quantity", default=0),
        value=Sum(F("quantity") * F("product__price_cents"), default=0),
        low=Count("pk", filter=Q(quantity__lt=Stock.LOW)),
    )


def revenue(region: Region, month: str) -> int:
    return _lines(region, month).aggregate(revenue=REVENUE)["revenue"]


def _lines(region: Region, month: str) -> QuerySet[OrderLine]:
    return OrderLine.objects.filter(order__region=region, **_during(month, "order__placed_at"))


def _during(month: str, field: str) -> dict[str, Any]:
    return {f"{field}__gte": months.start(month), f"{field}__lt": months.start(months.shift(month, 1))}
