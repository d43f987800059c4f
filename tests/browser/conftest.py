"""A whole system with its console, and one browser for all tests of a file. Without a browser there is one line."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from sendmill import Client, Sms
from simulator.system import System
from tests.support.flow import hong_kong, mainland

REQUIRED = "SENDMILL_BROWSER_REQUIRED"
"""CI sets it: there, a browser that is missing fails."""

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=alert(1)>=1+1"

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def browser_path() -> str | None:
    """The machine's own browser."""
    return next((path for name in _NAMES if (path := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a file. Not for longer: its event loop is in the way of other tests' own."""
    path = browser_path()
    if path is None:
        if os.environ.get(REQUIRED):
            pytest.fail("no chromium on this machine, and CI requires one")
        pytest.skip("no chromium on this machine: the console was not looked at in a browser")
    expect.set_options(timeout=60_000)  # ms; five seconds are not enough on a busy machine
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Seen:
    """A context of the browser, and what its console said: reports of the CSP and errors of scripts among it."""

    context: BrowserContext
    page: Page
    said: list[str] = field(default_factory=list)


@dataclass
class Running:
    """The system, and what is in it."""

    system: System
    client: Client
    job: str
    big: str
    paths: list[str]

    @property
    def url(self) -> str:
        """Where the console is."""
        return self.system.web_url


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    """Jobs that are done, that wait and that nobody knows of, a paused account, hostile words from every side."""
    silent = {"fates": [{"vendor": "sms467890", "state": ""}]}  # what is unconfirmed there stays so
    with System.start(simulator_config=silent) as system, system.client() as client:
        _two_days(client)  # before the console reads it: what is over is read once
        system.start_more("web")
        system.wait_until_ready()
        client.pause("xi", reason=HOSTILE)
        client.limit("world", "calls_per_s", 1)
        job = client.send(Sms("Hello", mainland(8)), account="mainland", lane="bulk", ref=HOSTILE).id
        big = client.send(Sms("Hello", mainland(1_500)), account="xi", lane="bulk").id
        client.send(Sms("Hello", mainland(2_000)), account="world", lane="bulk")
        system.simulator.add_faults({"kind": "garbage", "vendor": "sms467890"})
        unknown = client.send(Sms("Hello", mainland(3)), account="bulk").id
        client.add_optout("+85298882844", reason="a letter")
        system.wait_until(lambda: client.status(job).done, timeout_s=90, what="the job is done")
        system.wait_until(lambda: list(client.unconfirmed()), timeout_s=90, what="some are unconfirmed")
        system.simulator.reply(
            "smsadmin", str(system.accounts["mainland"]["uid"]), mainland(1)[0].removeprefix("+"), HOSTILE
        )
        system.wait_until(lambda: list(client.replies()), timeout_s=90, what="the reply came")
        client.send(Sms("Hello", hong_kong(5)), account="hk", lane="otp")
        paths = [
            *(
                "/",
                "/accounts/xi",
                "/accounts/world",
                "/jobs",
                f"/jobs/{job}",
                f"/jobs/{big}",
                f"/messages/{unknown}-1",
            ),
            *(
                "/unconfirmed",
                "/stuck",
                "/find",
                "/replies",
                "/optouts",
                "/errors",
                "/delivery",
                "/alerts",
                "/workers",
                "/live",
            ),
            *("/audit", "/send"),
        ]
        yield Running(system, client, job, big, paths)


def _two_days(client: Client) -> None:
    """An account whose delivery fell since yesterday, of numbers of one carrier's range."""
    ledger = client._ledger
    keys, this = ledger.account("xi"), int(ledger.server.time()[0]) // 60
    for days, delivered in ((0, 700), (1, 950)):
        lost = 1_000 - delivered
        counts = {"rows:bulk:s": 1_000, "rows:bulk:d": delivered, "rows:bulk:n": lost}
        counts |= {"report:d": delivered, "report:n": lost}
        counts |= {"carrier:d:CN China Unicom": delivered, "carrier:n:CN China Unicom": lost}
        minute = this - 12 * 60 - days * 24 * 60
        ledger.server.hset(keys.minute(minute), mapping=counts)
        ledger.server.hset(keys.hour(minute // 60), mapping=counts)  # housekeeping may have been there already


def opened(browser: Browser, **options: Any) -> Seen:
    """A fresh context of the browser."""
    context = browser.new_context(**options)
    seen = Seen(context, context.new_page())
    seen.page.on("console", lambda message: seen.said.append(message.text))
    seen.page.on("pageerror", lambda error: seen.said.append(str(error)))
    return seen
