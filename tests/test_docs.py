"""The documentation holds what it says: examples run, the diagram and the reference are complete, links lead somewhere.

The Python blocks of a page's section run in order, after those before its first section. An expression with a
literal as its comment (`job.state  # "delayed"`) has to be that, `python manage.py runworker` runs the jobs, and
what is a `TestCase` is run too.
"""

import ast
import inspect
import io
import re
import tokenize
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from django.core.management import load_command_class
from django.core.management.base import BaseCommand
from django.test import SimpleTestCase

import conveyor_django
from conveyor_django import FlowJob, FlowProducer, Queue, Worker, conf, exceptions, processor, signals
from conveyor_django.models import Job
from conveyor_django.models.handles import JobHandle
from conveyor_django.models.verbs import JobVerbs
from conveyor_django.options import DEFAULTS, Backoff
from conveyor_django.querysets import JobQuerySet
from conveyor_django.states import TRANSITIONS, ChildFailurePolicy, JobState
from conveyor_django.testing import drain

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "conveyor_django"
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
REFERENCE = (ROOT / "docs" / "reference.md").read_text()
WHOLE = ("README.md", "quickstart.md")  # pages that tell one story

RUN_JOBS = "drain()"  # what `runworker` becomes
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
HEADING = re.compile(r"^(#{1,6}) (.+)$", re.MULTILINE)


class Block(NamedTuple):
    page: Path
    line: int
    code: str


class Part(NamedTuple):
    page: Path
    title: str
    blocks: list[Block]


# Examples


def blocks(page: Path, text: str, first_line: int) -> Iterator[Block]:
    pattern = re.compile(rf"{FENCE.pattern}|^    python manage\.py runworker", re.DOTALL | re.MULTILINE)
    for match in pattern.finditer(text):
        line = first_line + text.count("\n", 0, match.start()) + 1
        if match[2] is None:
            yield Block(page, line - 1, RUN_JOBS)
        elif match[1] == "python":
            yield Block(page, line, match[2])


def parts(page: Path) -> Iterator[Part]:
    text = page.read_text()
    starts = [] if page.name in WHOLE else [m.start() for m in re.finditer(r"^## .+$", text, re.MULTILINE)]
    ends = [*starts[1:], len(text)]
    before = list(blocks(page, text[: starts[0]] if starts else text, 1))
    if not starts:
        yield Part(page, "", before)
    for start, end in zip(starts, ends, strict=False):
        section = text[start:end]
        found = list(blocks(page, section, text.count("\n", 0, start) + 1))
        if any(block.code != RUN_JOBS for block in found):
            yield Part(page, section.splitlines()[0].removeprefix("## "), [*before, *found])


def cases() -> Iterator[Any]:
    for page in PAGES:
        for part in parts(page):
            # Django's test cases close the connection, which would end a transaction around them
            has_tests = any("TestCase)" in block.code for block in part.blocks)
            marks = [pytest.mark.django_db(transaction=True)] if has_tests else []
            yield pytest.param(part, marks=marks, id=f"{page.stem} {part.title}".strip().replace(" ", "-"))


def comments(code: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(code).readline)
    return {
        token.start[0]: token.string.removeprefix("#").strip() for token in tokens if token.type == tokenize.COMMENT
    }


def run(block: Block, names: dict[str, Any]) -> None:
    code = "\n" * (block.line - 1) + block.code  # so that tracebacks name the page's lines
    remarks = comments(code)
    for node in ast.parse(code, str(block.page)).body:
        remark = remarks.get(node.end_lineno or 0, "")
        if isinstance(node, ast.Expr) and is_literal(remark):
            value = eval(compile(ast.Expression(node.value), str(block.page), "eval"), names)
            assert value == ast.literal_eval(remark), f"{block.page}:{node.lineno}: it is {value!r}, not {remark}"
        else:
            exec(compile(ast.Module([node], []), str(block.page), "exec"), names)


def is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return False
    return True


def run_test_cases(names: dict[str, Any]) -> None:
    for value in list(names.values()):
        if inspect.isclass(value) and issubclass(value, SimpleTestCase) and value.__module__ == names["__name__"]:
            result = unittest.TestResult()
            unittest.defaultTestLoader.loadTestsFromTestCase(value).run(result)
            assert result.testsRun
            assert not [trace for _, trace in [*result.failures, *result.errors]]


@pytest.mark.parametrize("part", list(cases()))
def test_examples_run(part: Part) -> None:
    names: dict[str, Any] = {"__name__": "example", "__file__": str(part.page), "drain": drain}
    for block in part.blocks:
        run(block, names)
    run_test_cases(names)


def test_readme_has_a_flow_in_ten_lines() -> None:
    code = FENCE.search((ROOT / "README.md").read_text().partition("## A flow in ten lines")[2])[2]
    assert len([line for line in code.splitlines() if line.strip()]) == 10
    names: dict[str, Any] = {}
    exec(code, names)
    assert drain() == 3
    assert Job.objects.roots().get().return_value == 84


def test_an_example_that_is_wrong_is_noticed() -> None:
    with pytest.raises(AssertionError, match="page.md:2: it is 3, not 4"):
        run(Block(Path("page.md"), 2, "1 + 2  # 4"), {})


# The state diagram


def test_diagram_shows_the_transitions() -> None:
    [diagram] = re.findall(
        r"^```mermaid\n(.*?)^```$", (ROOT / "docs" / "design.md").read_text(), re.DOTALL | re.MULTILINE
    )
    arrows = re.findall(r"^ *(\S+) --> (\S+) : .+$", diagram, re.MULTILINE)
    assert len(arrows) == diagram.count("-->")
    states = {None: "[*]", **{state: state.value.replace("-", "_") for state in JobState}}
    assert set(arrows) == {(states[before], states[after]) for before, after in TRANSITIONS}
    assert len(arrows) == len(TRANSITIONS)


# The reference


def section(title: str) -> str:
    """The text under a heading, up to the next one of its level or above."""
    start = re.search(rf"^(#+) `?{re.escape(title)}\b.*$", REFERENCE, re.MULTILINE)
    assert start, f"the reference has no section {title}"
    end = re.compile(rf"^#{{1,{len(start[1])}}} ", re.MULTILINE).search(REFERENCE, start.end())
    return REFERENCE[start.start() : end.start() if end else None]


def words(text: str) -> set[str]:
    """What stands between backticks or in indented lines, in pieces."""
    spans = re.findall(r"`([^`]+)`|^    (.+)$", text, re.MULTILINE)
    return {word for span in spans for word in re.findall(r"[\w.-]+", " ".join(span))}


def public(of: Any) -> dict[str, Any]:
    return {name: value for name, value in vars(of).items() if not name.startswith("_")}


METHODS_OF_JOB = public(JobVerbs) | public(JobHandle)


def command_names() -> list[str]:
    return sorted(path.stem for path in (PACKAGE / "management" / "commands").glob("[!_]*.py"))


def check_ids() -> set[str]:
    sources = [PACKAGE / "checks.py", *(PACKAGE / "engines").glob("*.py")]
    return {
        f"conveyor_django.{number}" for path in sources for number in re.findall(r'"([EW]\d{3})"', path.read_text())
    }


@pytest.mark.parametrize(
    ("title", "names"),
    [
        ("Reference", set(conveyor_django.__all__)),
        ("Flows", {*public(FlowProducer)}),
        ("Queue", {*public(Queue)}),
        ("JobOptions", set(DEFAULTS)),
        ("Backoff", {"type", "delay", "max_delay", "jitter", "fixed", "exponential"}),
        ("Job", {field.name for field in Job._meta.concrete_fields} - {"removes_children", "removal_due"}),
        ("Job", {*METHODS_OF_JOB, *public(JobQuerySet), "children", "errors", "logs"}),
        ("Worker", {*public(Worker)}),
        ("States", {*JobState.values, *JobState.names}),
        ("Policies", {*ChildFailurePolicy.values, *ChildFailurePolicy.names}),
        ("Errors", {*public(exceptions)}),
        ("Signals", {name for name in vars(signals) if name.startswith("job_")}),
        ("Settings", conf.KNOWN),
        ("Commands", set(command_names())),
        ("System checks", check_ids()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_reference_is_complete(title: str, names: set[str]) -> None:
    assert names
    assert not names - words(section(title))


@pytest.mark.parametrize(
    ("title", "defaults"),
    [("JobOptions", DEFAULTS), ("Settings", vars(conf.Settings()))],
    ids=["JobOptions", "Settings"],
)
def test_reference_has_the_defaults(title: str, defaults: dict[str, Any]) -> None:
    rows = re.findall(r"^\| `(\w+)` \| `?(.+?)`? \|", section(title), re.MULTILINE)
    assert {name: ast.literal_eval(value) for name, value in rows} == {name: defaults[name] for name, _ in rows}


@pytest.mark.parametrize(
    ("title", "functions"),
    [
        ("Flows", {"FlowProducer": FlowProducer, "FlowJob": FlowJob, **vars(FlowProducer)}),
        ("Queue", {"Queue": Queue, **vars(Queue)}),
        ("Backoff", {"Backoff": Backoff}),
        ("processor", {"processor": processor}),
        ("Job", {name: function for name, function in METHODS_OF_JOB.items() if name != "delete"}),  # as Django's
        ("Worker", {"Worker": Worker, **vars(Worker)}),
        ("Testing", {"drain": drain}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_reference_has_the_signatures(title: str, functions: dict[str, Callable[..., Any]]) -> None:
    spans = re.findall(r"`@?(\w+)\(([^`]*)\)`", section(title))
    # the longest is the signature, the others are examples
    shown = {name: arguments for name, arguments in sorted(spans, key=lambda span: len(span[1])) if name in functions}
    assert shown
    for name, arguments in shown.items():
        assert parameters(arguments) == real_parameters(functions[name]), name


def parameters(arguments: str) -> list[tuple[str, Any]]:
    made: dict[str, Any] = {}
    exec(f"def function({arguments}): ...", made)
    return real_parameters(made["function"])


def real_parameters(function: Callable[..., Any]) -> list[tuple[str, Any]]:
    found = inspect.signature(function).parameters.values()
    return [(str(p.kind) + p.name, default_of(p)) for p in found if p.name != "self"]


def default_of(parameter: inspect.Parameter) -> Any:
    """Of a dataclass field with a factory, what the factory makes."""
    return {} if type(parameter.default).__name__ == "_HAS_DEFAULT_FACTORY_CLASS" else parameter.default


@pytest.mark.parametrize("name", command_names())
def test_reference_has_the_options_of(name: str) -> None:
    command = load_command_class("conveyor_django", name)
    djangos = {action.dest for action in BaseCommand().create_parser("manage.py", name)._actions}
    actions = [a for a in command.create_parser("manage.py", name)._actions if a.dest not in djangos]
    text = section(name) + section("Commands").partition("###")[0]
    assert not [action.dest for action in actions if not words(text) & {*action.option_strings, str(action.metavar)}]


# Links


def anchors(text: str) -> set[str]:
    headings = (re.sub(r"[^\w\- ]", "", title.lower()) for _, title in HEADING.findall(FENCE.sub("", text)))
    return {heading.replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", FENCE.sub("", page.read_text())):
        target, _, anchor = link.partition("#")
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), link
        assert not anchor or anchor in anchors(path.read_text()), link
