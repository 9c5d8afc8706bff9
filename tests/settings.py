"""Settings of the tests; CONVEYOR_TEST_DATABASE names this run's database: sqlite, postgres or mysql."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

DATABASE = os.environ.get("CONVEYOR_TEST_DATABASE", "sqlite")
# told apart from what other runs on the same server make
_test_name = "test_conveyor" + os.environ.get("CONVEYOR_TEST_SUFFIX", "")


def _sqlite_folder() -> Path:
    """Files, not memory: threads and processes open connections of their own; subprocesses use the same."""
    if "CONVEYOR_TEST_FOLDER" not in os.environ:
        os.environ["CONVEYOR_TEST_FOLDER"] = tempfile.mkdtemp(prefix="conveyor-tests-")
        atexit.register(_remove_folder, os.environ["CONVEYOR_TEST_FOLDER"], os.getpid())
    return Path(os.environ["CONVEYOR_TEST_FOLDER"])


def _remove_folder(folder: str, maker: int) -> None:
    if os.getpid() == maker:  # and not a fork of it
        shutil.rmtree(folder, ignore_errors=True)


_folder = _sqlite_folder()

DATABASES = {
    "default": {
        "sqlite": {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": _folder / "main.sqlite3",
            "TEST": {"NAME": _folder / "test.sqlite3"},
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
