"""Packing rows of a template: together where the provider's endpoint carries them, filled where it does not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from providers.base import Message, Provider, Service
from providers.smsadmin import Smsadmin, SmsadminSettings
from sendmill.ledger.slices import Slice, SliceBody, decode, encode, pack_u64
from sendmill.messages import Kind
from sendmill.states import State
from tasks.send import pack
from tasks.send.pack import Lease, Packer, ReadyCall

MOST = 4


class Few(Smsadmin):
    """smsadmin with calls of four rows, so that a test can count them."""

    def services(self) -> Sequence[Service]:
        """Both smaller."""
        return [Service("post", MOST), Service("ddt", MOST)]

    def service_for(self, message: Message, recipients: int) -> Service:
        """The first."""
        return self.services()[0]

    def personal_service(self, message: Message) -> Service | None:
        """The second, where there is one."""
        return self.services()[1] if super().personal_service(message) is not None else None


def provider(**changes: Any) -> Provider:
    """It."""
    table = {"provider": "smsadmin", "uid": "u", "pwd": "p", **changes}
    return Few("shop", SmsadminSettings.model_validate(table))


def lease(rows: Sequence[tuple[int, str]], slice_id: str = "job1.0.0", **changes: Any) -> Lease:
    """A slice of one template; a row is a number and the value of `{code}`."""
    body = SliceBody(
        job="job1",
        numbers=pack_u64([8613800000000 + number for number, _ in rows]),
        first_row=1,
        values=[(code,) for _, code in rows],
        **{
            "lane": "normal",
            "text": "Code {code}",
            "fields": ("code",),
            "signature": "【A】",
            "kind": Kind.TEMPLATE,
            **changes,
        },
    )
    return Lease(slice_id, 1, decoded(body, len(rows)), waiting=len(rows))


def decoded(body: SliceBody, rows: int) -> Slice:
    """A slice as it is claimed."""
    return decode(encode(body, State.QUEUED.byte * rows, events="none", created_ms=0, expires_ms=1))


def packed(packer: Packer) -> list[ReadyCall]:
    """Every call, in order."""
    found = []
    while (call := packer.call("normal", full_only=False)) is not None:
        found.append(call)
    return found


def shown(calls: Sequence[ReadyCall]) -> list[tuple[str, str, list[str], list[tuple[str, ...]]]]:
    """Endpoint, text, the numbers' last digits and values of each call."""
    return [
        (call.service.name, call.message.text, [number[-1] for number in call.numbers()], call.values())
        for call in calls
    ]


def test_rows_of_one_template_wait_together_over_slices_and_leave_full_calls_first() -> None:
    """Five rows in two slices: a full call of four; the fifth, alone, is a text like any other."""
    packer = Packer(provider(), None)
    packer.add(lease([(1, "a"), (2, "b")]))
    assert packer.call("normal", full_only=True) is None
    packer.add(lease([(3, "c"), (4, "d"), (5, "e")], "job2.0.0"))
    assert [
        ("ddt", "Code {code}", ["1", "2", "3", "4"], [("a",), ("b",), ("c",), ("d",)]),
        ("post", "Code e", ["5"], []),
    ] == shown(packed(packer))
    assert 0 == packer.rows


def test_a_row_that_breaks_the_separators_goes_filled_with_those_of_equal_text() -> None:
    """What the interface cannot carry is packed by its text, as if there were no interface."""
    packer = Packer(provider(), None)
    packer.add(lease([(1, "a"), (2, "x,y"), (3, "b"), (4, "x,y")]))
    assert [
        ("ddt", "Code {code}", ["1", "3"], [("a",), ("b",)]),
        ("post", "Code x,y", ["2", "4"], []),
    ] == shown(packed(packer))


def test_templates_of_other_signature_or_text_stay_apart() -> None:
    """What the rows of a call share besides the values is the same for all of them."""
    packer = Packer(provider(), None)
    packer.add(lease([(1, "a"), (2, "b")]))
    packer.add(lease([(3, "c"), (4, "d")], "job2.0.0", signature="【B】"))
    packer.add(lease([(5, "e"), (6, "f")], "job3.0.0", text="PIN {code}"))
    packer.add(lease([(7, "g"), (8, "h")], "job4.0.0"))
    assert [["1", "2", "7", "8"], ["3", "4"], ["5", "6"]] == [numbers for _, _, numbers, _ in shown(packed(packer))]


def test_a_number_travels_once_in_a_call_of_a_template_too() -> None:
    """The second row to a number waits for the next call, with its own values."""
    packer = Packer(provider(), None)
    packer.add(lease([(1, "a"), (2, "b"), (1, "c")]))
    assert [
        ("ddt", "Code {code}", ["1", "2"], [("a",), ("b",)]),
        ("post", "Code c", ["1"], []),
    ] == shown(packed(packer))


@pytest.mark.parametrize("text", ["Code {code}", "Hello"])
def test_rows_to_one_number_are_not_all_looked_at_for_each_call(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """5,000 of them took 19 s, in which the loop stood still; what goes is the same: one a call, all of them."""
    looked: list[int] = []

    def counted(each: Lease, first: int, last: int, *more: Any) -> Any:
        looked.append(last - first + 1)
        return runs_of_new_numbers(each, first, last, *more)

    runs_of_new_numbers = pack._runs_of_new_numbers
    monkeypatch.setattr(pack, "_runs_of_new_numbers", counted)
    packer = Packer(provider(), None)
    fields: dict[str, Any] = {"text": text, "fields": ("code",) if "{" in text else ()}
    for number in range(10):
        packer.add(lease([(1, f"{row}") for row in range(100)], slice_id=f"job1.0.{number}", **fields))
    calls = packed(packer)
    assert [1] * 1_000 == [call.recipients for call in calls]
    assert 1_000 == len({(run[0].slice_id, run[1]) for call in calls for run in call.runs})
    assert sum(looked) < 100 * len(calls)


def test_halves_keep_each_rows_values_down_to_the_text_of_one() -> None:
    """Each half is of the same template; a half of one row is its text."""
    packer = Packer(provider(), None)
    packer.add(lease([(1, "a"), (2, "b"), (3, "c")]))
    [call] = packed(packer)
    first, second = call.halves(provider())
    assert [
        ("post", "Code a", ["1"], []),
        ("ddt", "Code {code}", ["2", "3"], [("b",), ("c",)]),
    ] == shown([first, second])


def test_a_smaller_limit_makes_calls_of_a_template_smaller() -> None:
    """`sendmill limit` counts recipients, whatever the endpoint."""
    packer = Packer(provider(), None)
    packer.add(lease([(1, "a"), (2, "b"), (3, "c"), (4, "d")]))
    packer.shrink(2)
    assert [["1", "2"], ["3", "4"]] == [numbers for _, _, numbers, _ in shown(packed(packer))]


def test_without_the_interface_every_row_is_a_text() -> None:
    """Rows of equal text still go together."""
    packer = Packer(provider(personalised=False), None)
    packer.add(lease([(1, "a"), (2, "b"), (3, "a")]))
    assert [("post", "Code a", ["1", "3"], []), ("post", "Code b", ["2"], [])] == shown(packed(packer))


def test_a_call_that_is_not_full_lingers_for_rows_of_its_content() -> None:
    """Rows of another slice that come meanwhile go along; after `linger_ms` it goes as it is."""
    now = [100.0]
    packer = Packer(provider(personalised=False), None, linger_s=2.0, clock=lambda: now[0])
    packer.add(lease([(1, "a"), (2, "a")]))
    assert packer.call("normal", full_only=False) is None
    assert 2.0 == packer.linger_s
    now[0] += 1.5
    packer.add(lease([(3, "a")], "job2.0.0"))
    assert packer.call("normal", full_only=False) is None
    now[0] += 0.5
    assert 0.0 == packer.linger_s
    together = packer.call("normal", full_only=False)
    assert together is not None
    assert 3 == together.recipients
    assert packer.linger_s is None


def test_a_full_call_and_an_otp_never_linger() -> None:
    """Nothing could be added to the one; the other is waited for."""
    packer = Packer(provider(personalised=False), None, linger_s=2.0, clock=lambda: 100.0)
    packer.add(lease([(number, "a") for number in range(MOST)]))
    packer.add(lease([(9, "b")], "job2.0.0", lane="otp"))
    full, otp = packer.call("normal", full_only=False), packer.call("otp", full_only=False)
    assert full is not None
    assert otp is not None
    assert (MOST, 1) == (full.recipients, otp.recipients)
