"""What the jobs of a deploy do to the example project itself."""

import ast
from hashlib import sha256
from pathlib import Path

from django.conf import settings
from django.core import checks

ROOT = settings.BASE_DIR / "example_project"


def python_files() -> list[Path]:
    return sorted(ROOT.rglob("*.py"))


def parse(path: Path) -> None:
    """Raises `SyntaxError`."""
    ast.parse(path.read_text(encoding="utf-8"), str(path))


def run_checks() -> int:
    """The number of warnings of Django's checks; an error is raised."""
    messages = checks.run_checks()
    if errors := [message for message in messages if message.is_serious()]:
        raise RuntimeError(f"{len(errors)} checks failed, first {errors[0].id}: {errors[0].msg}")
    return len(messages)


def digest() -> str:
    """The same as long as no source, template or static file changes."""
    total = sha256()
    for path in sorted(path for path in ROOT.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        total.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return total.hexdigest()[:12]
