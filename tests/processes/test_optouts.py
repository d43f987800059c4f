"""Opt-outs through all processes: the vendor pushes or is polled, and no account writes to the number any more."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sendmill import Sms, State
from simulator.system import System
from simulator.vendor_accounts import at_vendor, five_accounts

END_S = 60.0


@pytest.fixture(scope="module")
def system() -> Iterator[System]:
    """One process of each Procfile line, the simulator and a server."""
    with System.start() as started:
        yield started


@pytest.mark.parametrize(
    ("account", "other", "number", "word", "back"),
    [
        ("mainland", "bulk", "+8613800138000", "退订", "订阅"),
        ("xi", "world", "+8613800138001", "TD", "dy"),
        ("hk", "world", "+85298882844", "Stop", "START"),
    ],
)
def test_a_handset_that_says_stop_is_left_alone_by_every_account(
    system: System, account: str, other: str, number: str, word: str, back: str
) -> None:
    """From its reply until the word back; a code that it asked for still comes. The reply names what it answers."""
    client = system.client()
    vendor, name = at_vendor(five_accounts("")[account])

    def sent(through: str, lane: str = "normal") -> State:
        job = client.send(Sms("Hello【Acme】", to=number), account=through, lane=lane).id
        system.wait_until(lambda: client.status(job).done, timeout_s=END_S, what="the message is final")
        (message,) = client.messages(job)
        return message.state

    assert State.DELIVERED is sent(account)
    system.simulator.reply(vendor, name, number[1:], word)
    system.wait_until(
        lambda: number in [each.number for each in client.optouts()], timeout_s=END_S, what="the number opted out"
    )
    assert [State.SUPPRESSED] * 3 == [sent(account), sent(other), sent(other, "bulk")]
    assert State.DELIVERED is sent(other, "otp")
    (answered,) = [reply.message_id for reply in client.replies() if reply.from_ == number]
    assert answered in [each.message_id for each in client.find(number) if each.account == account]
    system.simulator.reply(vendor, name, number[1:], back)
    system.wait_until(
        lambda: number not in [each.number for each in client.optouts()], timeout_s=END_S, what="it opted in"
    )
    assert State.DELIVERED is sent(account)
