"""The monthly report: rows out of the children's values, HTML out of the rows."""

from typing import Any
from uuid import UUID

from django.template.loader import render_to_string

from example_project.shop import months
from example_project.shop.models import Report

Row = dict[str, Any]


def merge(values: list[dict[str, Any]]) -> list[Row]:
    """One row a region, in the order of the sales: orders, revenue, pieces sold, stock."""
    stocks = {value["region"]: value for value in values if value["kind"] == "stock"}
    return [
        {
            "region": value["region"],
            "orders": value["orders"],
            "revenue": value["revenue"],
            "bestseller": value["bestseller"],
            "stock": stocks[value["region"]]["pieces"],
            "stock_value": stocks[value["region"]]["value"],
            "low": stocks[value["region"]]["low"],
        }
        for value in values
        if value["kind"] == "sales"
    ]


def total(rows: list[Row]) -> Row:
    keys = ("orders", "revenue", "stock", "stock_value", "low")
    return {key: sum(row[key] for row in rows) for key in keys}


def store(job_id: UUID, month: str, rows: list[Row], charts: list[str]) -> Report:
    """Save the report of this job; a second run of the job replaces what the first one saved."""
    html = render_to_string(
        "shop/report_body.html",
        {"title": months.title(month), "rows": rows, "total": total(rows), "charts": charts},
    )
    report, _ = Report.objects.update_or_create(job_id=job_id, defaults={"month": month, "html": html})
    return report
