"""A sixth vendor: the provider of docs/adding-a-provider.md, held to every vendor's promises and sent with once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import pytest
from aiohttp import web

from config.settings import Route, Settings
from providers import registry
from providers.base import Balance, Message, Push, Report, Request
from providers.simulated import simulated
from sendmill.errors import ProviderError, TextTooLong, UnsupportedFeature
from sendmill.features import Feature
from sendmill.messages import Sms
from sendmill.segments import Segments
from sendmill.states import State
from tasks.report.fold import fold_account
from tests.providers.contract import MADE_AT, ProviderContract
from tests.providers.example import BALANCE_CODES, SEND, SUBMIT_CODES, Example
from tests.providers.payload import answer, payload
from tests.support.flow import flow, hong_kong
from tests.support.reporting import push
from tests.support.stub import stub_vendor

VENDOR = "example"
SETTINGS: Mapping[str, Any] = {
    "provider": VENDOR,
    "base_url": "https://example.com/api",
    "uid": "10086",
    "pwd": "example-password",
    "push_token": ["push-token-of-example"],
}
PAGE = Path(__file__).parents[2] / "docs" / "adding-a-provider.md"


class TestExample(ProviderContract):
    """The promises of every vendor, then the few lines that are this vendor's own."""

    vendor = VENDOR
    provider_class = Example
    settings = SETTINGS
    tables: ClassVar = {"send": SUBMIT_CODES, "balance": BALANCE_CODES}
    message = Message("Your parcel is at counter 5", signature="【Acme】")
    too_long = Message("a" * 495, signature="【Acme】")
    bad_numbers = ("85298882844", "+012345678", "+1234567890123456")
    good_answers: ClassVar = [payload(VENDOR, name) for name in ("send-0.json", "balance-0.json")]

    def number(self, index: int) -> str:
        """A mobile of Hong Kong."""
        return f"+8529{index:07d}"

    def numbers_in(self, request: Request) -> list[str]:
        """Every number of `to`."""
        return str(json.loads(request.body)["to"]).split(",")

    def test_a_send_is_the_json_object_of_the_document(self) -> None:
        """Address, content type, names and signature."""
        request = self.provider().submit_request(self.call(SEND))
        assert ("POST", "https://example.com/api/send") == (request.method, request.url)
        assert {"Content-Type": "application/json; charset=utf-8"} == request.headers
        assert {
            "uid": "10086",
            "pwd": "example-password",
            "to": "+85290000000",
            "text": "【Acme】Your parcel is at counter 5",
            "ref": "0f3c9a7e21d84b6c",
        } == json.loads(request.body)

    def test_success_names_the_call_and_the_balance_is_read(self) -> None:
        """Sections 1.2 and 2."""
        accepted = self.provider().submitted(self.call(SEND), answer(payload(VENDOR, "send-0.json")))
        assert "77" == accepted.vendor_message_id
        assert Balance("1125", "messages") == self.provider().balance(answer(payload(VENDOR, "balance-0.json")))

    @pytest.mark.parametrize("code", ["1", "2", "3", "9"])
    def test_every_code_of_a_send_has_its_class(self, code: str) -> None:
        """Section 1.3."""
        with pytest.raises(ProviderError) as raised:
            self.provider().submitted(self.call(SEND), answer(payload(VENDOR, f"send-{code}.json")))
        assert (SUBMIT_CODES[code], code) == (type(raised.value), raised.value.vendor_code)

    def test_a_balance_has_a_code_table_of_its_own(self) -> None:
        """Section 2."""
        with pytest.raises(ProviderError) as raised:
            self.provider().balance(answer(payload(VENDOR, "balance-1.json")))
        assert BALANCE_CODES["1"] is type(raised.value)

    def test_reports_are_read(self) -> None:
        """Section 3."""
        known: dict[str, Any] = {"number": "+85298882844", "vendor_message_id": "77"}
        delivered = Report(State.DELIVERED, "DELIVRD", **known, occurred_at=MADE_AT)
        assert [delivered] == list(self.provider().pushed(_push("report-delivrd.form")).reports)
        undelivered = Report(State.UNDELIVERED, "UNDELIV", **known)
        assert [undelivered] == list(self.provider().pushed(_push("report-undeliv.form")).reports)

    def test_what_the_vendor_cannot_be_told_is_refused(self) -> None:
        """A sender and a parameter are errors, not dropped."""
        with pytest.raises(UnsupportedFeature, match="sender"):
            self.provider().check(Message("Hello", sender="Acme"))
        with pytest.raises(UnsupportedFeature, match="'dnc'"):
            self.provider().check(Message("Hello", options={"dnc": "y"}))

    def test_a_text_is_counted_with_its_signature(self) -> None:
        """As the GSM standard counts."""
        assert Segments("UCS-2", 71, 2) == self.provider().segments(Message("a" * 65, signature="【Acme】"))

    def test_nothing_is_pushed_without_a_push_token(self) -> None:
        """Such an account hears nothing of its messages: `submitted` is their end."""
        assert (True, False) == (self.provider().reports, self.provider(push_token=[]).reports)
        assert {Feature.SMS, Feature.BALANCE} == self.provider(push_token=[]).offers()

    def test_a_simulated_account_says_what_the_vendor_takes(self) -> None:
        """Its provider has another name, and the limit is still that of the vendor."""
        model = Example.settings_model.model_validate(SETTINGS)
        with pytest.raises(TextTooLong, match="501 characters with the signature: example takes 500"):
            simulated(Example)("shop", model).check(self.too_long)


def test_the_page_shows_this_provider() -> None:
    """Whoever copies it copies what is tested here."""
    module = Path(__file__).with_name("example.py").read_text(encoding="utf-8")
    assert f"```python\n{module}```" in PAGE.read_text(encoding="utf-8")


async def test_a_job_goes_through_the_flow_to_the_sixth_vendor(
    redis_url: str, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line in the registry is all that the flow needs: three numbers in a call over HTTP, and a report."""
    monkeypatch.setenv("SENDMILL_STATE_DIR", str(tmp_path))
    monkeypatch.setattr(registry, "PROVIDERS", {**registry.PROVIDERS, VENDOR: Example})
    bodies: list[dict[str, str]] = []

    async def accept(request: web.BaseRequest) -> web.StreamResponse:
        bodies.append(await request.json())
        return web.Response(body=payload(VENDOR, "send-0.json"))

    numbers = hong_kong(3)
    async with stub_vendor() as vendor:
        vendor.always(accept)
        account = registry.models()[VENDOR].model_validate({**SETTINGS, "base_url": vendor.url})
        settings = Settings(
            redis_url=redis_url, namespace=namespace, accounts={"shop": account}, routes=[Route(accounts=["shop"])]
        )
        async with flow(settings) as one:
            job = await one.send(Sms("Hello", numbers), signature="【Acme】")
            await one.drain("shop")
            assert {State.SUBMITTED: 3} == await one.states(job)
            report = payload(VENDOR, "report-delivrd.form").replace(b"%2B85298882844", f"%2B{numbers[1][1:]}".encode())
            await push(one.runtime.accounts["shop"], report)
            await fold_account(one.runtime, one.runtime.accounts["shop"])
            told = await asyncio.to_thread(lambda: list(one.client.messages(job)))
    assert [",".join(numbers)] == [body["to"] for body in bodies]
    assert ["【Acme】Hello"] == [body["text"] for body in bodies]
    assert [State.SUBMITTED, State.DELIVERED, State.SUBMITTED] == [each.state for each in told]
    assert {"77"} == {each.vendor_message_id for each in told}


def _push(name: str) -> Push:
    return Push("POST", b"", {}, payload(VENDOR, name))
