"""The list of jobs in a real browser: choices take effect at once, and what is newer waits to be shown."""

import pytest
from django.test import modify_settings
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from conveyor_django.admin.jobs import JobAdmin
from tests.browsers import STRICT_POLICY, BrowserTestCase
from tests.factories import JobFactory

pytestmark = pytest.mark.browser
JOBS = "/admin/conveyor_django/job/"


@modify_settings(MIDDLEWARE=STRICT_POLICY)
class TestListInABrowser(BrowserTestCase):
    def rows(self):
        return [row.text.split("\n")[1] for row in self.browser.find_elements(By.CSS_SELECTOR, "#result_list tbody tr")]

    def test_choices_take_effect_at_once(self):
        JobFactory(name="mail", queue_name="emails")
        parent = JobFactory(name="report", queue_name="reports", state="waiting-children")
        JobFactory(name="part", queue_name="reports", parent=parent)
        self.open(JOBS)
        assert len(self.browser.find_elements(By.CSS_SELECTOR, "#result_list tbody tr")) == 2
        page = self.find("html")
        Select(self.find("select[name='queue_name__exact']")).select_by_value("reports")
        self.wait_for(lambda: self.is_gone(page))
        assert "report" in self.text("#result_list") and "mail" not in self.text("#result_list")
        page = self.find("html")
        self.find(".cv-check input").click()
        self.wait_for(lambda: self.is_gone(page))
        assert "part" in self.text("#result_list")
        assert "queue_name__exact=reports" in self.browser.current_url
        self.follow(self.browser.find_element(By.PARTIAL_LINK_TEXT, "Waiting-children"))
        assert "part" not in self.text("#result_list tbody")
        assert self.complaints() == []

    def is_gone(self, element):
        try:
            element.is_enabled()
        except Exception:  # noqa: BLE001 - stale, in one way or another
            return True
        return False

    def test_what_is_newer_waits(self):
        JobFactory(name="first")
        self.open(JOBS)
        assert not self.find("#cv-newer").is_displayed()
        JobFactory(name="second")
        self.browser.execute_script("document.dispatchEvent(new Event('visibilitychange'))")
        self.wait_for(lambda: self.find("#cv-newer").is_displayed())
        assert self.text("#cv-newer-text") == "1 newer"
        assert "second" not in self.text("#result_list")
        self.follow(self.find("#cv-newer a"))
        assert "second" in self.text("#result_list")
        assert self.complaints() == []

    def test_all_that_match_are_more_than_the_page(self):
        self.addCleanup(setattr, JobAdmin, "list_per_page", JobAdmin.list_per_page)
        JobAdmin.list_per_page = 3
        for _ in range(7):
            JobFactory(state="failed")
        self.open(JOBS + "?state__exact=failed")
        self.find("#action-toggle").click()
        self.wait_for(lambda: self.find(".actions .question").is_displayed())
        self.find(".actions .question a").click()
        Select(self.find("select[name='action']")).select_by_value("retry")
        self.follow(self.find("button[name='index']"))
        assert self.find("h1").text == "Retry 7 jobs?"
        assert self.complaints() == []
