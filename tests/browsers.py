"""A browser for tests of pages, under a Content-Security-Policy that allows nothing inline."""

import os
import shutil
import sys
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.contrib.staticfiles.testing import StaticLiveServerTestCase
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import staleness_of
from selenium.webdriver.support.wait import WebDriverWait

from tests.processes import PATIENCE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
AXE = Path(sys.prefix) / "axe/node_modules/axe-core/axe.min.js"  # scripts/axe puts it there
IS_CI = os.environ.get("CI") == "true"
STRICT_POLICY = {"prepend": f"{__name__}.strict_policy"}

needs_axe = pytest.mark.skipif(not AXE.exists() and not IS_CI, reason="needs axe-core, which npm installs")


def strict_policy(get_response):
    """Middleware: nothing inline, nothing from elsewhere."""

    def middleware(request):
        response = get_response(request)
        response["Content-Security-Policy"] = "default-src 'self'; img-src 'self' data:"
        return response

    return middleware


def start_browser():
    if not (CHROMIUM and CHROMEDRIVER) and not IS_CI:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(CHROMEDRIVER))


class BrowserTestCase(StaticLiveServerTestCase):
    """Logged in as a superuser, on a wide screen in light colours."""

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

    def wait_for(self, condition):
        return WebDriverWait(self.browser, PATIENCE).until(lambda _: condition())

    def text(self, selector):
        """Read at once: the element may be replaced at any time."""
        return self.browser.execute_script("return document.querySelector(arguments[0])?.innerText", selector)

    def complaints(self):
        messages = [entry["message"] for entry in self.browser.get_log("browser")]
        return [message for message in messages if "/favicon.ico" not in message]  # the browser asks for one by itself

    def too_wide(self):
        """By how many pixels the page is wider than the screen."""
        measure = "const page = document.documentElement; return page.scrollWidth - page.clientWidth"
        return self.browser.execute_script(measure)
