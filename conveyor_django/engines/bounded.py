"""Numbers about the first rows of a query, many of which fit into one statement."""

from django.db.models import DateTimeField, IntegerField, Subquery


class BoundedCount(Subquery):
    """How many rows a sliced query has: no more are read than the slice is long."""

    template = "(SELECT COUNT(*) FROM (%(subquery)s) bounded)"
    output_field = IntegerField()


class BoundedMin(Subquery):
    """The earliest `moment` among the rows of a sliced query."""

    template = "(SELECT MIN(bounded.moment) FROM (%(subquery)s) bounded)"
    output_field = DateTimeField()


class BoundedMax(BoundedMin):
    """The latest one."""

    template = "(SELECT MAX(bounded.moment) FROM (%(subquery)s) bounded)"
