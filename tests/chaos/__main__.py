"""The command: see `--help`. Exit codes: 0 nothing was violated, 1 something was, 2 the run could not be made."""

import json
import os
import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import django

from .options import Options, environment, parse
from .report import Result
from .servers import SERVERS, CannotServe, Server


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    try:
        result = _run(options)
    except CannotServe as error:
        sys.stderr.write(f"Error: {error}\n")
        return 2
    sys.stdout.write("\n".join(result.lines()) + "\n")
    if options.json:
        options.json.write_text(json.dumps(result.as_json(), indent=1) + "\n")
    return 1 if result.violations else 0


def _run(options: Options) -> Result:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="conveyor-chaos-")))
        if options.logs:
            stack.callback(shutil.copytree, folder, options.logs, ignore=shutil.ignore_patterns("server"))
        server = _own_server(options, folder, stack)
        os.environ.update(environment(options, folder, server.port if server else None))
        django.setup()
        from .run import run  # imports models

        return run(options, folder, server)


def _own_server(options: Options, folder: Path, stack: ExitStack) -> Server | None:
    if not options.own_server:
        return None
    server = SERVERS[options.database](folder)
    server.make()
    server.start()
    stack.callback(server.stop)
    return server


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
