"""A flow watched in a real browser: it keeps itself up to date, and nothing moves under who reads it."""

import pytest
from django.test import modify_settings, override_settings
from selenium.webdriver.common.keys import Keys

from conveyor_django import FlowJob, FlowProducer
from conveyor_django.models import Job

from .browsers import STRICT_POLICY, BrowserTestCase
from .helpers import add, fail, finish, job, node, start
from .processes import spawn

pytestmark = pytest.mark.browser
ROWS = "return [...document.querySelectorAll('#cv-rows .cv-name')].map((name) => name.textContent)"


@modify_settings(MIDDLEWARE=STRICT_POLICY)
class TestFlowInABrowser(BrowserTestCase):
    def watch(self, name="report", query=""):
        self.open(f"/admin/conveyor_django/job/{job(name).pk}/flow/{query}")
        self.browser.execute_script("window.stayed = true")

    def look(self):
        """As a tab that comes back: it asks at once."""
        self.hide(hidden=False)

    def hide(self, *, hidden):
        script = """
            Object.defineProperty(document, 'hidden', { value: arguments[0], configurable: true });
            document.dispatchEvent(new Event('visibilitychange'));
        """
        self.browser.execute_script(script, hidden)

    def sees(self, selector, text):
        def look():
            self.look()
            return text in (self.text(selector) or "")

        self.wait_for(look)

    def row(self, name):
        """A selector of the row's state, by its place."""
        names = self.browser.execute_script(ROWS)
        key = self.browser.execute_script(
            "return document.querySelectorAll('#cv-rows [data-key]')[arguments[0]].dataset.key", names.index(name)
        )
        return f"[data-key='{key}'] > div > [data-cell='word']"

    def stayed(self):
        return self.browser.execute_script("return window.stayed === true")

    def asked(self):
        return self.browser.execute_script(
            "return performance.getEntriesByType('resource').filter((one) => one.name.includes('/live/')).length"
        )

    def focused(self):
        return self.browser.execute_script("return document.activeElement.id")

    def test_from_waiting_to_completed_without_a_reload(self):
        add(node("report", node("one"), node("two")))
        self.watch()
        names = self.browser.execute_script(ROWS)
        places = "return [...document.querySelectorAll('.cv-frow .cv-node')].map((e) => e.getBoundingClientRect().x)"
        box = "return document.querySelector('#cv-lines').getBoundingClientRect().x"
        before = self.browser.execute_script(places), self.browser.execute_script(box)
        start("two")
        self.sees(self.row("two"), "Active")
        finish("two")
        self.sees("#cv-flow-head", "1 of 3")
        self.sees(self.row("two"), "Completed")
        finish("one")
        finish("report")
        self.sees("#cv-flow-head", "3 of 3")
        assert "Took" in self.text("#cv-flow-head")
        assert self.browser.execute_script(ROWS) == names
        indents = "return [...document.querySelectorAll('.cv-frow')].map((e) => e.className)"
        assert "cv-indent-1" in self.browser.execute_script(indents)[-1]
        assert (self.browser.execute_script(places), self.browser.execute_script(box)) == before
        assert not self.find("#cv-heard").is_displayed()
        assert self.stayed()
        assert self.complaints() == []

    def test_a_real_worker_is_watched(self):
        FlowProducer().add(
            FlowJob("add", "process-add", {"a": 1, "b": 2}, children=[FlowJob("add", "process-add", {"a": 1, "b": 2})])
        )
        self.open(f"/admin/conveyor_django/job/{Job.objects.get(parent=None).pk}/flow/")
        self.browser.execute_script("window.stayed = true")
        with spawn("runworker", "process-add", "--until-idle") as worker:
            worker.ends_with()
        self.sees("#cv-flow-head", "2 of 2")
        assert self.stayed()
        assert self.complaints() == []

    def test_a_child_that_fails_is_seen_with_its_reason(self):
        add(node("report", node("one"), node("two")))
        self.watch()
        fail("one", "no paper left")
        self.sees("#cv-flow-why", "no paper left")
        self.sees(self.row("one"), "Failed")
        self.sees(self.row("report"), "Failed")
        assert "2 failed" in self.text("#cv-flow-head")
        assert "cv-row--failed" in self.find(f"{self.row('one')} >*").find_element("xpath", "../..").get_attribute(
            "class"
        )
        assert self.stayed()
        assert self.complaints() == []

    def test_a_group_that_comes_up_stands_in_its_place(self):
        add(node("report", *(node(f"child-{n}", policy="ignore") for n in range(25)), policy="ignore"))
        self.watch()
        assert self.browser.execute_script(ROWS) == ["report", "25 waiting"]
        finish("child-1")
        fail("child-0")
        self.wait_for(lambda: (self.look(), self.browser.execute_script(ROWS))[1][1:2] == ["1 failed"])
        assert self.browser.execute_script(ROWS) == ["report", "1 failed", "23 waiting", "1 completed"]
        toggles = "return [...document.querySelectorAll('.cv-toggle')].slice(1).map((e) => e.getBoundingClientRect().x)"
        assert len(set(self.browser.execute_script(toggles))) == 1
        self.find(
            f"#{self.find('.cv-node .cv-failed.cv-name').find_element('xpath', '../../a').get_attribute('id')}".replace(
                ".", "\\."
            )
        ).click()
        self.wait_for(lambda: "child-0" in self.browser.execute_script(ROWS))
        assert self.complaints() == []

    def test_the_keyboard_folds_and_opens_and_keeps_its_place(self):
        add(node("report", node("part", node("one"))))
        self.watch()
        for _ in range(60):
            self.browser.switch_to.active_element.send_keys(Keys.TAB)
            if self.focused().startswith("cv-") and "cv-toggle" in self.browser.switch_to.active_element.get_attribute(
                "class"
            ):
                break
        toggle = self.focused()
        self.browser.switch_to.active_element.send_keys(Keys.ENTER)
        self.wait_for(lambda: self.browser.execute_script(ROWS) == ["report"])
        assert self.focused() == toggle
        assert self.browser.current_url.endswith(f"?fold={toggle.removeprefix('cv-')}")
        assert self.browser.switch_to.active_element.get_attribute("aria-expanded") == "false"
        self.browser.switch_to.active_element.send_keys(Keys.ENTER)
        self.wait_for(lambda: self.browser.execute_script(ROWS) == ["report", "part"])
        assert self.focused() == toggle
        self.find("#cv-mode-1").send_keys(Keys.ENTER)
        self.wait_for(lambda: len(self.browser.execute_script(ROWS)) == 3)
        assert self.focused() == "cv-mode-1"
        assert self.stayed()
        assert self.complaints() == []

    def test_it_asks_nothing_while_it_is_hidden_or_paused(self):
        add(node("report", node("one")))
        self.watch()
        self.look()
        self.wait_for(lambda: self.asked() == 1)
        self.hide(hidden=True)
        self.hide(hidden=True)
        assert self.asked() == 1
        self.find("#cv-pause-live").click()
        assert self.text("#cv-heard").strip().startswith("Paused")
        start("one")
        self.look()
        assert self.asked() == 1
        self.find("#cv-pause-live").click()
        self.wait_for(lambda: self.asked() == 2)
        self.sees(self.row("one"), "Active")

    def test_nothing_is_wider_than_the_screen(self):
        long = "n" * 250
        add(node("report", *(node(f"{n}-{long}", queue="q" * 250) for n in range(3))))
        fail(f"0-{long}", "r" * 1_000)
        start(f"1-{long}")
        for width in (1440, 1100, 800, 390, 320):
            self.screen(width)
            self.watch()
            assert self.too_wide() <= 0, width
        assert self.complaints() == []

    @override_settings(LANGUAGE_CODE="he")
    def test_from_right_to_left(self):
        add(node("report", node("part", node("one"), node("two"))))
        fail("one")
        for width in (1440, 390):
            self.screen(width)
            self.watch()
            assert self.find("html").get_attribute("dir") == "rtl"
            assert self.too_wide() <= 0
            edges = "return [...document.querySelectorAll('a.cv-toggle')].map((e) => e.getBoundingClientRect().right)"
            rights = self.browser.execute_script(edges)
            assert rights == sorted(rights, reverse=True)
            assert len(set(rights)) > 1
        assert self.complaints() == []

    def test_two_hundred_rows_are_asked_for_in_lines_that_servers_take(self):
        add(node("report", *(node(f"part-{n}", *(node(f"child-{n}-{m}") for m in range(15))) for n in range(15))))
        self.watch(query="?view=all")
        assert len(self.browser.execute_script(ROWS)) == 200
        start("child-0-0")
        start("child-11-14")
        self.sees(self.row("child-0-0"), "Active")
        self.sees(self.row("child-11-14"), "Active")
        longest = """
            const asked = performance.getEntriesByType('resource').filter((one) => one.name.includes('/live/'));
            return Math.max(...asked.map((one) => one.name.length));
        """
        assert 2_000 < self.browser.execute_script(longest) < 3_500
        assert self.complaints() == []

    def test_a_group_that_emptied_says_so(self):
        add(node("report", *(node(f"child-{n}") for n in range(25))))
        self.watch()
        for n in range(25):
            finish(f"child-{n}")
        self.wait_for(lambda: (self.look(), self.browser.execute_script(ROWS))[1][1:] == ["0 waiting", "25 completed"])
        assert self.complaints() == []
