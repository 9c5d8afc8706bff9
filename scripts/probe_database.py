"""Whether the tests can use the database of tests/settings.py: exit code 0, or one line that says why not.

mysqlclient has to be compiled, so it is installed here and not with the other
drivers: a machine without its headers tests on the other databases.
"""

import importlib.util
import os
import socket
import subprocess
import sys

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")


def main() -> str | None:
    from django.conf import settings

    database = settings.DATABASES["default"]
    if database["ENGINE"].endswith("sqlite3"):
        return None
    if reason := cannot_connect(database["HOST"], database["PORT"]):
        return reason
    if database["ENGINE"].endswith("mysql") and (reason := cannot_install_mysqlclient()):
        return reason
    return cannot_log_in()


def cannot_connect(host: str, port: str) -> str | None:
    if host.startswith("/"):  # a socket's folder
        return None
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        return f"no server at {host}:{port} ({error.strerror or error})"
    return None


def cannot_install_mysqlclient() -> str | None:
    if importlib.util.find_spec("MySQLdb"):
        return None
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--group", "mysql"]
    if subprocess.run(command, capture_output=True).returncode:
        return (
            "mysqlclient can't be installed: it is compiled, which takes a C compiler, pkg-config "
            "and the client's headers (Debian: libmariadb-dev)"
        )
    return None


def cannot_log_in() -> str | None:
    from django.db import DatabaseError, connection

    try:
        with connection._nodb_cursor() as cursor:  # the test database is yet to be made
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        return f"the server refused: {' '.join(str(error).split())}"
    return None


if __name__ == "__main__":
    if reason := main():
        print(reason)
        sys.exit(1)
