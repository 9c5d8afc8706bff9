"""What must hold whoever wrote the rows: no code comes out of them, pages and lines stay inert, and who may do what."""

import base64
import json
import logging
import pickle
import re
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from io import StringIO
from uuid import UUID

import pytest
from django.contrib import admin
from django.contrib.admin import ModelAdmin
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.utils import quote
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client, RequestFactory
from django.utils import timezone

from conveyor_django import FlowJob, FlowProducer, JobOptions, Queue, processor
from conveyor_django.encoding import MAX_DEPTH
from conveyor_django.exceptions import InvalidFlow, InvalidNode
from conveyor_django.models import Job, JobError, JobLog, QueueState, WorkerProcess
from conveyor_django.redaction import MASK, redact, redact_text
from conveyor_django.testing import drain
from conveyor_django.worker import log
from tests.factories import JobFactory, WorkerProcessFactory
from tests.workers import work

JOBS = "/admin/conveyor_django/job/"
MODELS = (Job, JobError, JobLog, QueueState, WorkerProcess, LogEntry)
EVIL = "<img src=x onerror=alert(1)>'\"\x1b[31mred\rCR\nLF \u202eturned\u2066\x7f"
CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
METHODS = ("get", "head", "post", "put", "patch", "delete", "options")


def command(*arguments, **options):
    out = StringIO()
    call_command(*map(str, arguments), stdout=out, stderr=out, no_color=True, **options)
    return out.getvalue()


# No code comes out of a row


@pytest.fixture
def planted(tmp_path, monkeypatch):
    """The name of a module that can be imported and never was."""
    (tmp_path / "planted_module.py").write_text(
        "def run(*arguments): raise SystemExit('imported')\nclass Thing: pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "planted_module"
    assert "planted_module" not in sys.modules


def bait(module):
    """Data that other queues would run."""
    pickled = pickle.dumps(timezone.now()).replace(b"datetime", module.encode()[:8])
    return {
        "func": f"{module}.run",
        "task_path": f"{module}.run",
        "__reduce__": [f"{module}.run", []],
        "__class__": f"{module}.Thing",
        "py/object": f"{module}.Thing",
        "py/reduce": [{"py/function": f"{module}.run"}, {"py/tuple": []}],
        "pickle": base64.b64encode(pickled).decode(),
        "yaml": f"!!python/object/apply:{module}.run []",
    }


@pytest.mark.django_db(transaction=True)
def test_nothing_is_imported_for_what_a_row_says(planted, client):
    client.force_login(User.objects.create_superuser("root"))
    names = [planted, f"{planted}.run", f"{planted}:run", f"{planted}.Thing.__init__", "os.system", "__import__"]
    backoffs = [f"{planted}.run", {"type": f"{planted}.run", "delay": 0}, {"type": f"{planted}:run"}, [planted], 5]

    def add_and_run(count):
        for name in names[:count]:
            for backoff in backoffs:
                JobFactory(name=name, queue_name=name, data=bait(planted), backoff=backoff, max_attempts=2)
        work(*names[:count])
        for job in Job.objects.all():
            client.get(f"{JOBS}{job.pk}/change/")
            command("flow", job.pk)

    add_and_run(1)  # what is imported when it is needed first has been
    before = set(sys.modules)
    add_and_run(len(names))
    assert set(sys.modules) == before
    assert set(Job.objects.values_list("state", "attempts_made")) == {("failed", 2)}
    reasons = set(Job.objects.values_list("failed_reason", flat=True))
    assert all(reason.startswith("NoProcessor: no processor for job ") for reason in reasons)
    assert len(reasons) == len(names)


# What is shown can't act


@pytest.fixture
def evil():
    """A flow and all else that pages show, with what none of them may pass on as it is."""
    fields = {
        "queue_name": EVIL,
        "data": {EVIL: EVIL},
        "progress": EVIL,
        "failed_reason": EVIL,
        "stacktrace": EVIL,
        "backoff": {"type": EVIL, "delay": EVIL},
    }
    root = JobFactory(name=f"{EVIL}root", job_id=EVIL, state="failed", **fields)
    failed = JobFactory(name=f"{EVIL}child", state="failed", parent=root, **fields)
    JobFactory(name=f"{EVIL}child", state="completed", parent=root, return_value=[EVIL], queue_name=EVIL)
    for job in (root, failed):
        JobError.objects.create(job=job, attempt=1, reason=EVIL, stacktrace=EVIL, created_at=timezone.now())
        JobLog.objects.create(job=job, text=EVIL, created_at=timezone.now())
    Job.objects.filter(pk=root.pk).update(failed_by=failed.pk)
    worker = WorkerProcessFactory(host=EVIL, queues=[EVIL])
    JobFactory(name=EVIL, state="active", worker=worker.pk, queue_name=EVIL)
    QueueState.objects.create(queue_name=EVIL, paused_at=timezone.now())
    return root


def test_pages_show_what_could_act_inert(evil, admin_client, admin_user):
    LogEntry.objects.log_actions(admin_user.pk, Job.objects.all(), CHANGE, "Retried.")
    pages = [url for url, _ in urls(each=4)]
    pages += ["/admin/", f"{JOBS}?level=all", f"{JOBS}?state__exact=failed&level=all"]
    answers = [admin_client.get(page) for page in pages]
    answers.append(admin_client.get(JOBS, {"q": EVIL, "level": "all"}))
    answers.append(admin_client.get(JOBS, {"queue_name__exact": EVIL}))
    chosen = {"action": "retry", "_selected_action": [str(evil.pk)], "index": 0}
    answers.append(admin_client.post(JOBS, chosen, follow=True))
    found = [answer for answer in answers if answer.status_code == 200]
    files = [answer for answer in found if answer.get("Content-Disposition", "").startswith("attachment")]
    shown = [answer.content.decode() for answer in found if answer not in files]
    assert len(shown) >= 12
    for html in shown:
        assert "<img src=x" not in html
        assert "onerror=alert(1)>" not in html
        assert not CONTROLS.findall(html)
    assert {answer.streaming for answer in files} == {True, False}
    for answer in files:
        assert not CONTROLS.findall(answer.getvalue().decode())
        assert answer["Content-Type"].split(";")[0] in ("text/csv", "application/json")
    everything = "".join(shown)
    assert everything.count("&lt;img src=x") > 30
    assert r"\x1b[31mred" in everything
    assert r"\u202eturned\u2066" in everything


@pytest.mark.django_db(transaction=True)
def test_commands_print_what_could_act_inert(evil, monkeypatch):
    name = "<b>\u202eturned\u2066"  # as much as a name may hold
    monkeypatch.setattr("conveyor_django.worker.attendant.Attendant.run", lambda self, **limits: 0)
    processor(name, name)(print)
    outputs = [command("flow", job.pk) for job in Job.objects.all()]
    outputs += [command("queues"), command("pausequeue", name), command("resumequeue", name)]
    outputs += [command("retryjobs", "--queue", name), command("queues", name)]
    outputs.append(command("runworker", name, "no-processor\u202e"))
    for refused in (["queues", EVIL], ["flow", EVIL], ["retryjobs", EVIL], ["flow", "1", "--database", EVIL]):
        with pytest.raises(CommandError) as caught:
            command(*refused)
        outputs.append(str(caught.value))
    for output in outputs:
        assert not CONTROLS.findall(output)
        assert "\r" not in output
        assert not [line for line in output.splitlines() if line.startswith(("LF", "CR"))]
    assert any(r"\x1b[31mred\rCR\nLF \u202eturned" in output for output in outputs)
    for output in (command("flow", evil.pk, "--format", "json"), command("queues", "--format", "json")):
        assert output.isascii()
        assert not CONTROLS.findall(output)
        json.loads(output)


@pytest.mark.django_db(transaction=True)
def test_lines_of_the_log_are_one_line_each_and_inert(caplog):
    caplog.set_level(logging.DEBUG, "conveyor_django")
    name = "<b>\u202eturned\u2066"

    @processor(name)
    def fails(job):
        raise type(f"Error{EVIL}", (Exception,), {})(EVIL)

    Queue(name).add(name)
    assert work(name) == 1
    log.refused(UUID(int=1), ValueError(EVIL))
    log.database_away(ValueError(EVIL), 1)
    log.background_failed("heartbeat", ValueError(EVIL))
    lines = [record.getMessage() for record in caplog.records]
    assert len([line for line in lines if r"\x1b[31mred" in line]) == 4
    assert not [line for line in lines if not line.isprintable()]


# Who may do what


def urls(each: int = 1) -> Iterator[tuple[str, str | None]]:
    """Every URL of every page of the package in the admin, with its name, for some rows of each model."""
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label == "conveyor_django":
            rows = [str(pk) for pk in model._default_manager.order_by("pk").values_list("pk", flat=True)[:each]]
            for pattern in model_admin.urls:
                for pk in rows:
                    route = re.sub("<.+?>", lambda match, pk=pk: quote(pk), str(pattern.pattern))
                    yield f"/admin/conveyor_django/{model._meta.model_name}/{route}", pattern.name


READS = {
    *(f"conveyor_django_job_{name}" for name in ("csv", "json", "data", "result", "progress")),
    "conveyor_django_overview_live",
    "conveyor_django_job_newer",
    "conveyor_django_job_flow",
    "conveyor_django_job_flow_live",
}


def verb_urls() -> list[str]:
    """Those that Django's own pages don't have, and that are there to change something."""
    found = []
    for model, model_admin in admin.site._registry.items():
        own = {pattern.name for pattern in ModelAdmin(model, admin.site).urls}
        names = {pattern.name for pattern in model_admin.urls} - own - READS
        found += [url for url, name in urls() if name in names and f"/{model._meta.model_name}/" in url]
    return found


def actions() -> Iterator[tuple[ModelAdmin, str]]:
    for model, model_admin in admin.site._registry.items():
        if model._meta.app_label == "conveyor_django":
            for action in model_admin._get_base_actions():
                name = getattr(action, "name", None) or action[1]  # a tuple before Django 6.1
                if name != "delete_selected":  # Django's: takes the permission to delete, which nobody has
                    yield model_admin, name


def permissions(without="view_"):
    found = Permission.objects.filter(content_type__app_label="conveyor_django")
    return sorted(set(found.exclude(codename__startswith=without).values_list("codename", flat=True)))


def user_with(*codenames):
    user = User.objects.create_user(f"user-{User.objects.count()}", is_staff=True)
    user.user_permissions.set(
        Permission.objects.filter(content_type__app_label="conveyor_django", codename__in=codenames)
    )
    return user


def client_of(user, **how):
    client = Client(**how)
    client.force_login(user)
    return client


SHARED = {  # the permission of the other one
    "resume": "pause",
    "retry-failed": "retry",
    "retry-subtree": "retry",
    "priority": "promote",
    "edit": "promote",
    "change_priority": "promote",
    "clean": "remove",
    "copy": "new",
}
PAGES = ("edit", "clean", "new", "copy")  # those that show something before
VIEW = ("view_job", "view_joberror", "view_joblog", "view_queuestate", "view_workerprocess")


@pytest.fixture
def rows(db):
    """One of everything, in states in which every verb would do something."""
    root = JobFactory(name="root-job", state="failed", pending_children=1, data={"name": "root-job"})
    JobFactory(name="child-job", parent=root)
    QueueState.objects.create(queue_name="quiet-queue", paused_at=timezone.now())
    WorkerProcessFactory(host="host-of-worker")


def dump():
    return {model: list(model._default_manager.order_by("pk").values()) for model in MODELS}


def bodies():
    chosen = {"_selected_action": [str(job.pk) for job in Job.objects.all()], "index": 0, "select_across": "1"}
    yield from ({"action": name, **chosen} for _, name in actions())
    yield {"action": "delete_selected", "post": "yes", **chosen}
    yield {"name": "x", "queue_name": "x", "state": "waiting", "paused_at": "", "post": "yes", "_save": "Save"}


def test_who_may_only_view_changes_nothing_by_any_url_and_method(rows):
    viewer = client_of(user_with(*VIEW))
    before = dump()
    tried = [
        getattr(viewer, method)(url, body if method == "post" else "", **({} if method == "post" else {}))
        for url, _ in urls()
        for method in METHODS
        for body in (bodies() if method == "post" else [{}])
    ]
    assert len(tried) > 100
    assert {answer.status_code for answer in tried} <= {200, 302, 403, 405}
    assert dump() == before


@pytest.mark.parametrize("others", [(), (*VIEW, "retry_job", "cancel_job")])
def test_who_may_not_view_sees_nothing(rows, others):
    before = dump()
    for url, _ in urls():
        model = url.split("/")[3]
        hidden = "view_job" if model == "overview" else f"view_{model}"  # the overview shows what others have
        user = client_of(user_with(*(name for name in others if name != hidden)))
        for method in METHODS:
            answer = getattr(user, method)(url)
            assert answer.status_code in (302, 403, 405), (method, url)
            assert not re.search("root-job|child-job|quiet-queue|host-of-worker", answer.content.decode())
    assert dump() == before


def test_strangers_are_asked_to_log_in(rows):
    before = dump()
    for url, _ in urls():
        for method in METHODS:
            answer = getattr(Client(), method)(url)
            assert answer.status_code == 302
            assert answer.url.startswith("/admin/login/") or answer.url.endswith("/change/")
    assert dump() == before


def test_each_verb_of_a_page_has_a_permission_of_its_own(rows):
    opened = {}
    for url in verb_urls():
        verb = SHARED.get(verb := url.rsplit("/", 2)[1], verb)
        seen = {"view_payload"} if url.endswith(("/edit/", "/copy/")) else set()
        for permission in {*permissions()} - seen:
            answer = client_of(user_with(*VIEW, *seen, permission)).post(url, {"queue": "quiet-queue"})
            assert answer.status_code in (200, 302, 403), url
            if answer.status_code != 403:
                opened.setdefault(verb, set()).add(permission)
    assert set(opened) == {url.rsplit("/", 2)[1] for url in verb_urls()} - {*SHARED} >= {"retry", "cancel", "pause"}
    assert sorted(map(len, opened.values())) == [1] * len(opened)
    assert len(set.union(*opened.values())) == len(opened)


def test_each_action_has_a_permission_of_its_own(rows):
    opened = {}
    for model_admin, name in actions():
        for permission in permissions():
            request = RequestFactory().get("/")
            request.user = user_with(*VIEW, permission)
            if name in model_admin.get_actions(request):
                opened.setdefault(SHARED.get(name, name), set()).add(permission)
    assert set(opened) == {name for _, name in actions()} - {*SHARED} >= {"retry", "cancel", "remove"}
    assert sorted(map(len, opened.values())) == [1] * len(opened)
    assert len(set.union(*opened.values())) == len(opened)


def test_what_changes_something_takes_post_with_a_token(rows, admin_user):
    before = dump()
    client = client_of(admin_user, enforce_csrf_checks=True)
    for url in verb_urls():
        for method in METHODS:
            is_shown = method in ("get", "head") and url.rsplit("/", 2)[1] in PAGES
            refused = (200, 302) if is_shown else (405,) if method in ("get", "head") else (403, 405)
            assert getattr(client, method)(url).status_code in refused
    for model_admin, name in actions():
        chosen = {"action": name, "_selected_action": [str(job.pk) for job in Job.objects.all()], "index": 0}
        changelist = model_admin.link("changelist")
        assert client.post(changelist, chosen).status_code == 403
        client.get(changelist, chosen)
    assert dump() == before


# Secrets

SECRET = "s3cr3t-value"
SECRET_KEYS = [
    *("password", "PASSWORD", "db_password", "userPassword", "passwd", "pwd", "passphrase", "DB_PASS", "secret"),
    *("client_secret", "AWS_SECRET_ACCESS_KEY", "token", "apiToken", "access-token", "csrfmiddlewaretoken"),
    *("api_key", "apikey", "apiKey", "API KEY", "X-Api-Key", "private_key", "privateKey", "Authorization"),
    *("Cookie", "Set-Cookie", "credentials", "session", "session_id", "sessionid", "sessionKey", "auth", "jwt"),
]
OPEN_KEYS = ["author", "passenger", "compass", "key", "keyboard", "monkey", "session_title", "obsession_level", "name"]
URLS = [
    (f"postgres://user:{SECRET}@db/shop", "postgres://***@db/shop"),
    (f"see https://{SECRET}@example.com/a?b=c and more", "see https://***@example.com/a?b=c and more"),
    (f"redis://:{SECRET}@h:6379/0,redis://:{SECRET}@h2/0", "redis://***@h:6379/0,redis://***@h2/0"),
    (f"amqp://u:{SECRET}@@h", "amqp://***@h"),
    (f"cut off: postgres://user:{SECRET} ... the rest", "cut off: postgres://*** ... the rest"),
    (f"GET /v1?api_key={SECRET}&page=2", "GET /v1?api_key=***&page=2"),
    (f"host=db password={SECRET} user=shop", "host=db password=*** user=shop"),
    (f"password='{SECRET} x' dbname=y", "password=*** dbname=y"),
    (f'cut off: password="{SECRET} and', "cut off: password=***"),
    (f"cut off: token='{SECRET}", "cut off: token=***"),
    (f'cut in the middle: token="{SECRET} ... {SECRET}" x', "cut in the middle: token=*** x"),
]
HARMLESS = [
    "https://example.com/@handle/x@y.org",
    "http://host:8000/path",
    "('http://host:8000',)",
    "http://[::1]:8000/",
    "mail a@b.org",
    "a == b, name=value, x=1",
    "://",
    "=",
    "",
]


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_values_of_secret_keys_are_masked(key):
    assert redact({key: SECRET}) == {key: MASK}
    assert redact([{"a": [{key: {"deep": SECRET}}, {key: [SECRET]}]}]) == [{"a": [{key: MASK}, {key: MASK}]}]
    assert redact({key: 12345}) == {key: MASK}
    assert redact({key: None, "on": {key: True}}) == {key: None, "on": {key: True}}


@pytest.mark.parametrize("key", OPEN_KEYS)
def test_values_of_other_keys_are_shown(key):
    assert redact({key: "open", "n": 1}) == {key: "open", "n": 1}


@pytest.mark.parametrize(("text", "masked"), URLS)
def test_secrets_inside_of_texts_are_masked(text, masked):
    assert redact_text(text) == masked
    assert redact({"url": [text]}) == {"url": [masked]}


@pytest.mark.parametrize("text", HARMLESS)
def test_other_texts_are_shown_as_they_are(text):
    assert redact_text(text) == text


def test_more_keys_by_the_settings(settings):
    value = {"IBAN": "DE1", "pin": 1, "pinned": 2, "password": "x"}
    assert redact(value) == {**value, "password": MASK}
    settings.CONVEYOR = {"REDACT": ["iban", "^pin$"]}
    assert redact(value) == {"IBAN": MASK, "pin": MASK, "pinned": 2, "password": MASK}


@pytest.mark.parametrize("bad", ["iban", ["("], [5], 5, None, {"iban": 1}])
def test_a_setting_that_cannot_be_read_masks_everything_and_is_an_error(settings, bad):
    from conveyor_django.checks import check_settings

    settings.CONVEYOR = {"REDACT": bad}
    assert redact({"name": "x"}) == {"name": MASK}
    [error] = check_settings()
    assert error.id == "conveyor_django.E003"
    assert "a list of regular expressions" in error.hint


@pytest.mark.django_db(transaction=True)
def test_no_outlet_shows_secrets_and_rows_keep_them(admin_client, caplog):
    caplog.set_level(logging.DEBUG, "conveyor_django")
    url = f"postgres://user:{SECRET}@db/shop"
    data = {"password": SECRET, "list": [{"apiToken": SECRET}], "dsn": url}
    seen = []

    @processor("q", "leaf")
    def leaf(job):
        seen.append(job.data)
        job.update_progress(data)
        job.log(url)
        if job.attempts_made < 2:
            raise ValueError(url)
        return data

    @processor("q", "fails")
    def fails(job):
        job.log(f"token={SECRET}")
        raise ValueError(f"can't reach {url}")

    children = [FlowJob(name, "q", data, {"attempts": 2}) for name in ("leaf", "fails")]
    FlowProducer().add(FlowJob("root", "q", data, children=children))
    JobFactory(name="no-attempt", state="failed", failed_reason=url, stacktrace=url)
    assert work("q") == 4
    texts = [record.getMessage() for record in caplog.records]
    texts.append(admin_client.get(f"{JOBS}?level=all").content.decode())
    for job in Job.objects.all():
        texts.append(admin_client.get(f"{JOBS}{job.pk}/change/").content.decode())
        texts += [command("flow", job.pk), command("flow", job.pk, "--format", "json")]
    everything = "\n".join(texts)
    assert SECRET not in everything
    assert everything.count("postgres://***@db/shop") > 20
    assert seen == [data, data]
    stored = Job.objects.get(name="leaf")
    assert (stored.data, stored.return_value, stored.progress) == (data, data, data)
    assert SECRET in Job.objects.get(name="root").failed_reason
    assert SECRET in JobError.objects.filter(job__name="fails").first().stacktrace


# Limits


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("field", "flow"),
    [
        ("data", {"data": "x" * 1000}),
        ("data", {"data": {"k": ["x"] * 500}}),
        ("data", {"data": json.loads("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1))}),
        ("data", {"data": 2**63}),
        ("name", {"name": "x" * 256}),
        ("queue_name", {"queue_name": "x" * 256}),
        ("job_id", {"opts": {"job_id": "x" * 256}}),
        ("priority", {"opts": {"priority": 2**31}}),
        ("priority", {"opts": {"priority": -(2**31)}}),
        ("attempts", {"opts": {"attempts": 2**31}}),
        ("delay", {"opts": {"delay": timedelta(days=36501)}}),
        ("delay", {"opts": {"delay": timezone.now().replace(year=9001)}}),
        ("timeout", {"opts": {"timeout": 1e10}}),
        ("backoff.max_delay", {"opts": {"backoff": {"max_delay": 1e10}}}),
    ],
)
def test_limits_of_a_job(settings, field, flow):
    settings.CONVEYOR = {"MAX_DATA_BYTES": 1000}
    with pytest.raises(InvalidNode, match=rf"flow\.children\[0\]: .*{field}"):
        FlowProducer().add({"name": "a", "queue_name": "q", "children": [{"name": "a", "queue_name": "q", **flow}]})
    assert not Job.objects.exists()


@pytest.mark.django_db
def test_limits_of_a_flow_a_result_and_a_log_line(settings):
    settings.CONVEYOR = {"MAX_DATA_BYTES": 100, "MAX_FLOW_JOBS": 10}
    child = {"name": "a", "queue_name": "q"}
    with pytest.raises(InvalidFlow, match="more than 10 jobs"):
        FlowProducer().add({**child, "children": [dict(child) for _ in range(10)]})
    with pytest.raises(InvalidFlow, match="more than 10 jobs"):
        FlowProducer().add({**child, "children": iter(lambda: dict(child), None)})  # endless
    assert not Job.objects.exists()

    @processor("q")
    def large(job):
        job.log("x" * 100_000)
        with pytest.raises(InvalidNode, match="progress"):
            job.update_progress("x" * 101)
        return "x" * 101

    Queue("q").add("a", opts=JobOptions())
    assert drain() == 1
    job = Job.objects.get()
    assert job.failed_reason.startswith("InvalidNode: the return value is")
    assert len(job.logs.get().text) <= 65_536


def test_what_holds_itself_many_times_is_refused_soon(settings):
    settings.CONVEYOR = {"MAX_DATA_BYTES": 100_000}
    laughs = ["ha"] * 9
    for _ in range(MAX_DEPTH - 2):
        laughs = [laughs] * 9
    itself = []
    itself.extend([itself] * 9)
    started = time.monotonic()
    for value in (laughs, itself, {"a": laughs, "b": itself}, ["x" * 1_000_000] * 1_000_000):
        with pytest.raises(InvalidNode):
            Queue("q").add("a", value)
    assert time.monotonic() - started < 10  # it would be years


MEBIBYTE = 1024 * 1024
WORST = [
    "://" * 9,
    "://a:",
    "a=",
    'a="',
    "a='\"",
    "a" * 9,
    "a.",
    "token=",
    "://a@",
    "://@",
    "user:pass",
    "password",
    " =:/@",
]


@pytest.mark.parametrize("piece", WORST)
def test_masking_takes_no_longer_than_the_text_is_long(piece):
    text = piece * (128 * 1024 // len(piece)) + " ="
    started = time.monotonic()
    redact(text)
    redact({text: text})
    assert time.monotonic() - started < 5  # if each position were to look at the whole rest: hours


def test_pages_of_large_payloads_stay_small(admin_client):
    large = ["x" * 500, {"k" * 500: 1}] * 1000
    text = "y\n" * 32_000
    job = JobFactory(
        state="completed", data=large, return_value=large, progress=large, failed_reason=text, stacktrace=text
    )
    for _ in range(300):
        JobLog.objects.create(job=job, text=text, created_at=timezone.now())
    for url in (f"{JOBS}{job.pk}/change/", JOBS):
        assert len(admin_client.get(url).content) < MEBIBYTE
