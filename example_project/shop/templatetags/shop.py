from django import template

register = template.Library()


@register.filter
def money(cents: int) -> str:
    """12,345.67"""
    return f"{cents / 100:,.2f}"
