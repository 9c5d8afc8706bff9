"""A site that has nothing but a job queue: BENCH_APPS are its apps, BENCH_STORE is its database."""

import os
from urllib.parse import urlsplit

_store = os.environ["BENCH_STORE"]
_at = urlsplit(os.environ[f"BENCH_{_store.upper()}"])
_server = {
    "NAME": _at.path.removeprefix("/"),
    "USER": _at.username or "",
    "PASSWORD": _at.password or "",
    "HOST": _at.hostname or "",
    "PORT": str(_at.port or ""),
    "CONN_MAX_AGE": None,  # as the documentation of each of the peers advises
}
DATABASES = {
    "default": {
        "postgres": {"ENGINE": "django.db.backends.postgresql", **_server},
        "mysql": {"ENGINE": "django.db.backends.mysql", **_server, "OPTIONS": {"charset": "utf8mb4"}},
        "sqlite": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": os.environ.get("BENCH_SQLITE", ""),
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        },
    }[_store]
}

SECRET_KEY = "benchmarks"
USE_TZ = True
INSTALLED_APPS = ["django.contrib.contenttypes", *os.environ["BENCH_APPS"].split(",")]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}
LOGGING = {"version": 1, "disable_existing_loggers": False, "root": {"level": "WARNING"}}
