"""No serious violation that axe-core finds, on any page of the admin, in light and dark, wide and narrow."""

from datetime import timedelta

import pytest
from django.test import modify_settings
from django.utils import timezone

from conveyor_django.models import Job, JobError, JobLog, QueueState
from tests.browsers import AXE, STRICT_POLICY, BrowserTestCase, needs_axe
from tests.factories import JobFactory, WorkerProcessFactory

ADMIN = "/admin/conveyor_django/"
SERIOUS = ("serious", "critical")
NOT_OURS = [  # of the admin itself, outside of what this package writes
    *("#header", "#nav-sidebar", "#toggle-nav-sidebar", ".breadcrumbs", "#footer"),
    *("#changelist-search", ".actions", ".action-checkbox", ".action-checkbox-column"),
]
RUN = """
    const [exclude, done] = arguments;
    axe.run({ exclude }, { resultTypes: ["violations"] }).then(
        ({ violations }) => done(violations.map(
            ({ id, impact, nodes }) => [impact, id, nodes.slice(0, 3).map((node) => node.html.slice(0, 300))])),
        (error) => done([["critical", String(error), []]]),
    );
"""

pytestmark = [pytest.mark.browser, needs_axe]


@modify_settings(MIDDLEWARE=STRICT_POLICY)
class TestWithAxe(BrowserTestCase):
    def story(self):
        """A flow with all that its pages can show."""
        now = timezone.now()
        root = JobFactory(name="monthly-report", queue_name="reports", state="waiting-children", pending_children=2)
        pdf = JobFactory(name="statements", queue_name="pdf", state="failed", parent=root, started_at=None)
        failed = JobFactory(
            parent=pdf, queue_name="pdf", state="failed", job_id="statement-1", failed_reason="KeyError: 'iban'"
        )
        JobError.objects.create(job=failed, attempt=1, reason="KeyError", stacktrace="x" * 50, created_at=now)
        JobLog.objects.create(job=failed, text="begins", created_at=now)
        Job.objects.filter(pk=pdf.pk).update(failed_by=failed.pk, failed_reason=f"child {failed.pk} failed: KeyError")
        states = ("waiting", "completed", "delayed", "cancelled")
        for state in states:
            JobFactory.create_batch(6, parent=pdf, queue_name="pdf", name="statement", state=state)
        active = JobFactory(parent=root, queue_name="reports", state="active", progress=40)
        WorkerProcessFactory(id=active.worker, queues=["reports"])
        WorkerProcessFactory(heartbeat_at=now - timedelta(minutes=2))
        QueueState.objects.create(queue_name="pdf", paused_at=now)
        return root, failed, active

    def look(self, *paths):
        found = []
        for path in paths:
            for theme in ("light", "dark"):
                for width in (1440, 390):
                    self.theme(theme)
                    self.screen(width)
                    self.open(path)
                    assert self.complaints() == []
                    violations = self.violations()
                    found += [(path, theme, width, *each) for each in violations if each[0] in SERIOUS]
        assert not found, "\n".join(map(str, found))

    def violations(self):
        self.browser.execute_script(AXE.read_text())
        found = self.browser.execute_async_script(RUN, NOT_OURS)
        self.browser.get_log("browser")  # axe tries styles, of which the policy complains
        return found

    def test_it_would_be_noticed(self):
        self.open(ADMIN + "overview/")
        spoil = "document.querySelector('#content').append(document.createElement('button'))"
        self.browser.execute_script(spoil)
        assert "button-name" in [each[1] for each in self.violations()]

    def test_an_empty_site(self):
        self.look(ADMIN + "overview/", ADMIN + "job/")

    def test_the_overview_and_the_list(self):
        self.story()
        self.look(ADMIN + "overview/", ADMIN + "job/?level=all")

    def test_a_flow(self):
        root, failed, _active = self.story()
        flow = f"{ADMIN}job/{root.pk}/flow/"
        self.look(flow, flow + "?view=all", f"{ADMIN}job/{failed.pk}/flow/")

    def test_pages_with_a_form(self):
        waiting = Job.objects.filter(state="waiting")
        self.story()
        self.look(ADMIN + "job/new/", f"{ADMIN}job/{waiting[0].pk}/edit/", ADMIN + "queuestate/clean/")

    def test_jobs(self):
        self.look(*(f"{ADMIN}job/{job.pk}/change/" for job in self.story()))
