"""The admin in a real browser, under a Content-Security-Policy that allows nothing inline."""

import os
import shutil

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles.testing import StaticLiveServerTestCase
from django.test import modify_settings
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.wait import WebDriverWait

from conveyor_django.models import Job
from tests.factories import JobFactory
from tests.processes import PATIENCE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
JOBS = "/admin/conveyor_django/job/"
RED, RED_IN_THE_DARK = "rgb(186, 33, 33)", "rgb(255, 143, 133)"

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER) and os.environ.get("CI") != "true",
    reason="needs chromium and chromedriver",
)


def strict_policy(get_response):
    """Middleware: nothing inline, nothing from elsewhere."""

    def middleware(request):
        response = get_response(request)
        response["Content-Security-Policy"] = "default-src 'self'; img-src 'self' data:"
        return response

    return middleware


def start_browser():
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))


@modify_settings(MIDDLEWARE={"prepend": f"{__name__}.strict_policy"})
class TestInABrowser(StaticLiveServerTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = start_browser()
        cls.addClassCleanup(cls.browser.quit)

    def setUp(self):
        self.client.force_login(User.objects.create_superuser("mara"))
        self.browser.get(f"{self.live_server_url}/static/conveyor_django/admin.css")  # cookies need a page
        cookie = self.client.cookies["sessionid"]
        self.browser.add_cookie({"name": "sessionid", "value": cookie.value, "path": "/"})
        self.browser.get_log("browser")
        self.screen(1440)
        self.theme("light")

    def screen(self, width):
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def theme(self, preferred):
        feature = {"name": "prefers-color-scheme", "value": preferred}
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def open(self, path):
        self.browser.get(self.live_server_url + path)

    def follow(self, element):
        """Click, and wait for the page that comes."""
        page = self.find("html")
        element.click()
        WebDriverWait(self.browser, PATIENCE).until(staleness_of(page))

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def complaints(self):
        messages = [entry["message"] for entry in self.browser.get_log("browser")]
        return [message for message in messages if "/favicon.ico" not in message]  # the browser asks for one by itself

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
        assert self.find(".messagelist").text == "1 job retried"
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
        for width in (1440, 800, 390):
            self.screen(width)
            for path in ("", "?level=all", f"{root.pk}/change/", f"{child.pk}/change/"):
                self.open(JOBS + path)
                root_element = "const page = document.documentElement; return page.scrollWidth - page.clientWidth"
                assert self.browser.execute_script(root_element) <= 0, (width, path)
        assert self.complaints() == []
