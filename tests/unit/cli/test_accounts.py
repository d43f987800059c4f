"""`sendmill accounts`, `balance`, `pause`, `resume`, `limit`."""

from __future__ import annotations

import pytest

from sendmill.errors import BadCredentials
from sendmill.messages import Balance
from tests.support.desk import Desk, objects, run


def test_accounts_show_state_backlog_and_rate(desk: Desk) -> None:
    """A line each."""
    header, hk, cn = run(desk, "accounts").stdout.splitlines()
    assert ["ACCOUNT", "PROVIDER", "STATE", "OTP", "NORMAL", "BULK"] == header.split()[:6]
    assert "hk accessyou active 1 0 120,000 1 16,200 of 18,000 recipients/h – – –" == " ".join(hk.split())
    assert "cn smsadmin suspended: NoBalance 0 0 0 0 no limit – – 2 余额不足" == " ".join(cn.split())
    told = objects(run(desk, "accounts", "--json"))
    assert ({"otp": 1, "bulk": 120_000}, 4.5) == (told[0]["backlog"], told[0]["rate_used"])


def test_balance_asks_one_account_or_all(desk: Desk) -> None:
    """The vendor's own unit."""
    assert [{"account": "hk", "amount": "1000", "unit": "messages", "at": "2026-03-01T12:00:00.123Z"}] == objects(
        run(desk, "balance", "hk", "--json")
    )
    assert ["hk", "cn"] == [balance["account"] for balance in objects(run(desk, "balance", "--json"))]
    assert "1000" in run(desk, "balance").stdout


def test_a_balance_that_cannot_be_read_leaves_the_others(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line on stderr for it, and exit code 1."""
    balance = desk.balance

    def one_refuses(account: str) -> Balance:
        if account == "hk":
            raise BadCredentials("the vendor does not know this user and password", vendor_code="101")
        return balance(account)

    monkeypatch.setattr(desk, "balance", one_refuses)
    result = run(desk, "balance", "--json")
    assert ["cn"] == [told["account"] for told in objects(result)]
    assert "sendmill: hk: the vendor does not know this user and password\n" == result.stderr
    assert 1 == result.exit_code


def test_accounts_are_paused_resumed_and_limited(desk: Desk) -> None:
    """Each says what holds now."""
    assert run(desk, "pause", "hk").stdout.startswith("hk is paused")
    assert "hk is active\n" == run(desk, "resume", "hk").stdout
    assert "hk: calls_per_s is 20\n" == run(desk, "limit", "hk", "calls_per_s=20").stdout
    assert "hk: calls_per_s is what the settings say\n" == run(desk, "limit", "hk", "calls_per_s=off").stdout
    limits = [("limit", "hk", "calls_per_s", 20), ("limit", "hk", "calls_per_s", None)]
    assert [("pause", "hk"), ("resume", "hk"), *limits] == desk.said
