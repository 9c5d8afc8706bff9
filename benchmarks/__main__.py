"""The command: see `--help`. Exit codes: 0 all was measured, 1 something failed, 2 it could not be begun."""

import json
import shutil
import signal
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from .chart import draw
from .document import document
from .install import install_for_node
from .machine import described
from .options import Options, parse
from .report import in_text
from .run import Run


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    if "bullmq" in options.choice.peers:
        install_for_node()
    run = measure(options)
    if not any(run.runs.values()):
        print("nothing could be measured")
        return 2
    print(in_text(run.runs))
    for error in run.errors:
        print(f"failed: {error}")
    return 1 if run.errors else 0


def measure(options: Options) -> Run:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conveyor-bench-")))
        folder.chmod(0o755)  # servers have accounts of their own
        if options.logs:
            stack.callback(_keep_logs, folder, options.logs)
        run = Run(options, folder)
        stack.callback(run.close)
        try:
            run.go()
        finally:
            measured = described(options)
            results = {"parts": {name: {"measured": measured, "runs": found} for name, found in run.runs.items()}}
            options.folder.mkdir(parents=True, exist_ok=True)
            (options.folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
            (options.folder / "chart.svg").write_text(draw(run.runs))
    if options.document:
        document(options.folder / "results.json")
    return run


def _keep_logs(folder: Path, to: Path) -> None:
    to.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*.log"):
        shutil.copy(path, to)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers and workers are stopped then
    sys.exit(main(sys.argv[1:]))
