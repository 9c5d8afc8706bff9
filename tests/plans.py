"""How the database finds jobs for the statements that were really sent: what its plans say of that table."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from django.db import connection

from conveyor_django.engines.pipeline import Pipeline
from conveyor_django.models import Job

VENDOR = connection.vendor
JOB = Job._meta.db_table
PRIMARY_KEY = {"postgresql": f"{JOB}_pkey", "mysql": "PRIMARY", "sqlite": f"sqlite_autoindex_{JOB}_1"}[VENDOR]
WAITING, DELAYED, ACTIVE, PARENTS, REMOVAL = SMALL = [  # that hold, or begin with, a state which few jobs are in
    f"conveyor_job_{name}" for name in ("waiting", "delayed", "active", "parents", "removal")
]
_ALIAS = re.compile(rf"\b{JOB}\b[`\"]?(?:\s+(?:AS\s+)?[`\"]?(\w+))?", re.IGNORECASE)
_SQLITE_STEP = re.compile(r"(SCAN|SEARCH) (\w+)(?: USING (AUTOMATIC )?.*?INDEX (\w+))?")


class Sent(NamedTuple):
    statement: str
    params: Sequence[Any]
    in_pipeline: bool

    @property
    def aliases(self) -> set[str]:
        """What jobs are called in it."""
        return {JOB, *_ALIAS.findall(self.statement)}


class Plan(NamedTuple):
    found_by: set[str]  # indexes; one of `SMALL` that is read from end to end is here with a `*`
    reads_all: list[str]  # steps that read the whole table, or a whole index of it
    sorts: list[str]
    shown: str


@contextmanager
def capturing() -> Iterator[list[Sent]]:
    """What is sent within the block and reads jobs."""
    found: list[Sent] = []

    def keep(execute: Callable[..., Any], statement: str, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001
        if context["cursor"] is None:  # a pipeline's statements, together
            some = [Sent(*each, in_pipeline=True) for each in params]
        else:
            some = [Sent(statement, params[0] if many else params or (), in_pipeline=False)]
        found.extend(sent for sent in some if JOB in sent.statement and not sent.statement.startswith("INSERT"))
        return execute(statement, params, many, context)

    with connection.execute_wrapper(keep):
        yield found


def plan_of(sent: Sent) -> Plan:
    plan = Plan(set(), [], [], "")
    rows = _explained(sent)
    {"postgresql": _read_postgres, "mysql": _read_mysql, "sqlite": _read_sqlite}[VENDOR](plan, sent, rows)
    return plan._replace(shown="\n".join([sent.statement, *map(str, rows)]))


def _explained(sent: Sent) -> list[Any]:
    if sent.in_pipeline:
        [[(tree,)]] = Pipeline(connection).send([(_explain_prepared(sent), [])])  # with the settings of a turn
        return list(_nodes(tree[0]["Plan"]))
    explain = {"postgresql": "EXPLAIN (FORMAT JSON)", "mysql": "EXPLAIN", "sqlite": "EXPLAIN QUERY PLAN"}[VENDOR]
    with connection.cursor() as cursor:
        cursor.execute(f"{explain} {sent.statement}", sent.params)
        rows = cursor.fetchall()
        if VENDOR == "postgresql":
            return list(_nodes(rows[0][0][0]["Plan"]))
        return [dict(zip((column[0] for column in cursor.description), row, strict=True)) for row in rows]


def _explain_prepared(sent: Sent) -> str:
    """Of the statement as this session has prepared it: with its plan, if that was kept."""
    numbers = iter(range(1, len(sent.params) + 1))
    text = re.sub("%[s%]", lambda match: f"${next(numbers)}" if match[0] == "%s" else "%", sent.statement)
    with connection.cursor() as cursor:
        cursor.execute("SELECT name FROM pg_prepared_statements WHERE statement = %s", [text])
        [(name,)] = cursor.fetchall()
        values = [connection.Database.sql.Literal(value).as_string(cursor.connection) for value in sent.params]
    arguments = f"({', '.join(values)})".replace("%", "%%") if values else ""
    return f'EXPLAIN (FORMAT JSON) EXECUTE "{name}"{arguments}'


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield {name: value for name, value in node.items() if name != "Plans"}
    for part in node.get("Plans", ()):
        yield from _nodes(part)


def _read_postgres(plan: Plan, sent: Sent, nodes: Sequence[Mapping[str, Any]]) -> None:
    for node in nodes:
        index = node.get("Index Name", "")
        if "Sort" in node["Node Type"]:
            plan.sorts.append(str(node))
        elif node["Node Type"] == "Seq Scan" and node["Relation Name"] == JOB:
            plan.reads_all.append(str(node))
        elif index == PRIMARY_KEY or index.startswith("conveyor_job_"):
            _note(plan, index, whole="Index Cond" not in node, step=str(node))


def _read_mysql(plan: Plan, sent: Sent, rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        if "filesort" in (row["Extra"] or ""):
            plan.sorts.append(str(row))
        if row["table"] not in sent.aliases:
            continue
        if row["key"] is None:
            plan.reads_all.append(str(row))
        else:
            by_state_alone = row["type"] == "ref" and row["ref"] == "const"
            index = row["key"].split("|")[0]  # the other one filters
            whole = row["type"] == "index" or (by_state_alone and index in SMALL)
            _note(plan, index, whole=whole, step=str(row), is_small=by_state_alone)


def _read_sqlite(plan: Plan, sent: Sent, rows: Sequence[Mapping[str, Any]]) -> None:
    for row in rows:
        if "TEMP B-TREE" in row["detail"]:
            plan.sorts.append(row["detail"])
        elif (step := _SQLITE_STEP.match(row["detail"])) and step[2] in sent.aliases:
            if step[4] is None or step[3]:
                plan.reads_all.append(row["detail"])
            else:
                _note(plan, step[4], whole=step[1] == "SCAN", step=row["detail"])


def _note(plan: Plan, index: str, *, whole: bool, step: str, is_small: bool = True) -> None:
    if whole and not (is_small and index in SMALL):
        plan.reads_all.append(step)
    else:
        plan.found_by.add(f"{index}*" if whole else index)
