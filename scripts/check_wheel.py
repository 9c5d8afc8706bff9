"""Build the wheel, by way of the sdist, look into it and use it in an empty environment."""

import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "conveyor_django"
NEEDED = ("py.typed", "migrations/0001_initial.py", "templates/", "static/")

USE = f"""
import django
from django.conf import settings
from django.core.management import call_command

settings.configure(
    INSTALLED_APPS=["django.contrib.contenttypes", "{PACKAGE}"],
    DATABASES={{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": "site.sqlite3"}}}},
    USE_TZ=True,
)
django.setup()
call_command("migrate", verbosity=0)

import {PACKAGE}

for name in {PACKAGE}.__all__:
    getattr({PACKAGE}, name)
flow = {PACKAGE}.FlowProducer().add(
    {{"name": "parent", "queue_name": "q", "children": [{{"name": "child", "queue_name": "q"}}]}}
)
assert flow.job.state == "waiting-children", flow
print("used", {PACKAGE}.__file__)
"""


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="conveyor-wheel-") as folder:
        wheel = build(Path(folder))
        check_contents(wheel)
        use(wheel, Path(folder))
    print(f"{wheel.name} holds what it should, and works")


def build(folder: Path) -> Path:
    run(sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT))
    [wheel] = folder.glob("*.whl")
    return wheel


def check_contents(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    inside = {name.removeprefix(f"{PACKAGE}/") for name in names if name.startswith(f"{PACKAGE}/")}
    for needed in NEEDED:
        if not any(name.startswith(needed) for name in inside):
            sys.exit(f"{wheel.name} lacks {needed}")
    if missing := source_files() - inside:
        sys.exit(f"{wheel.name} lacks {', '.join(sorted(missing))}")
    if strays := [name for name in names if not name.startswith((f"{PACKAGE}/", f"{PACKAGE}-"))]:
        sys.exit(f"{wheel.name} holds what is no part of the package: {', '.join(strays)}")


def source_files() -> set[str]:
    package = ROOT / PACKAGE
    files = (path.relative_to(package) for path in package.rglob("*") if path.is_file())
    return {path.as_posix() for path in files if "__pycache__" not in path.parts}


def use(wheel: Path, folder: Path) -> None:
    empty = folder / "empty"
    venv.create(empty, with_pip=True)
    python = str(empty / "bin" / "python")
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", str(wheel))
    used = run(python, "-I", "-c", USE, cwd=folder)  # -I: nothing of this clone is on the path
    if str(empty) not in used:
        sys.exit(f"not the installed package was imported: {used}")


def run(*command: str, cwd: Path = ROOT) -> str:
    done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        sys.exit(f"{done.stdout}\n{' '.join(command)[:200]} failed")
    return done.stdout


if __name__ == "__main__":
    main()
