"""The admin's actions in a real browser: tick, choose, confirm, and read what became of it."""

import pytest
from django.test import modify_settings
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select

from conveyor_django.models import Job
from tests.browsers import STRICT_POLICY, BrowserTestCase
from tests.factories import JobFactory

JOBS = "/admin/conveyor_django/job/"
pytestmark = pytest.mark.browser


@modify_settings(MIDDLEWARE=STRICT_POLICY)
class TestActionsInABrowser(BrowserTestCase):
    def press(self, text):
        self.follow(
            self.browser.find_element(By.XPATH, f"//div[@id='content']//*[self::button or self::a][.='{text}']")
        )

    def states(self, *jobs):
        return [Job.objects.get(pk=job.pk).state for job in jobs]

    def test_tick_choose_confirm(self):
        jobs = [JobFactory(state="failed") for _ in range(3)]
        runs = JobFactory(state="active")
        for width in (1440, 390):
            self.screen(width)
            self.open(JOBS + "?level=all")
            for job in (jobs[0], runs) if width == 1440 else (jobs[1],):
                self.find(f"input[value='{job.pk}']").click()
            Select(self.find("select[name='action']")).select_by_value("retry")
            self.follow(self.find("button[name='index']"))
            assert self.find("h1").text == ("Retry 2 jobs?" if width == 1440 else "Retry 1 job?")
            assert self.too_wide() <= 0
            self.press("Retry")
            said = "1 job retried; 1 skipped: still active." if width == 1440 else "1 job retried."
            assert self.find(".messagelist").text == said
            assert self.browser.current_url.endswith("?level=all")
        assert self.states(*jobs, runs) == ["waiting", "waiting", "failed", "active"]
        assert self.complaints() == []

    def test_no_takes_one_back(self):
        job = JobFactory()
        self.open(f"{JOBS}{job.pk}/change/")
        self.press("Cancel job")
        assert self.find("h1").text == "Cancel 1 job?"
        self.press("No, take me back")
        assert self.browser.current_url.endswith(f"{job.pk}/change/")
        self.press("Cancel job")
        self.press("Cancel jobs")
        assert self.find(".messagelist").text == "1 job cancelled."
        assert self.states(job) == ["cancelled"]

    def test_the_menu_opens_without_script_and_removes(self):
        job = JobFactory(state="failed")
        for width in (320, 1440):
            self.screen(width)
            self.open(f"{JOBS}{job.pk}/change/")
            remove = self.find("form[action$='/remove/'] button")
            assert not remove.is_displayed()
            self.find(".cv-more > summary").click()
            assert remove.is_displayed()
            assert self.too_wide() <= 0
        self.follow(remove)
        self.press("Remove")
        assert self.find(".messagelist").text == "1 job removed."
        assert not Job.objects.exists()
        assert self.complaints() == []

    def test_data_and_priority(self):
        job = JobFactory(data={"n": 1})
        self.open(f"{JOBS}{job.pk}/change/")
        self.press("Edit data")
        box = self.find("textarea")
        assert box.get_attribute("value") == '{\n  "n": 1\n}'
        box.clear()
        box.send_keys("{'n': 2}")
        self.press("Save")
        assert "This is not JSON" in self.find(".cv-error").text
        box = self.find("textarea")
        assert box.get_attribute("aria-invalid") == "true"
        assert "id_data_helptext" in box.get_attribute("aria-describedby")
        box.clear()
        box.send_keys('{"n": 2}')
        self.press("Save")
        assert self.find(".messagelist").text == "The data were changed."
        self.press("Change priority")
        field = self.find("#id_priority")
        field.clear()
        field.send_keys("-3")
        self.press("Change priority")
        assert self.find(".messagelist").text == "Priority of 1 job changed."
        job.refresh_from_db()
        assert (job.data, job.priority) == ({"n": 2}, -3)
        assert self.complaints() == []
