"""The bar of `flow_progress` in a real browser, on a page that is not the admin and allows nothing inline."""

from unittest import mock

import pytest
from django.contrib.staticfiles.testing import StaticLiveServerTestCase
from django.http import HttpResponse
from django.template import Context, Template
from django.test import override_settings
from django.urls import include, path
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from conveyor_django import progress
from conveyor_django.models import Job

from .browsers import start_browser
from .helpers import add, fail, finish, job, node
from .processes import PATIENCE

POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:"
PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Report</title>
<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,"></head>
<body><h1>Your report</h1>{% load conveyor_django %}<a id="before" href="/x/">A link</a>
{% flow_progress job running="Building your report" url="/report/" link="Open the report" failed_note="We know." %}
</body></html>"""
ASKED = (
    """return performance.getEntriesByType("resource").filter((entry) => entry.name.includes("/progress/")).length"""
)
HIDE = """Object.defineProperty(document, "hidden", { get: () => arguments[0], configurable: true });
document.dispatchEvent(new Event("visibilitychange"));"""

pytestmark = pytest.mark.browser


def page(request, name):
    response = HttpResponse(Template(PAGE).render(Context({"job": Job.objects.get(name=name)})))
    response["Content-Security-Policy"] = POLICY
    return response


urlpatterns = [path("page/<name>/", page), path("conveyor/", include("conveyor_django.urls"))]


@override_settings(ROOT_URLCONF=__name__)
class TestFlowProgress(StaticLiveServerTestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.browser = start_browser()
        cls.addClassCleanup(cls.browser.quit)
        cls.enterClassContext(mock.patch.object(progress, "SHORTEST", 0.1))

    def setUp(self):
        add(node("root", node("a"), node("b"), node("c")))
        self.addCleanup(self.browser.get, "about:blank")  # or it would go on asking the next test's site
        self.browser.get_log("browser")
        self.browser.get(f"{self.live_server_url}/page/root/")
        self.browser.execute_script("window.stillTheSamePage = true")

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def wait_for(self, *texts):
        """Until the bar says all of these."""
        bar = self.find("flow-progress")
        WebDriverWait(self.browser, PATIENCE, 0.05).until(lambda _: all(text in bar.text for text in texts), bar.text)

    def js(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def said(self):
        """To who listens to the page."""
        return self.js("return document.querySelector('[aria-live=polite]').textContent")

    def assert_same_page(self):
        assert self.js("return window.stillTheSamePage")
        assert [entry["message"] for entry in self.browser.get_log("browser")] == []  # violations of the policy too

    def test_from_in_line_to_ready_without_a_reload(self):
        self.js("addEventListener('flow-progress-end', (event) => { window.ended = event.detail.stage })")
        self.js("document.querySelector('#before').focus()")
        self.wait_for("In line", "Starts when it is its turn")
        assert "%" not in self.find("flow-progress").text
        assert self.said() == ""
        finish("a")
        self.wait_for("Building your report", "25 %", "1 of 4 steps done")
        assert self.said() == "Building your report, 25 %"
        for name in ("b", "c"):
            finish(name)
        self.wait_for("75 %")
        finish("root")
        self.wait_for("Ready", "100 %")
        assert self.said() == "Ready, 100 %"
        assert self.find("flow-progress a").text == "Open the report"
        assert self.js("return [window.ended, document.activeElement.id]") == ["completed", "before"]
        self.assert_same_page()

    def test_it_fails_without_a_reason_and_asks_no_more(self):
        fail("a", "KeyError: 'iban'")
        self.wait_for("It did not work", "We know.")
        assert "iban" not in self.browser.page_source
        asked = self.js(ASKED)
        self.pause()
        assert self.js(ASKED) == asked
        self.assert_same_page()

    def test_it_says_that_the_flow_is_gone(self):
        job("root").remove()
        self.wait_for("No longer followed here", "Load the page again")

    def test_nobody_asks_while_the_page_is_hidden(self):
        self.js(HIDE, True)
        self.pause()  # what was under way
        asked = self.js(ASKED)
        finish("a")
        self.pause()
        assert self.js(ASKED) == asked
        assert "In line" in self.find("flow-progress").text
        self.js(HIDE, False)
        self.wait_for("25 %")

    def test_it_goes_on_when_the_site_answers_again(self):
        with mock.patch("conveyor_django.views.progress_of", side_effect=OSError):
            asked = self.js(ASKED)
            WebDriverWait(self.browser, PATIENCE, 0.05).until(lambda _: self.js(ASKED) > asked + 1)
        finish("a")
        self.wait_for("25 %")

    def test_what_has_not_changed_is_not_sent_again(self):
        last = """const found = performance.getEntriesByType("resource").filter((e) => e.name.includes("/progress/"));
        return found.length ? found.at(-1).responseStatus : 0"""
        WebDriverWait(self.browser, PATIENCE, 0.05).until(lambda _: self.js(last) == 304)

    def pause(self):
        """Several times as long as it takes to ask."""
        self.browser.execute_async_script("setTimeout(arguments[0], 600)")
