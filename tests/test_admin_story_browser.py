"""Who has never seen the admin finds what failed in a flow of 200 jobs and resumes it in three clicks."""

import pytest
from django.test import modify_settings
from selenium.webdriver.common.by import By

from conveyor_django import FlowJob, FlowProducer, processor
from conveyor_django.models import Job
from conveyor_django.testing import drain
from tests.browsers import STRICT_POLICY, BrowserTestCase

pytestmark = pytest.mark.browser

LOOK = "document.dispatchEvent(new Event('visibilitychange'))"  # as a tab that comes back


@modify_settings(MIDDLEWARE=STRICT_POLICY)
class TestStory(BrowserTestCase):
    def add_flow(self):
        broken = {62, 147, 191}

        @processor("pdf", "render-statement")
        def render_statement(job):
            if job.data["number"] in broken:
                raise KeyError("iban")

        @processor("pdf", "render-statements")
        @processor("reports", "monthly-report")
        def conclude(job):
            return len(job.get_children_values())

        statements = [FlowJob("render-statement", "pdf", {"number": number}) for number in range(200)]
        render = FlowJob("render-statements", "pdf", children=statements)
        FlowProducer().add(FlowJob("monthly-report", "reports", children=[render]))
        drain("pdf", "reports")
        broken.clear()  # the bug is mended: what is left is to resume

    def click(self, text):
        self.clicks += 1
        self.follow(self.browser.find_element(By.XPATH, f"//*[self::a or self::button][contains(., '{text}')]"))

    def test_three_clicks_resume_a_flow(self):
        self.add_flow()
        self.clicks = 0
        self.open("/admin/conveyor_django/overview/")
        self.click("See and retry")
        assert "KeyError: 'iban'" in self.text(".cv-why")
        assert self.text("#cv-rows").count("KeyError: 'iban'") >= 3  # they are there to see, without a click
        self.click("Retry 3 failed")
        assert "3 failed jobs" in self.text("#content")
        self.click("Retry")
        assert self.clicks == 3
        assert self.find("h1").text == "monthly-report"  # back where one was
        self.browser.execute_script("window.isTheSamePage = true")
        drain("pdf", "reports")
        self.browser.execute_script(LOOK)
        self.wait_for(lambda: (self.text("#cv-flow-head") or "").startswith("202 of 202"))
        assert self.browser.execute_script("return window.isTheSamePage")
        assert set(Job.objects.values_list("state", flat=True)) == {"completed"}
        assert self.complaints() == []
