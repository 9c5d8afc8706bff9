"""No page is wider than its screen, at any width, in the longer of two languages."""

import pytest
from django.test import modify_settings, override_settings

from tests.browsers import STRICT_POLICY, BrowserTestCase
from tests.factories import JobFactory, WorkerProcessFactory

pytestmark = pytest.mark.browser
OVERVIEW = "/admin/conveyor_django/overview/"


@modify_settings(MIDDLEWARE=STRICT_POLICY)
class TestWidths(BrowserTestCase):
    def widths_that_do_not_do(self, *paths):
        found = []
        for width in (1440, 1300, 1280, 1200, 1100, 1024, 900, 800, 768, 720, 390, 320):
            self.screen(width)
            for path in paths:
                self.open(path)
                if self.too_wide() > 0:
                    found.append((width, path, self.too_wide()))
        return found

    def look(self):
        for queue in ("reports", "pdf", "emails"):
            JobFactory(queue_name=queue)
            JobFactory(queue_name=queue, state="active")
            JobFactory(queue_name=queue, state="failed", failed_reason="KeyError: 'iban'")
        WorkerProcessFactory(host="worker-1.example", queues=["reports", "pdf", "emails"])
        assert self.widths_that_do_not_do(OVERVIEW, "/admin/conveyor_django/job/") == []

    def test_english(self):
        self.look()

    @override_settings(LANGUAGE_CODE="de")
    def test_german(self):
        self.look()
