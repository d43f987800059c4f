"""How a number that was given becomes the number on the vendor's wire, or is refused: the whole way, as a table.

A row is prepared as `send` does it, packed and unpacked as the ledger does, checked by the provider and put into a
request. A refusal has the row's number from 1 and a stable code.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from config.settings import Route
from providers import registry
from providers.base import Call, Message, Provider, Request
from sendmill.errors import InvalidMessage
from sendmill.messages import Sms
from sendmill.numbers import pack, unpack
from sendmill.options import SendOptions
from sendmill.preparing.prepare import PreparedRow, RefusedRow, prepare
from sendmill.states import State
from simulator.vendor_accounts import five_accounts
from tests.providers.readers import MADE_AT, REFERENCE
from tests.support.flow import flow
from tests.support.rows import settings_of

HK, CN, TW, GB, US, IT = "HK", "CN", "TW", "GB", "US", "IT"
REFUSED = "invalid_number"


@dataclass(frozen=True, slots=True)
class Given:
    """A number as somebody wrote it, the job's region, and what it becomes; None where nobody can send to it."""

    raw: str
    region: str | None
    e164: str | None = None
    ihuyi: str | None = None

    def expected(self, vendor: str) -> str:
        """What stands on that vendor's wire, or the code of the refusal."""
        if self.e164 is None:
            return REFUSED
        if vendor == "accessyou":
            return self.e164.removeprefix("+")
        if vendor == "ihuyi":
            assert self.ihuyi is not None
            return self.ihuyi
        mainland_mobile = self.e164.startswith("+861") and len(self.e164) == len("+8613712345678")
        return self.e164.removeprefix("+86") if mainland_mobile else REFUSED


_HONG_KONG = ("+85298882844", "852 98882844")
_MAINLAND = ("+8613712345678", "86 13712345678")
_TAIWAN = ("+886921222111", "886 921222111")
_BRITAIN = ("+447400123456", "44 7400123456")

TABLE = (
    # as E.164, with and without what people put between the digits
    Given("+85298882844", None, *_HONG_KONG),
    Given("+852 9888 2844", None, *_HONG_KONG),
    Given("+852-9888-2844", None, *_HONG_KONG),
    Given("+852 (9888) 28.44", None, *_HONG_KONG),
    Given(" +85298882844\n", None, *_HONG_KONG),
    Given("+8613712345678", None, *_MAINLAND),
    Given("+86 137-1234-5678", None, *_MAINLAND),
    Given("+886921222111", None, *_TAIWAN),
    Given("+447400123456", None, *_BRITAIN),
    Given("+14155552671", None, "+14155552671", "1 4155552671"),
    Given("+390612345678", None, "+390612345678", "39 0612345678"),  # Italy's zero belongs to the number
    Given("+862082345678", None, "+862082345678", "86 2082345678"),  # a fixed line: mainland platforms take mobiles
    # as somebody in the region would dial it
    Given("98882844", HK, *_HONG_KONG),
    Given("85298882844", HK, *_HONG_KONG),
    Given("001 852 98882844", HK, *_HONG_KONG),
    Given("0085298882844", CN, *_HONG_KONG),
    Given("13712345678", CN, *_MAINLAND),
    Given("8613712345678", CN, *_MAINLAND),
    Given("008613712345678", CN, *_MAINLAND),
    Given("013712345678", CN, *_MAINLAND),  # 0 is the trunk prefix there
    Given("0921222111", TW, *_TAIWAN),
    Given("07400 123456", GB, *_BRITAIN),
    Given("00447400123456", GB, *_BRITAIN),
    Given("4155552671", US, "+14155552671", "1 4155552671"),
    Given("06 12345678", IT, "+390612345678", "39 0612345678"),
    Given("+85298882844", CN, *_HONG_KONG),  # the plus sign outweighs the region
    # without a plus sign and without a region nobody knows whose number it is
    Given("85298882844", None),
    Given("98882844", None),
    Given("13712345678", None),
    Given("8613712345678", None),
    Given("0085298882844", None),
    Given("866921222111", None),  # the document's example for Taiwan (accessyou.txt p.26), with its misprint
    # trunk zeros behind a country code are refused, not guessed away
    Given("+852098882844", None),
    Given("+86013712345678", None),
    Given("+8860921222111", None),
    Given("+4407400123456", None),
    Given("+44 (0)7400 123456", None),
    # trunk zeros and prefixes that the region does not have
    Given("098882844", HK),
    Given("085298882844", HK),
    Given("0085298882844", HK, *_HONG_KONG),  # from Hong Kong one dials 001, and 00852… is no other number
    # too short, too long, not assigned
    Given("12", HK),
    Given("10086", CN),
    Given("+852", None),
    Given("+85299", None),
    Given("+8529888284", None),
    Given("+852988828440", None),
    Given("+861371234567", None),
    Given("+86137123456789", None),
    Given("+8612012345678", None),
    Given("+999123456789", None),
    Given("+1234567890123456", None),
    # letters, digits of other scripts, marks, several numbers in one
    Given("", HK),
    Given("+", None),
    Given("+8529888284a", None),
    Given("9888CALL", HK),
    Given("not a number", CN),
    Given("98882844 ext 5", HK),
    Given("tel:+85298882844", None),
    Given("１３７１２３４５６７８", CN, *_MAINLAND),
    Given("+８５２９８８８２８４４", None, *_HONG_KONG),
    Given("٩٨٨٨٢٨٤٤", HK),
    Given("+852\N{NO-BREAK SPACE}98882844", None, *_HONG_KONG),
    Given("\N{LEFT-TO-RIGHT MARK}+85298882844", None, *_HONG_KONG),
    Given("+852 98882844.0", None),
    Given("98882844/5", HK),
    Given("0085362345678", HK),  # Macao as it is read, Cuba as it is dialled
    Given("++85298882844", None),
    Given("85298882844+", HK),
    Given("+85298882844,+85298882845", None),
    Given("+85298882844;", None),
)


def _of_query(name: str) -> Callable[[Request], str]:
    return lambda request: parse_qs(urlsplit(request.url).query, strict_parsing=True)[name][0]


def _of_form(name: str) -> Callable[[Request], str]:
    return lambda request: parse_qs(request.body.decode(), strict_parsing=True)[name][0]


ON_THE_WIRE: Mapping[str, Callable[[Request], str]] = {
    "accessyou": _of_query("phone"),
    "ihuyi": _of_form("mobile"),
    "sms467890": lambda request: str(json.loads(request.body)["mobile"]),
    "smsadmin": _of_form("mobile"),
    "xioo": _of_form("mobile"),
}


def _provider(vendor: str) -> Provider:
    [values] = [each for each in five_accounts("http://127.0.0.1:9").values() if each["provider"] == vendor]
    return registry.build("shop", registry.models()[vendor].model_validate(values))


def _sent(vendor: str, given: Given) -> str:
    """What the vendor is told, or the code that the row ends with. It stands in the second row of its job."""
    options = SendOptions.validated(region=given.region, dedupe=False)
    _, row = prepare(Sms("Hello", ["+85298882844", given.raw]), options)
    assert 2 == row.row
    if isinstance(row, RefusedRow):
        assert (State.FAILED, given.raw[:64]) == (row.state, row.to)
        assert len(given.raw) < 9 or given.raw not in row.reason
        return row.code
    assert isinstance(row, PreparedRow)
    number = unpack(row.number)
    assert (given.e164, row.number) == (number, pack(number))
    provider = _provider(vendor)
    try:
        provider.check_number(number)
    except InvalidMessage as error:
        return error.code if number not in str(error) else "shows the whole number"
    message = Message("Hello", signature="【Acme】")
    call = Call(provider.service_for(message, 1), message, [number], REFERENCE, MADE_AT)
    return ON_THE_WIRE[vendor](provider.submit_request(call))


@pytest.mark.parametrize("given", TABLE, ids=lambda given: f"{given.raw.strip()!a}, {given.region}")
@pytest.mark.parametrize("vendor", sorted(registry.PROVIDERS))
def test_a_number_stands_on_the_wire_as_the_vendor_reads_it_or_is_refused(vendor: str, given: Given) -> None:
    """AccessYou: country code and number. ihuyi: a space between the two. The mainland platforms: eleven digits."""
    assert given.expected(vendor) == _sent(vendor, given)


def test_the_table_has_the_forms_of_every_vendor() -> None:
    """The three forms that vendors want, word for word."""
    hong_kong, mainland = Given("+85298882844", None, *_HONG_KONG), Given("+8613712345678", None, *_MAINLAND)
    assert ("85298882844", "852 98882844") == (_sent("accessyou", hong_kong), _sent("ihuyi", hong_kong))
    assert ["13712345678"] * 3 == [_sent(vendor, mainland) for vendor in ("sms467890", "smsadmin", "xioo")]


@pytest.mark.parametrize("account", ["hk", "mainland", "xi", "world", "bulk"])
async def test_a_job_of_such_rows_sends_the_good_ones_and_names_the_others(
    account: str, redis_url: str, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through `send`, the plan and the ledger on a real server: every refused row is there with its code, no other."""
    rows = [given for given in TABLE if given.region is None]
    monkeypatch.setenv("SENDMILL_STATE_DIR", str(tmp_path))
    settings = settings_of(redis_url, namespace, account)
    vendor = settings.accounts[account].provider
    settings = settings.model_copy(update={"routes": [Route(accounts=[account])]})
    async with flow(settings) as one:
        job = await one.send(Sms("Hello", [given.raw for given in rows]), signature="【Acme】", dedupe=False)
        told = await asyncio.to_thread(lambda: list(one.client.messages(job)))
    expected = {f"{job}-{row}": given.expected(vendor) == REFUSED for row, given in enumerate(rows, 1)}
    assert expected == {each.message_id: each.state is State.FAILED for each in told}
    assert {(State.FAILED, REFUSED), (State.QUEUED, None)} == {(each.state, each.code) for each in told}
