"""What a flow of this shop is called on pages and in the terminal."""

from conveyor_django import JobSummary
from conveyor_django.models import Job
from example_project.shop import months

ROOTS = ("send-report", "send-statements", "deploy", "ship-order")


def title(root: Job | JobSummary) -> str:
    if root.name == "send-report":
        return f"Report of {months.title(root.data['month'])}"
    if root.name == "send-statements":
        return f"Statements of {months.title(root.data['month'])}"
    if root.name == "deploy":
        return f"Deploy {root.data['version']}"
    return f"Order {root.data['order']}, policy {root.data['policy']}"
