"""A job's page keeps itself up to date in a real browser."""

import pytest
from django.test import modify_settings
from django.utils import timezone
from selenium.webdriver.common.by import By

from conveyor_django.models import JobLog
from conveyor_django.outcomes import Failed
from tests.browsers import STRICT_POLICY, BrowserTestCase
from tests.helpers import add, finish, job, node, settle, start

pytestmark = pytest.mark.browser

LOOK = "document.dispatchEvent(new Event('visibilitychange'))"  # as a tab that comes back


@modify_settings(MIDDLEWARE=STRICT_POLICY)
class TestJobPage(BrowserTestCase):
    def watch(self, name):
        self.open(f"/admin/conveyor_django/job/{job(name).pk}/change/")
        self.browser.execute_script("window.isTheSamePage = true")

    def sees(self, selector, text):
        """Without a page load."""
        self.browser.execute_script(LOOK)
        self.wait_for(lambda: text in (self.text(selector) or ""))
        assert self.browser.execute_script("return window.isTheSamePage")

    def test_from_waiting_to_completed(self):
        add(node("job"))
        self.watch("job")
        assert self.text(".cv-headline strong").strip() == "Waiting"
        assert "No worker serves queue q" in self.text("#cv-job-state")
        start("job")
        self.sees("#cv-job-head", "Active")
        assert "Runs on worker" in self.text("#cv-job-state")
        finish("job", {"total": 42})
        self.sees("#cv-job-head", "Completed")
        assert '"total": 42' in self.text("#cv-job-sections")
        self.wait_for(lambda: not self.find("#cv-heard").is_displayed())  # it has ended: nothing more is asked for
        assert self.complaints() == []

    def test_what_is_open_stays_open_and_what_has_focus_keeps_it(self):
        add(node("job", attempts=3))
        settle({"job": Failed("first", "Traceback of the first")})
        self.watch("job")
        summary = self.find(".cv-attempt summary")
        summary.click()
        assert self.find(".cv-attempt").get_attribute("open") is None
        self.browser.execute_script("arguments[0].focus()", self.find("form[action$='/cancel/'] button"))
        settle({"job": Failed("second", "Traceback of the second")})
        self.sees("#cv-job-sections", "second")
        first = self.browser.find_elements(By.CSS_SELECTOR, ".cv-attempt")[1]
        assert "first" in first.text
        assert first.get_attribute("open") is None
        assert self.browser.switch_to.active_element.text == "Cancel job"

    def test_what_is_being_copied_stays_and_is_brought_up_to_date_after_that(self):
        add(node("job"))
        self.watch("job")
        self.browser.execute_script("getSelection().selectAllChildren(document.getElementById('cv-job-sections'))")
        start("job")
        finish("job", {"total": 42})
        self.sees("#cv-job-head", "Completed")
        assert "None yet" in self.text("#cv-job-sections")
        self.browser.execute_script("getSelection().removeAllRanges()")
        self.sees("#cv-job-sections", '"total": 42')
        self.wait_for(lambda: not self.find("#cv-heard").is_displayed())
        assert self.complaints() == []

    def test_a_log_stays_where_it_was_scrolled_to_with_its_focus(self):
        add(node("job"))
        JobLog.objects.bulk_create(
            JobLog(job=job("job"), text=f"line {n}", created_at=timezone.now()) for n in range(99)
        )
        self.watch("job")
        self.browser.execute_script("const log = document.querySelector('.cv-log'); log.focus(); log.scrollTop = 40")
        JobLog.objects.create(job=job("job"), text="the next one", created_at=timezone.now())
        self.sees("#cv-log", "the next one")
        assert self.browser.execute_script("return document.querySelector('.cv-log').scrollTop") == 40
        assert self.browser.switch_to.active_element.get_attribute("class") == "cv-log"

    def test_a_job_that_is_removed_is_said_to_be_gone_and_not_asked_for_again(self):
        add(node("job"))
        self.watch("job")
        job("job").remove()
        self.sees("#cv-heard", "Removed meanwhile")
        assert not self.find("#cv-pause-live").is_displayed()
        asked = "return performance.getEntriesByType('resource').filter((one) => one.name.includes('/change/')).length"
        before = self.browser.execute_script(asked)
        self.browser.execute_script(LOOK)
        assert self.browser.execute_script(asked) == before
        self.open("/admin/conveyor_django/job/")
        assert "does not exist" not in self.text("body")
