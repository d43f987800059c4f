"""Every endpoint of the five vendors' documents, reached from Python and from the command line."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sendmill.client import Client
from sendmill.messages import Content, Mms, Sms, TemplateSms, VendorTemplateSms, Voice
from sendmill.states import State
from simulator.system import FIVE_ROUTES, System
from simulator.vendor_accounts import Accounts, five_accounts
from tests.support.flow import hong_kong, mainland
from tests.support.shell import run_here

DONE_S = 60.0

SUBMITS = {
    ("accessyou", "sendsms.php"),
    ("accessyou", "sendsms-batch.php"),
    ("accessyou", "sendsms-otp.php"),
    ("accessyou", "sendsms-vercode.php"),
    ("accessyou", "sendmms.php"),
    ("accessyou", "send.php"),
    ("accessyou", "email"),
    ("xioo", "send"),
    ("smsadmin", "get_send"),
    ("smsadmin", "get_send_md5"),
    ("smsadmin", "get_send_urldecode"),
    ("smsadmin", "post_send"),
    ("smsadmin", "post_send_md5"),
    ("smsadmin", "post_send_urldecode"),
    ("smsadmin", "post_send_ddt"),
    ("ihuyi", "Submit"),
    ("sms467890", "send"),
}
"""Addresses that take messages, by the names of the simulator's journal."""

QUESTIONS = {
    ("accessyou", "check_msginfo.php"),
    ("accessyou", "check_accinfo.php"),
    ("accessyou", "add_senderid.php"),
    ("accessyou", "upload_img.php"),
    ("accessyou", "upload_wav.php"),
    ("xioo", "balance"),
    ("smsadmin", "user_info"),
    ("smsadmin", "user_info_urldecode"),
    ("smsadmin", "mgz"),
    ("smsadmin", "reve"),
    ("smsadmin", "reve_urlencode"),
    ("smsadmin", "report"),
    ("ihuyi", "GetNum"),
    ("sms467890", "balance"),
}
"""Addresses that are asked."""

METHODS = ("get", "post")
STYLES = ("plain", "md5", "urlencode")
ANY_ACCOUNT = ("hk", "mainland", "mainland_post_urlencode", "xi", "world", "bulk")
PICTURE = "http://pictures.example/spring.jpg"
RECORDING = "http://pictures.example/bell.wav"


def _accounts(url: str) -> Accounts:
    """The five, with an account at each address of smsadmin and one that sends in the older form of sendsms."""
    accounts: dict[str, dict[str, Any]] = {name: dict(values) for name, values in five_accounts(url).items()}
    for method in METHODS:
        for style in STYLES:
            accounts[f"mainland_{method}_{style}"] = {
                **accounts["mainland"],
                "uid": f"{method}_{style}",
                "method": method,
                "style": style,
                "polls": [],
            }
    accounts["mainland_post_plain"]["polls"] = ["reve"]
    accounts["hk_older"] = {
        **accounts["hk"],
        "sms": {"url": accounts["hk"]["sms"]["url"], "pwd": "web-secret", "style": "msg"},
    }
    return accounts


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """Everything that runs; every message is delivered, every number replies."""
    replies = {"reply_share": 1.0, "reply_delay_ms": 50, "reply_texts": ["收到"]}
    with System.start(
        accounts=_accounts,
        routes=FIVE_ROUTES,
        simulator_accounts={
            **dict.fromkeys(("hk", "hk_older", "mainland", "xi"), replies),
            **{f"mainland_{method}_{style}": {"password": "smsadmin-secret"} for method in METHODS for style in STYLES},
        },
        site={"public_url": "http://127.0.0.1:80"},
    ) as started:
        for vendor in ("accessyou", "smsadmin", "ihuyi", "sms467890", "xioo"):
            started.simulator.add_fates({"vendor": vendor, "delivered_share": 1.0})
        yield started


def _reached(system: System) -> Counter[tuple[str, str]]:
    """How often each address was asked."""
    reached: Counter[tuple[str, str]] = Counter()
    for vendor, accounts in system.simulator.counters()["vendors"].items():
        for account in accounts.values():
            for endpoint, times in account["requests_by_endpoint"].items():
                reached[vendor, endpoint] += times
    return reached


def _jobs(first: int) -> Iterable[tuple[Content, dict[str, Any]]]:
    """A job for each address that takes messages, to numbers from `first` on."""
    hk, cn = hong_kong(100, first=first), mainland(100, first=first)
    yield Sms("Your order has left.", hk[0]), {"account": "hk"}
    yield Sms("Your order has left.", hk[1]), {"account": "hk_older"}
    yield Sms("Your order has left.", hk[2:5]), {"account": "hk"}
    yield VendorTemplateSms("1", [{"to": hk[5], "a": "1125"}]), {"account": "hk", "lane": "otp"}
    yield Sms("Your code is 1125", hk[6]), {"account": "hk", "vendor": {"service": "vercode"}}
    yield Sms("Your order has left.", hk[7]), {"account": "hk", "vendor": {"service": "email"}}
    yield Mms("Spring", "The new catalogue", PICTURE, hk[8]), {"account": "hk"}
    yield Voice(RECORDING, hk[9]), {"account": "hk"}
    for place, (method, style) in enumerate(itertools.product(METHODS, STYLES)):
        yield Sms("订单已发出", cn[place]), {"account": f"mainland_{method}_{style}"}
    rows = [{"to": number, "n": place} for place, number in enumerate(cn[10:15])]
    yield TemplateSms("订单{n}已发出", rows), {"account": "mainland"}
    yield Sms("订单已发出", cn[20]), {"account": "xi"}
    yield Sms("订单已发出", cn[21]), {"account": "bulk", "signature": "【Acme】"}
    yield Sms("Your order has left.", hk[22]), {"account": "world"}


def _wait_until_done(system: System, client: Client, jobs: Iterable[str]) -> None:
    for job in jobs:
        system.wait_until(lambda job=job: client.status(job).done, timeout_s=DONE_S, what=f"job {job} is done")  # type: ignore[misc]
        bad = {state: rows for state, rows in client.status(job).states.items() if state not in GOOD}
        assert {} == bad, f"{job}: {[(each.code, each.detail) for each in client.messages(job)]}"


GOOD = (State.SUBMITTED, State.DELIVERED)


def _missing(system: System, before: Counter[tuple[str, str]], wanted: set[tuple[str, str]]) -> set[tuple[str, str]]:
    return wanted - set(_reached(system) - before)


def test_every_endpoint_is_reached_from_python(system: System) -> None:
    """What a vendor offers can be used without going round sendmill, and breaks none of its rules."""
    before = _reached(system)
    with system.client() as client:
        jobs = list(_jobs(0))
        for older in (False, True):  # both are one account at their vendor, which takes one call at a time
            chosen = [(content, options) for content, options in jobs if older is (options["account"] == "hk_older")]
            _wait_until_done(system, client, [client.send(content, **options).id for content, options in chosen])
        for account in ANY_ACCOUNT:
            assert client.balance(account).amount
        assert [] == client.check_words("mainland", "订单已发出")
        assert client.upload("hk", PICTURE)
        assert client.upload("hk", RECORDING)
        assert client.add_sender("hk", "Acme")
    system.wait_until(partial(_nothing_missing, system, before), timeout_s=DONE_S, what="every address has been asked")
    assert 0 == system.simulator.breaches()["total"], system.simulator.breaches()


def _nothing_missing(system: System, before: Counter[tuple[str, str]]) -> bool:
    return not _missing(system, before, SUBMITS | QUESTIONS)


def test_every_endpoint_is_reached_from_the_command_line(system: System, tmp_path: Path) -> None:
    """The same by commands alone."""
    before = _reached(system)
    do = partial(_run, system)
    hk, cn = hong_kong(100, first=1000), mainland(100, first=1000)
    text = ("--text", "Your order has left.", "--json")
    chinese = ("--text", "订单已发出", "--json")
    table = tmp_path / "rows.csv"
    table.write_text("phone,n\n" + "".join(f"{number},{place}\n" for place, number in enumerate(cn[10:15])), "utf-8")
    at_mainland = ("--account", "mainland", "--json")
    sends = [
        ("send", *text, hk[0], "--account", "hk"),
        ("send", *text, hk[1], "--account", "hk_older"),
        ("send", *text, *hk[2:5], "--account", "hk"),
        ("send", "--template-id", "1", "--value", "a=1125", hk[5], "--account", "hk", "--lane", "otp", "--json"),
        ("send", "--text", "Your code is 1125", hk[6], "--account", "hk", "--vendor", "service=vercode", "--json"),
        ("send", *text, hk[7], "--account", "hk", "--vendor", "service=email"),
        ("send", *text, "--subject", "Spring", "--mms-image", PICTURE, hk[8], "--account", "hk"),
        ("send", "--voice", RECORDING, hk[9], "--account", "hk", "--json"),
        *(
            ("send", *chinese, cn[place], "--account", f"mainland_{method}_{style}")
            for place, (method, style) in enumerate(itertools.product(METHODS, STYLES))
        ),
        ("send", "--file", str(table), "--to", "phone", "--template", "订单{n}已发出", *at_mainland),
        ("send", *chinese, cn[20], "--account", "xi"),
        ("send", *chinese, cn[21], "--account", "bulk", "--signature", "【Acme】"),
        ("send", *text, hk[22], "--account", "world"),
    ]
    with system.client() as client:
        _wait_until_done(system, client, [json.loads(do(*each))["job"] for each in sends])
    for account in ANY_ACCOUNT:
        assert do("balance", account)
    do("check-words", "订单已发出", "--account", "mainland")
    do("upload", "--account", "hk", PICTURE)
    do("upload", "--account", "hk", RECORDING)
    do("sender-id", "add", "Acme", "--account", "hk")
    system.wait_until(partial(_nothing_missing, system, before), timeout_s=DONE_S, what="every address has been asked")


def _run(system: System, *arguments: str) -> str:
    said = run_here(system, *arguments)
    assert 0 == said.exit_code, f"{arguments}: {said.err}"
    return said.out


@pytest.mark.parametrize(
    ("vendor", "what"),
    [
        ("accessyou", "replies"),
        ("smsadmin", "reports"),
        ("smsadmin", "replies"),
        ("xioo", "reports"),
        ("xioo", "replies"),
        ("ihuyi", "reports"),
        ("sms467890", "reports"),
    ],
)
def test_every_push_of_the_documents_arrives(system: System, vendor: str, what: str) -> None:
    """Each of the seven pushes has come in and was folded."""

    def counted(outcome: str) -> int:
        return sum(each[f"{what}_{outcome}"] for each in system.simulator.counters()["vendors"][vendor].values())

    system.wait_until(lambda: counted("pushed") > 0, timeout_s=DONE_S, what=f"{vendor} has pushed {what}")
    assert 0 == counted("push_failed")
