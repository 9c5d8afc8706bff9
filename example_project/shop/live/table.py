"""The report as a table of text."""

from collections.abc import Iterator
from typing import Any

from example_project.shop.live.lines import Line
from example_project.shop.live.words import clean
from example_project.shop.reporting import total
from example_project.shop.templatetags.shop import money


def report_table(rows: list[dict[str, Any]]) -> Iterator[Line]:
    """Region, orders, revenue and stock, and their totals."""
    yield [("quiet", _columns("Region", "Orders", "Revenue", "Stock"))]
    for row in rows:
        yield [("", _row(clean(row["region"]), row))]
    yield [("title", _row("Total", total(rows)))]


def _row(name: str, row: dict[str, Any]) -> str:
    return _columns(name, f"{row['orders']:,}", money(row["revenue"]), f"{row['stock']:,}")


def _columns(name: str, orders: str, revenue: str, stock: str) -> str:
    return f"  {name[:20]:20}{orders:>10}{revenue:>16}{stock:>10}"
