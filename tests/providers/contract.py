"""What every vendor's module promises: each vendor's test class inherits this one and fills in what stands on top.

::

    class TestExample(ProviderContract):
        provider_class = Example
        settings = {"provider": "example", "uid": "u", "pwd": "a-secret-of-8-characters-or-more"}
        tables = {"submit": SUBMIT_CODES, "balance": BALANCE_CODES}
        …
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from providers.base import Call, Message, Provider, Request, Service
from sendmill.errors import EmptyText, InvalidNumber, OutcomeUnknown, ProviderError, SendmillError, TextTooLong
from tests.providers.payload import answer, files, origins
from tests.providers.readers import MADE_AT, REFERENCE, readers_of

__all__ = ["FUZZ", "GARBAGE", "MADE_AT", "REFERENCE", "ProviderContract"]

GARBAGE = {
    "empty": b"",
    "white space": b" \r\n\t",
    "byte order mark alone": b"\xef\xbb\xbf",
    "html": b"<html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>",
    "html of a portal": b"<!DOCTYPE html>\n<html><body><p>Please log in</p></body></html>",
    "half a JSON object": b'{"status":"suc',
    "JSON of another shape": b"[1,2,3]",
    "JSON null": b"null",
    "half an XML element": b"<xml><msg><msg_status>10",
    "XML of another shape": b"<?xml version='1.0'?><a><b>c</b></a>",
    "words": b"service temporarily overloaded",
    "nul bytes": b"\x00" * 16,
    "no character set": b"\xff\xfe\xfd\x80\x81",
    "an undocumented code": b"98765",
}
"""Answers that no vendor documents."""

FUZZ = settings(
    max_examples=settings().max_examples * 3 // 2,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)


class ProviderContract:
    """The promises. A subclass sets what stands above the first test."""

    vendor: ClassVar[str]
    """The provider's name, which is its payload folder too."""

    provider_class: ClassVar[type[Provider]]

    settings: ClassVar[Mapping[str, Any]]
    """`[accounts.x]` with everything filled in; secrets at least 8 characters long, so that a leak is no accident."""

    tables: ClassVar[Mapping[str, Mapping[str, type[ProviderError] | None]]]
    """Every code table, by endpoint: the error class of each documented code, None where it means accepted."""

    message: ClassVar[Message]
    """A message that the vendor takes; its text is found nowhere in the vendor's own words."""

    too_long: ClassVar[Message | None] = None
    """A message one character longer than the vendor takes; None where the vendor has no limit."""

    bad_numbers: ClassVar[Sequence[str]] = ()
    """Numbers that are well formed elsewhere and that this vendor does not reach."""

    garbage: ClassVar[Mapping[str, bytes]] = GARBAGE
    """Answers that the vendor does not document; a vendor to which one of ours means something replaces it."""

    good_answers: ClassVar[Sequence[bytes]] = ()
    """Answers that the fuzz test bends: submit, balance, polls and pushes mixed."""

    def number(self, index: int) -> str:
        """The index-th of at least 20,000 distinct numbers that the vendor reaches, in E.164."""
        raise NotImplementedError

    def numbers_in(self, request: Request) -> list[str]:
        """The recipients of a submit as the vendor would read them, put back into E.164."""
        raise NotImplementedError

    # --- tools ---------------------------------------------------------------------------------------------------

    def provider(self, **changes: Any) -> Provider:
        """A provider of the account `shop`, with some of the settings changed."""
        table = {**self.settings, **changes}
        return self.provider_class("shop", self.provider_class.settings_model.model_validate(table))

    def call(self, service: Service, recipients: int = 1, message: Message | None = None) -> Call:
        """A call to that many distinct recipients."""
        numbers = [self.number(index) for index in range(recipients)]
        return Call(service, message or self.message_for(service), numbers, REFERENCE, MADE_AT)

    def message_for(self, service: Service) -> Message:
        """A message that the service takes."""
        return self.message

    def web_services(self) -> list[Service]:
        """The services that are reached by HTTP; mail has tests of its own."""
        return [service for service in self.provider().services() if not service.by_mail]

    def readers(self) -> Iterator[Callable[[bytes], object]]:
        """Every method that reads a vendor's bytes, each taking the bytes alone."""
        for _, read in readers_of(self.provider(), self.number(0), self.message):
            yield read

    # --- settings and secrets ------------------------------------------------------------------------------------

    def test_every_secret_setting_is_named_as_a_secret(self) -> None:
        """`secrets` lists the value of each SecretStr, so that logs can be cleaned of it."""
        provider = self.provider()
        held = _secret_values(self.provider_class.settings_model.model_validate(self.settings))
        assert held
        assert held <= set(provider.secrets())

    def test_provider_and_settings_print_no_secret(self) -> None:
        """Neither repr nor str of a provider or of its settings shows a secret."""
        provider = self.provider()
        model = self.provider_class.settings_model.model_validate(self.settings)
        shown = " ".join([repr(provider), str(provider), repr(model), str(model)])
        assert [] == [secret for secret in provider.secrets() if secret in shown]

    def test_errors_hold_no_secret_no_text_and_no_number(self) -> None:
        """An answer that echoes the whole request raises an error that repeats none of it, in no cause or context."""
        provider = self.provider()
        number = self.number(0)
        private = [*provider.secrets(), self.message.text, number, number.removeprefix("+")]
        echo = "\r\n".join(private).encode()
        for read in self.readers():
            for body in [
                echo,
                *(garbage + echo for garbage in self.garbage.values()),
                *_broken(self.good_answers, echo),
            ]:
                error = _error_of(read, body)
                told = _everything_told_by(error) if error else ""
                assert [] == [word for word in private if word in told]

    # --- tables --------------------------------------------------------------------------------------------------

    def test_every_documented_code_has_a_class(self) -> None:
        """Each code table maps text to a class of ProviderError, or to None where the vendor accepted."""
        assert self.tables
        for table in self.tables.values():
            assert table
            for code, outcome in table.items():
                assert isinstance(code, str)
                assert outcome is None or issubclass(outcome, ProviderError)

    def test_every_table_knows_what_acceptance_looks_like(self) -> None:
        """No endpoint is without a code that means accepted."""
        assert [] == [name for name, table in self.tables.items() if None not in table.values()]

    def test_every_published_limit_names_its_source(self) -> None:
        """A number that the vendor publishes comes with the place where it stands, and is a limit that may be set."""
        model = self.provider_class.settings_model.model_validate(self.settings)
        for limit in self.provider_class.limits:
            assert limit.source
            assert limit.value > 0
            assert limit.name.partition(":")[0] in type(model.limits).model_fields

    def test_every_payload_file_names_its_origin(self) -> None:
        """ORIGIN.md explains each payload file and no other."""
        assert origins(self.vendor) == files(self.vendor)

    # --- submitting ----------------------------------------------------------------------------------------------

    def test_same_call_gives_the_same_bytes(self) -> None:
        """Two providers with the same settings build the same request, so that a call record tells what was sent."""
        for service in self.web_services():
            assert self.provider().submit_request(self.call(service)) == self.provider().submit_request(
                self.call(service)
            )

    def test_no_call_is_larger_than_its_service_takes(self) -> None:
        """However many recipients wait, the chosen service is one of the account's and its largest call is kept."""
        provider = self.provider()
        for waiting in (1, 2, 99, 1000, 1_000_000):
            service = provider.service_for(self.message, waiting)
            assert service in provider.services()
            assert 0 < service.max_numbers <= provider.largest_call(self.message)

    def test_the_wire_carries_exactly_the_recipients_of_the_call(self) -> None:
        """From one recipient to the most that a service takes: none is missing, none is doubled, none is bent."""
        provider = self.provider()
        for service in self.web_services():
            for recipients in {1, service.max_numbers}:
                call = self.call(service, recipients)
                assert list(call.numbers) == self.numbers_in(provider.submit_request(call))

    def test_a_request_is_ready_for_the_wire(self) -> None:
        """The address is plain ASCII without spaces, and a body comes with its content type."""
        provider = self.provider()
        calls = [self.call(service) for service in self.web_services()]
        for request in [*map(provider.submit_request, calls), provider.balance_request(MADE_AT)]:
            assert request.url.isascii()
            assert " " not in request.url
            assert request.method in {"GET", "POST"}
            named = {name.lower() for name in request.headers}
            assert not request.body or "content-type" in named

    def test_garbage_is_an_unknown_outcome(self) -> None:
        """An answer that no document explains is never a success and never a licence to send again."""
        provider = self.provider()
        for service in self.web_services():
            for body in self.garbage.values():
                with pytest.raises(OutcomeUnknown):
                    provider.submitted(self.call(service), answer(body))

    def test_garbage_is_no_balance(self) -> None:
        """The same holds for a balance."""
        for body in self.garbage.values():
            with pytest.raises(OutcomeUnknown):
                self.provider().balance(answer(body))

    # --- checks --------------------------------------------------------------------------------------------------

    def test_its_own_message_and_number_pass(self) -> None:
        """What the vendor takes is not refused."""
        provider = self.provider()
        provider.check(self.message)
        provider.check_number(self.number(0))

    def test_empty_text_is_refused(self) -> None:
        """A text of white space costs no call."""
        for text in ("", "  \r\n"):
            with pytest.raises(EmptyText):
                self.provider().check(Message(text, signature=self.message.signature))

    def test_text_over_the_limit_is_refused(self) -> None:
        """One character more than the vendor takes costs no call."""
        if self.too_long is not None:
            with pytest.raises(TextTooLong):
                self.provider().check(self.too_long)

    def test_numbers_that_the_vendor_does_not_reach_are_refused(self) -> None:
        """A number is refused here and not by the vendor, which may charge for it; the reason hides its middle."""
        for number in ("", "+", "85298882844x", "not a number", *self.bad_numbers):
            with pytest.raises(InvalidNumber) as refusal:
                self.provider().check_number(number)
            assert not number.strip("+") or number not in str(refusal.value)

    # --- fuzz ----------------------------------------------------------------------------------------------------

    @FUZZ
    @given(body=st.one_of(st.binary(max_size=400), st.text(max_size=200).map(str.encode)))
    def test_no_bytes_raise_anything_but_our_errors(self, body: bytes) -> None:
        """Whatever a vendor or a stranger sends, only SendmillError comes out."""
        for read in self.readers():
            _error_of(read, body)

    @FUZZ
    @given(data=st.data())
    def test_bent_answers_raise_nothing_but_our_errors(self, data: st.DataObject) -> None:
        """The same for answers that are almost right."""
        if not self.good_answers:
            return
        body = bytearray(data.draw(st.sampled_from(list(self.good_answers))))
        for _ in range(data.draw(st.integers(1, 6))):
            at = data.draw(st.integers(0, len(body)))
            body[at : at + data.draw(st.integers(0, 8))] = data.draw(st.binary(max_size=8))
        for read in self.readers():
            _error_of(read, bytes(body))


def _error_of(read: Callable[[bytes], object], body: bytes) -> SendmillError | None:
    """The error that a reader raised; anything but a SendmillError fails the test."""
    try:
        read(body)
    except SendmillError as error:
        return error
    return None


def _everything_told_by(error: BaseException | None) -> str:
    told = []
    while error is not None:
        told += [str(error), repr(error), repr(error.args), repr(vars(error))]
        error = error.__cause__ or error.__context__
    return " ".join(told)


def _echoed(answers: Iterable[bytes], echo: bytes) -> Iterator[bytes]:
    return (body + echo for body in answers)


def _broken(answers: Sequence[bytes], echo: bytes) -> Iterator[bytes]:
    for body in answers:
        yield body[: len(body) // 2] + echo
        yield body + echo


def _secret_values(model: BaseModel) -> set[str]:
    found: set[str] = set()
    for value in vars(model).values():
        values = value if isinstance(value, (list, tuple)) else [value]
        for one in values:
            if isinstance(one, SecretStr):
                found.add(one.get_secret_value())
            elif isinstance(one, BaseModel):
                found |= _secret_values(one)
    return found
