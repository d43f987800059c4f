"""The console in a real browser: every page, three languages, both themes, narrow and wide; keyboard; no script."""

from __future__ import annotations

import os
import re
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from sendmill import Actor, Sms
from simulator.demo.report import write_report
from tests.browser.conftest import HOSTILE, Running, opened
from web.console.words import LANGUAGES

AXE = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
PICTURE = Path(__file__).parents[2] / "docs" / "console.png"
SIZES = ({"width": 360, "height": 800}, {"width": 1440, "height": 900})
_FOUND = (
    "only => axe.run({exclude: ['tbody tr:nth-child(n+12)']}, {resultTypes: ['violations'],"
    " ...(only ? {runOnly: only} : {})})"
    ".then(found => found.violations.map(each => [each.id, each.nodes.map(node => node.html)]))"
)
"""A row beyond the eleventh is made as those before it."""

_BY_THEME, _BY_SIZE = ["color-contrast", "link-in-text-block"], ["scrollable-region-focusable", "target-size"]
"""What theme and size change: the other rules are about what does not."""

_TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_is_for_everybody(browser: Browser, running: Running, language: str) -> None:
    """In both themes, at 360 and 1,440 px: nothing that axe finds, no report of the CSP, nothing too wide."""
    seen = opened(browser, locale=language)
    page = seen.page
    for path in running.paths:
        answer = page.goto(running.url + path)
        assert answer is not None
        assert 200 == answer.status, path
        assert language == page.locator("html").get_attribute("lang")
        assert "owned" not in page.title()
        page.evaluate(AXE)
        for theme, size in product(("light", "dark"), SIZES):
            page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
            page.set_viewport_size(size)  # type: ignore[arg-type]
            changed = (_BY_THEME if theme == "dark" else []) + (_BY_SIZE if size == SIZES[1] else [])
            # Words change no colour and no size: of another language all rules are asked once.
            if language == "en" or not changed:
                assert [] == page.evaluate(_FOUND, changed or None), (path, theme, size)
            assert page.evaluate(_TOO_WIDE) <= 0, (path, size)
    assert [] == seen.said
    seen.context.close()


def test_pause_reason_confirm_by_keyboard_alone(browser: Browser, running: Running) -> None:
    """From the first page on; who, when and why stand where the next one looks."""
    seen = opened(browser, locale="en")
    page = seen.page
    page.goto(running.url + "/")
    _tab_to(page, "a", "hk")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("hk")
    _tab_to(page, "summary", "Pause")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.type("the vendor asked")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("status")).to_have_text("hk is paused.")
    assert "paused" == next(each.state for each in running.client.accounts() if each.name == "hk")
    entry = running.client.audit(target="hk", action="pause")[0]
    assert ("console", "the vendor asked") == (entry.via, entry.reason)
    page.goto(running.url + "/")
    expect(page.locator("tr", has_text="hk")).to_contain_text("the vendor asked")
    running.client.resume("hk")
    seen.context.close()


def _tab_to(page: Page, tag: str, text: str) -> None:
    """Press Tab until something is focused that has a text."""
    for _ in range(200):
        page.keyboard.press("Tab")
        focused = page.evaluate("[document.activeElement.tagName, document.activeElement.textContent.trim()]")
        if [tag.upper(), text] == focused:
            return
    pytest.fail(f"no Tab leads to {text}")


def test_a_table_is_sent_by_keyboard_and_without_a_script(browser: Browser, running: Running) -> None:
    """Pasted, looked at, sent: once, however often it is confirmed."""
    seen = opened(browser, locale="en", java_script_enabled=False)
    page = seen.page
    page.goto(running.url + "/send")
    page.get_by_label("Text", exact=True).press_sequentially("{name}, your order has left.")
    table = "name;phone\nAnn;+8613800000001\nBo;12\nCy;+8613800000003\n=1+1;+8613800000004\n"
    page.get_by_label("Numbers, or a table").fill(table)
    page.get_by_role("button", name="Look at it").press("Enter")
    expect(page.locator("#to_column")).to_have_value("phone")
    expect(page.locator("blockquote")).to_have_text("Ann, your order has left.")
    expect(page.locator("main")).to_contain_text("semicolons")
    expect(page.locator("table")).to_contain_text("invalid_number")
    key = page.locator('textarea[name="key"]').input_value()
    page.get_by_role("button", name="Send 3 messages").press("Enter")
    expect(page.get_by_role("status")).to_contain_text("3 messages are handed over")
    job = re.search(r"/jobs/(\w+)", page.url)
    assert job is not None
    assert (4, 3) == (running.client.status(job[1]).total, running.client.status(job[1]).total - 1)
    again: dict[str, Any] = {
        "text": "{name}, your order has left.",
        "data": table,
        "to_column": "phone",
        "key": key,
        "lane": "normal",
    }
    answer = seen.context.request.post(
        f"{running.url}/send/confirm", form=again, headers={"Sec-Fetch-Site": "same-origin"}
    )
    assert job[1] in answer.url
    assert "send" in {entry.action for entry in running.client.audit(target=key)}
    seen.context.close()


def test_words_from_outside_are_words(browser: Browser, running: Running) -> None:
    """What a handset, a producer and an operator wrote is shown, and nothing of it is run."""
    seen = opened(browser, locale="en")
    for path in ("/", "/replies", "/jobs", "/audit"):
        seen.page.goto(running.url + path)
        expect(seen.page.locator("main")).to_contain_text(HOSTILE)
    assert [] == seen.said
    seen.context.close()


def test_many_are_cancelled_only_by_who_types_the_job(browser: Browser, running: Running) -> None:
    """Above a thousand that wait; what went is said."""
    seen = opened(browser, locale="en")
    page = seen.page
    page.goto(f"{running.url}/jobs/{running.big}")
    page.locator("summary", has_text="Cancel").click()
    expect(page.locator("form", has_text="1,500 messages wait")).to_be_visible()
    page.get_by_label("Type the job's id").fill("something else")
    page.get_by_label("Reason").fill("wrong text")
    page.get_by_role("button", name="Cancel what waits").click()
    expect(page.get_by_role("alert")).to_contain_text("type the job's id")
    page.goto(f"{running.url}/jobs/{running.big}")
    page.locator("summary", has_text="Cancel").click()
    page.get_by_label("Type the job's id").fill(running.big)
    page.get_by_label("Reason").fill("wrong text")
    page.get_by_role("button", name="Cancel what waits").click()
    expect(page.get_by_role("status")).to_have_text("1500 messages cancelled, 0 had gone.")
    seen.context.close()


def test_numbers_are_masked_until_somebody_asks(browser: Browser, running: Running) -> None:
    """Who looked stands in the audit."""
    seen = opened(browser, locale="en")
    page = seen.page
    page.goto(f"{running.url}/jobs/{running.job}")
    expect(page.locator("table")).not_to_contain_text("+8613800000000")
    page.get_by_role("button", name="Show whole numbers").click()
    expect(page.locator("table")).to_contain_text("+8613800000000")
    assert f"/jobs/{running.job}" == running.client.audit(action="reveal")[0].target
    seen.context.close()


def test_a_page_that_is_open_tells_what_has_changed(browser: Browser, running: Running) -> None:
    """Every five seconds, where nobody stopped it; times stand on the reader's clock."""
    seen = opened(browser, locale="en", timezone_id="Asia/Hong_Kong")
    page = seen.page
    page.clock.install()
    page.goto(running.url + "/accounts/bulk")
    page.get_by_label("Refresh by itself").uncheck()
    running.client.pause("bulk", reason="to be seen")
    page.clock.run_for(6_000)
    page.get_by_label("Refresh by itself").check()
    expect(page.locator("#live")).not_to_contain_text("to be seen")
    page.clock.run_for(6_000)
    expect(page.locator("#live")).to_contain_text("to be seen")
    expect(page.locator("#live time").first).not_to_contain_text("UTC")
    assert [] == seen.said
    running.client.resume("bulk")
    seen.context.close()


def test_what_fell_since_yesterday_stands_first(browser: Browser, running: Running) -> None:
    """On the first page by account, on that of deliveries by the range of the numbers too."""
    seen = opened(browser, locale="en")
    seen.page.goto(running.url + "/")
    expect(seen.page.locator("tr", has_text="xioo").locator("td.bad")).to_have_text("70.0 % −25.0 points")
    seen.page.goto(running.url + "/accounts/xi")
    expect(seen.page.get_by_label("delivered 700, undelivered 300")).to_have_count(1)
    seen.page.goto(running.url + "/delivery")
    for table in seen.page.locator("table").all()[:2]:
        first = table.locator("tbody tr").first
        expect(first).to_contain_text("xi")
        expect(first.locator("td.bad")).to_have_text("−25.0 points")
    expect(seen.page.locator("tr", has_text="CN China Unicom")).to_contain_text("95.0 %")
    assert [] == seen.said
    seen.context.close()


def test_who_finds_something_unconfirmed_reads_what_to_do(browser: Browser, running: Running) -> None:
    """And when it ends by itself."""
    seen = opened(browser, locale="en", java_script_enabled=False)
    seen.page.goto(running.url + "/")
    seen.page.locator("tr", has_text="sms467890").get_by_role("link", name=re.compile("call")).click()
    expect(seen.page.locator("main")).to_contain_text("settle as sent")
    expect(seen.page.locator("main")).to_contain_text("bulk: 3 messages, carried by 1 call.")
    expect(seen.page.locator("summary")).to_contain_text("3 messages of account bulk")
    since, until = [
        cell.get_attribute("datetime") or "" for cell in seen.page.locator("tbody tr:first-child time").all()
    ]
    assert since < until
    seen.context.close()


def test_the_tail_tells_what_happens(browser: Browser, running: Running) -> None:
    """As it happens, without a number."""
    seen = opened(browser, locale="en")
    page = seen.page
    with page.expect_response("**/live/events*"):
        page.goto(running.url + "/live")
    job = running.client.send(Sms("Hello", "+8613800009999"), account="mainland").id
    expect(page.locator("#tail")).to_contain_text(job)
    expect(page.locator("#tail")).not_to_contain_text("+86")
    assert [] == seen.said
    seen.context.close()


def test_the_demo_leaves_a_page_that_needs_nothing_else(browser: Browser, running: Running, tmp_path: Path) -> None:
    """One file with tables and lines inside, to be opened wherever it lies."""
    seen = opened(browser, locale="en")
    seen.page.goto(write_report(running.system, tmp_path / "demo.html").as_uri())
    expect(seen.page.locator("h1")).to_have_text(["Now", "Delivery", "Errors by code", "Jobs", "Workers"])
    expect(seen.page.locator("svg polyline")).to_have_count(5)
    expect(seen.page.locator("a, form, script, link")).to_have_count(0)
    assert [] == seen.said
    seen.context.close()


def test_the_first_page_has_its_picture(browser: Browser, running: Running, tmp_path: Path) -> None:
    """The README shows docs/console.png: SENDMILL_PICTURES=1 makes it anew, from what is here."""
    seen = opened(browser, locale="en", viewport={"width": 1440, "height": 600})
    running.client.acting(Actor("chan", "console")).pause("xi", reason="their maintenance until 15:00, ticket 4711")
    seen.page.goto(running.url + "/")
    expect(seen.page.locator("tbody tr")).to_have_count(5)
    picture = PICTURE if os.environ.get("SENDMILL_PICTURES") else tmp_path / PICTURE.name
    seen.page.screenshot(path=picture)
    assert b"\x89PNG" == picture.read_bytes()[:4] == PICTURE.read_bytes()[:4]
    seen.context.close()
