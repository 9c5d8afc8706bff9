"""Settings of the tests; CONVEYOR_TEST_DATABASE names this run's database: sqlite, postgres or mysql."""

import os
import tempfile
from pathlib import Path

DATABASE = os.environ.get("CONVEYOR_TEST_DATABASE", "sqlite")
# this run's own, so that runs don't meet on a server; in the environment for the processes that tests start
_test_name = "test_conveyor" + os.environ.setdefault("CONVEYOR_TEST_SUFFIX", f"_{os.getpid()}")
# a file, not memory: threads and processes open connections of their own
_folder = Path(os.environ.get("CONVEYOR_TEST_FOLDER", tempfile.gettempdir()))

DATABASES = {
    "default": {
        "sqlite": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": _folder / "conveyor.sqlite3",
            "TEST": {"NAME": _folder / f"{_test_name}.sqlite3"},
            "OPTIONS": {
                "transaction_mode": "IMMEDIATE",
                "timeout": 20,
                "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
            },
        },
        "postgres": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "conveyor",
            "HOST": os.environ.get("CONVEYOR_TEST_POSTGRES_HOST", "127.0.0.1"),
            "PORT": os.environ.get("CONVEYOR_TEST_POSTGRES_PORT", "5432"),
            "USER": os.environ.get("CONVEYOR_TEST_POSTGRES_USER", "postgres"),
            "PASSWORD": os.environ.get("CONVEYOR_TEST_POSTGRES_PASSWORD", ""),
            "TEST": {"NAME": _test_name},
        },
        "mysql": {
            "ENGINE": "django.db.backends.mysql",
            "NAME": "conveyor",
            "HOST": os.environ.get("CONVEYOR_TEST_MYSQL_HOST", "127.0.0.1"),
            "PORT": os.environ.get("CONVEYOR_TEST_MYSQL_PORT", "3306"),
            "USER": os.environ.get("CONVEYOR_TEST_MYSQL_USER", "root"),
            "PASSWORD": os.environ.get("CONVEYOR_TEST_MYSQL_PASSWORD", ""),
            "OPTIONS": {"charset": "utf8mb4"},
            "TEST": {"NAME": _test_name, "CHARSET": "utf8mb4"},
        },
    }[DATABASE]
}
if _name := os.environ.get("CONVEYOR_TEST_NAME"):  # a process that a test started: into the same database
    DATABASES["default"]["NAME"] = _name

CONVEYOR = {}
if _heartbeat := os.environ.get("CONVEYOR_TEST_HEARTBEAT"):  # interval and timeout in seconds: "0.2,1"
    CONVEYOR["HEARTBEAT_INTERVAL"], CONVEYOR["HEARTBEAT_TIMEOUT"] = map(float, _heartbeat.split(","))

SECRET_KEY = "tests"
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "conveyor_django",
    "tests.app",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
ROOT_URLCONF = "tests.urls"
STATIC_URL = "/static/"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
