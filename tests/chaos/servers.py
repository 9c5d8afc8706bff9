"""A database server of a run's own, which may be crashed: in a folder of the run, on a free port."""

import os
import shutil
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path

_PATIENCE = 60.0


class CannotServe(Exception):
    """This machine lacks what a server needs; the message says what."""


class Server(ABC):
    user = "chaos"  # of the workers: a superuser isn't bound by all limits
    account = ""  # the system's, for a server that refuses to run as root

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "server"
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def make(self) -> None:
        self._folder.mkdir()
        if os.geteuid() == 0:
            self._folder.parent.chmod(0o755)
            shutil.chown(self._folder, self.account)
        self._initialise()

    def start(self) -> None:
        with (self._folder.parent / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._as_account(), *self._command()], stdout=log, stderr=log, cwd="/", start_new_session=True
            )
        deadline = time.monotonic() + _PATIENCE
        while not self._answers():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise CannotServe(f"the server didn't start: see {log.name}")
            time.sleep(0.1)

    def crash(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    stop = crash  # its data are not wanted any more

    @abstractmethod
    def _initialise(self) -> None: ...

    @abstractmethod
    def _command(self) -> list[str]: ...

    @abstractmethod
    def grants(self, database: str) -> list[str]:
        """Statements that let the workers' user do what workers do."""

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def _call(self, *command: str) -> None:
        done = subprocess.run([*self._as_account(), *command], capture_output=True, text=True, cwd="/")
        if done.returncode:
            raise CannotServe(f"{command[0]} failed: {done.stderr or done.stdout}")

    def _as_account(self) -> list[str]:
        if os.geteuid() != 0:
            return []
        return [_program("setpriv"), f"--reuid={self.account}", f"--regid={self.account}", "--init-groups"]


class Postgres(Server):
    account = "postgres"

    def _initialise(self) -> None:
        self._call(_postgres("initdb"), "-D", f"{self._folder}/data", "-U", "postgres", "-A", "trust", "--no-sync")

    def _command(self) -> list[str]:
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self._folder,
            "max_connections": 45,
            "superuser_reserved_connections": 12,
        }
        flags = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        return [_postgres("postgres"), "-D", f"{self._folder}/data", *flags]

    def crash(self) -> None:
        """Immediate: no checkpoint, no goodbye."""
        assert self._process
        self._call(_postgres("pg_ctl"), "stop", "-D", f"{self._folder}/data", "-m", "immediate", "-w")
        self._process.wait()

    stop = crash

    def grants(self, database: str) -> list[str]:
        return [
            f"CREATE ROLE {self.user} LOGIN",
            f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {self.user}",
            f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {self.user}",
        ]


class MariaDB(Server):
    account = "mysql"

    def _initialise(self) -> None:
        data = f"--datadir={self._folder}/data"
        self._call(
            _program("mariadb-install-db"),
            "--no-defaults",
            data,
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
        )

    def _command(self) -> list[str]:
        return [
            _program("mariadbd"),
            "--no-defaults",
            f"--datadir={self._folder}/data",
            f"--port={self.port}",
            f"--socket={self._folder}/socket",
            "--bind-address=127.0.0.1",
            "--max-connections=35",
        ]

    def grants(self, database: str) -> list[str]:
        return [f"CREATE USER {self.user}", f"GRANT ALL ON {database}.* TO {self.user}"]


SERVERS: dict[str, type[Server]] = {"postgres": Postgres, "mysql": MariaDB}


def _postgres(name: str) -> str:
    """Debian keeps the server's programs out of the way."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else _program(name)


def _program(name: str) -> str:
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise CannotServe(f"this fault needs a database server of its own, and {name} is not installed")
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
