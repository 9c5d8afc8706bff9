"""The house rules that a reader may count on: short files, one writer of state, SQL in one place."""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import pytest

import conveyor_django

PACKAGE = Path(conveyor_django.__file__).parent
MODULES = {
    path.relative_to(PACKAGE).as_posix(): path.read_text()
    for path in sorted(PACKAGE.rglob("*.py"))
    if "migrations" not in path.parts
}

Finding = tuple[int, str]
Rule = Callable[[ast.AST], str | None]


def findings(source: str, rule: Rule) -> Iterator[Finding]:
    tree = ast.parse(source)
    for docstring in list(docstrings(tree)):
        docstring.value = ""
    for node in ast.walk(tree):
        if what := rule(node):
            yield getattr(node, "lineno", 0), what


def docstrings(tree: ast.AST) -> Iterator[ast.Constant]:
    for node in ast.walk(tree):
        match getattr(node, "body", None):
            case [ast.Expr(value=ast.Constant(value=str()) as docstring), *_]:
                yield docstring


WRITES = ("update", "create", "get_or_create", "update_or_create")
WRITING_METHODS = {*WRITES, *(f"a{name}" for name in WRITES), "set", "move"}


def names_state(keyword: ast.keyword) -> bool:
    """`state=...`, or `**{"state": ...}`."""
    return keyword.arg == "state" or (keyword.arg is None and "'state'" in ast.unparse(keyword.value))


def writes_state(node: ast.AST) -> str | None:
    match node:
        case ast.Attribute(attr="state", ctx=ast.Store() | ast.Del()):
            return ast.unparse(node)
        case ast.Call(func=ast.Attribute(attr=method), keywords=keywords) if method in WRITING_METHODS:
            return method if any(names_state(keyword) for keyword in keywords) else None
        case ast.Call(func=ast.Name(id="Job"), keywords=keywords):
            return "Job(...)" if any(names_state(keyword) for keyword in keywords) else None
        case ast.Call(func=ast.Name(id="setattr"), args=[_, ast.Constant(value="state"), _]):
            return "setattr"
        case ast.Call(func=ast.Attribute(attr="bulk_update" | "abulk_update" | "save" | "asave" | "write_jobs")):
            return ast.unparse(node) if "'state'" in ast.unparse(node) else None
        case ast.Constant(value=str(text)) if re.search(r"\bSET\b[^;]*\bstate\s*=", text):
            return text.strip()
    return None


def speaks_sql(node: ast.AST) -> str | None:
    match node:
        case ast.Attribute(attr="vendor" | "cursor" | "select_for_update" | "raw" | "extra" as name):
            return name
        case ast.Name(id="RawSQL") | ast.alias(name="RawSQL"):
            return "RawSQL"
        case ast.Constant(value=str(text)) if re.search(
            r"\b(SELECT .+ FROM|INSERT INTO|UPDATE \S+ SET|DELETE FROM|FOR UPDATE|SKIP LOCKED)\b",
            text,
            re.DOTALL,
        ):
            return text.strip()
    return None


LAWS = [
    pytest.param(writes_state, "transitions/", id="state is written in transitions only"),
    pytest.param(speaks_sql, "engines/", id="locks, SQL and vendors are in engines only"),
]


@pytest.mark.parametrize(("rule", "home"), LAWS)
def test_law(rule: Rule, home: str) -> None:
    broken = [
        f"{name}:{line}: {what}"
        for name, source in MODULES.items()
        if not name.startswith(home)
        for line, what in findings(source, rule)
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(("rule", "home"), LAWS)
def test_law_has_something_to_find(rule: Rule, home: str) -> None:
    assert any(list(findings(source, rule)) for name, source in MODULES.items() if name.startswith(home))


@pytest.mark.parametrize(
    "source",
    [
        "job.state = 'failed'",
        "job.state, job.worker = 'failed', None",
        "setattr(job, 'state', 'failed')",
        "Job.objects.filter(pk=1).update(worker=None, state='failed')",
        "await jobs.aupdate(state='failed')",
        "jobs.update(**{'state': 'failed'})",
        "work.set(job, state='failed')",
        "Job(name='x', state='waiting')",
        "Job.objects.create(state='waiting')",
        "Job.objects.bulk_update(jobs, ['state'])",
        "job.save(update_fields=['state'])",
        "sql = 'UPDATE job SET worker = NULL, state = %s'",
    ],
)
def test_writes_of_state_are_seen(source: str) -> None:
    assert list(findings(source, writes_state))


@pytest.mark.parametrize(
    "source",
    [
        "if connection.vendor == 'mysql': pass",
        "with connection.cursor() as cursor: pass",
        "Job.objects.select_for_update()",
        "Job.objects.raw(statement)",
        "statement = 'SELECT id FROM job'",
        "clause = 'FOR UPDATE'",
    ],
)
def test_sql_is_seen(source: str) -> None:
    assert list(findings(source, speaks_sql))


@pytest.mark.parametrize(
    "source",
    [
        "'''Sets job.state; SELECT id FROM job.'''",
        "if job.state == 'active': pass",
        "Job.objects.filter(state='active').update(worker=None)",
        "summary = JobSummary(state=job.state)",
    ],
)
def test_reading_is_allowed(source: str) -> None:
    assert not [*findings(source, writes_state), *findings(source, speaks_sql)]


def test_files_are_short() -> None:
    lengths = {name: len(source.splitlines()) for name, source in MODULES.items() if source}
    assert not {name: length for name, length in lengths.items() if length > 300}
    assert median(lengths.values()) < 100
