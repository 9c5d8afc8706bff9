"""The admin in a real browser, under a Content-Security-Policy that allows nothing inline."""

import pytest
from django.test import modify_settings
from selenium.webdriver.common.by import By

from conveyor_django import Queue
from conveyor_django.models import Job
from tests.browsers import STRICT_POLICY, BrowserTestCase
from tests.factories import JobFactory, WorkerProcessFactory

JOBS = "/admin/conveyor_django/job/"
OVERVIEW = "/admin/conveyor_django/overview/"
RED, RED_IN_THE_DARK = "rgb(186, 33, 33)", "rgb(255, 143, 133)"

pytestmark = pytest.mark.browser


@modify_settings(MIDDLEWARE=STRICT_POLICY)
class TestInABrowser(BrowserTestCase):
    def colour(self, selector):
        return self.browser.execute_script("return getComputedStyle(arguments[0]).color", self.find(selector))

    def test_from_the_list_to_a_failed_child_and_its_retry(self):
        root = JobFactory(name="monthly-report", state="failed")
        child = JobFactory(name="render-statement", state="failed", failed_reason="KeyError: 'iban'", parent=root)
        Job.objects.filter(pk=root.pk).update(failed_by=child.pk, failed_reason=f"child {child.pk} failed: KeyError")
        self.open(JOBS)
        self.follow(self.browser.find_element(By.LINK_TEXT, "monthly-report"))
        self.follow(self.browser.find_element(By.LINK_TEXT, "render-statement"))
        assert "KeyError: 'iban'" in self.find(".cv-why").text
        assert self.find(".cv-steps").text.startswith("Failed\nmonthly-report")
        self.follow(self.find("form[action$='/retry/'] button"))
        assert self.find(".messagelist").text == "1 job retried, and 1 more along with it."
        assert self.find(".cv-headline").text.startswith("Waiting")
        assert self.complaints() == []

    def test_icons_are_drawn(self):
        JobFactory(state="failed")
        self.open(JOBS)
        box = "return document.querySelector('#result_list use').getBoundingClientRect().width"
        assert self.browser.execute_script(box) > 5

    def test_colours_follow_the_theme(self):
        JobFactory(state="failed")
        self.open(JOBS)
        assert self.colour(".cv-failed") == RED
        self.theme("dark")
        assert self.colour(".cv-failed") == RED_IN_THE_DARK
        set_theme = "document.documentElement.dataset.theme = arguments[0]"
        self.browser.execute_script(set_theme, "light")
        assert self.colour(".cv-failed") == RED
        self.theme("light")
        self.browser.execute_script(set_theme, "dark")
        assert self.colour(".cv-failed") == RED_IN_THE_DARK

    def test_nothing_is_wider_than_the_screen(self):
        long = {"name": "n" * 250, "queue_name": "q" * 250, "failed_reason": "r" * 1_000}
        root = JobFactory(state="failed", data={"k" * 250: "v" * 1_000}, stacktrace="t" * 1_000, **long)
        child = JobFactory(state="failed", parent=root, job_id="j" * 250, **long)
        JobFactory(state="active", parent=JobFactory(state="waiting-children", **long))
        JobFactory(queue_name="q" * 250)
        WorkerProcessFactory(host="h" * 250, queues=["q" * 250])
        for width in (1440, 800, 390, 320):
            self.screen(width)
            lists = (JOBS, JOBS + "?level=all", OVERVIEW)
            pages = (f"{JOBS}{root.pk}/change/", f"{JOBS}{child.pk}/change/", f"{JOBS}{root.pk}/flow/")
            for path in (*lists, *pages):
                self.open(path)
                assert self.too_wide() <= 0, (width, path)
        assert self.complaints() == []

    def waiting(self):
        """What the page says, read at once: the element may be replaced at any time."""
        return self.browser.execute_script("return document.querySelector('.cv-figures b').textContent")

    def look_away(self, *, hidden):
        script = """
            Object.defineProperty(document, 'hidden', { value: arguments[0], configurable: true });
            document.dispatchEvent(new Event('visibilitychange'));
        """
        self.browser.execute_script(script, hidden)

    def test_pause_and_resume_on_the_overview(self):
        JobFactory(queue_name="pdf")
        self.open("/admin/")
        self.follow(self.browser.find_element(By.LINK_TEXT, "Overview"))
        self.follow(self.find("button[form='cv-steer'][value='pdf']"))
        assert self.find(".messagelist").text == "Queue pdf is paused."
        assert "Paused" in self.find(".cv-queues").text
        assert Queue("pdf").is_paused()
        self.follow(self.find(".cv-attention button[value='pdf']"))
        assert self.find(".messagelist").text == "Queue pdf is resumed."
        assert not Queue("pdf").is_paused()
        assert self.complaints() == []

    def test_the_overview_refreshes_itself(self):
        JobFactory(queue_name="pdf")
        self.open(OVERVIEW)
        self.browser.execute_script("document.body.dataset.isTheSamePage = 'yes'")
        self.browser.execute_script("arguments[0].focus()", self.find("button[value='pdf']"))
        assert self.waiting() == "1"
        JobFactory(queue_name="pdf")
        self.look_away(hidden=False)  # as one that comes back: it looks at once
        self.wait_for(lambda: self.waiting() == "2")
        self.wait_for(lambda: self.find("#cv-said").get_attribute("textContent").startswith("Waiting: 2"))
        assert self.find("#cv-heard").text.startswith("Live, updated ")
        assert self.browser.switch_to.active_element.get_attribute("value") == "pdf"
        assert self.find("body").get_attribute("data-is-the-same-page") == "yes"
        assert self.complaints() == []

    def test_focus_stays_with_its_queue(self):
        JobFactory(queue_name="pdf")
        self.open(OVERVIEW)
        self.browser.execute_script("arguments[0].focus()", self.find("button[value='pdf']"))
        JobFactory(queue_name="before-it")
        self.look_away(hidden=False)
        self.wait_for(lambda: "before-it" in self.text(".cv-queues"))
        assert self.browser.switch_to.active_element.get_attribute("value") == "pdf"
        Queue("pdf").pause()
        self.look_away(hidden=False)
        self.wait_for(lambda: "Paused" in self.text(".cv-queues"))
        assert self.browser.switch_to.active_element.get_attribute("formaction").endswith("/resume/")
        assert self.browser.switch_to.active_element.get_attribute("data-name") == "queue pdf"

    def asked(self):
        """How often the page has asked for what is new."""
        return self.browser.execute_script(
            "return performance.getEntriesByType('resource').filter((one) => one.name.includes('/live/')).length"
        )

    def test_the_overview_asks_nothing_while_it_is_hidden_or_paused(self):
        JobFactory()
        self.open(OVERVIEW)
        self.look_away(hidden=False)
        self.wait_for(lambda: self.asked() == 1)
        self.look_away(hidden=True)
        self.find("#cv-pause-live").click()
        assert self.find("#cv-heard").text.startswith("Paused, as of ")
        assert self.find("#cv-pause-live").text == "Go on"
        self.look_away(hidden=False)
        self.open(OVERVIEW)
        assert self.find("#cv-heard").text.startswith("Paused, as of ")  # for as long as the tab is there
        self.look_away(hidden=False)
        assert self.asked() == 0
        self.find("#cv-pause-live").click()
        self.wait_for(lambda: self.asked() == 1)

    def test_the_overview_says_when_it_is_no_longer_heard(self):
        JobFactory()
        self.open(OVERVIEW)
        self.client.logout()
        self.look_away(hidden=False)
        self.wait_for(lambda: self.find("#cv-heard").text.startswith("Not heard since "))
        assert "trying again" in self.find("#cv-heard").text
        assert self.waiting() == "1"
