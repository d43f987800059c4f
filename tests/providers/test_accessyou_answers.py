"""AccessYou: every documented answer to a submit, in every form that the document or its users know."""

from __future__ import annotations

import pytest

from providers.accessyou import codes
from providers.accessyou.answers import Answer, read, without_debug
from providers.base import Accepted, Call, Message
from providers.reading import Unreadable
from sendmill.errors import (
    AccountBlocked,
    BadCredentials,
    ContentRefused,
    Frozen,
    IpForbidden,
    NoBalance,
    NotSent,
    OutcomeUnknown,
    ProviderError,
    RecipientRefused,
)
from tests.providers.accessyou import VENDOR, build
from tests.providers.contract import MADE_AT, REFERENCE
from tests.providers.payload import answer, payload

NUMBERS = ["+85298882844", "+8613229966221"]


def _submitted(
    body: bytes, *, service: str = "sms", not_sent: tuple[str, ...] = (), sender: str | None = None
) -> Accepted:
    provider = build(treat_as_not_sent=not_sent)
    [used] = [each for each in provider.services() if each.name == service]
    call = Call(used, Message("hello", sender=sender), NUMBERS[: used.max_numbers], REFERENCE, MADE_AT)
    return provider.submitted(call, answer(body))


# --- accepted ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "message_id"),
    [
        ("sent.json", "854998103"),
        ("sent-two-marks.json", "854998103"),
        ("sent.txt", "854998103"),
        ("sent-line.txt", "854998103"),
        ("sent.xml", "9888"),
        ("sent-id-last.xml", "9888"),
    ],
)
def test_an_acceptance_is_read_in_every_form(name: str, message_id: str) -> None:
    """JSON behind byte order marks, the bare id, XML in either order of its fields: the same acceptance."""
    accepted = Accepted(vendor_message_id=message_id, answer="msg_status 100")
    for service in ("sms", "batch", "otp", "vercode"):
        assert accepted == _submitted(payload(VENDOR, name), service=service)


def test_a_batch_is_accepted_with_an_id_for_the_whole_call_or_without() -> None:
    """Part C prints no answer: `msg_status` 100 decides, and an id that is none is left out."""
    assert "854998104" == _submitted(payload(VENDOR, "batch-sent.json"), service="batch").vendor_message_id
    assert _submitted(payload(VENDOR, "batch-sent-no-id.json"), service="batch").vendor_message_id is None
    listed = b'{"msg_status":"100","msg_id":"854998104,854998105"}'
    assert _submitted(listed, service="batch").vendor_message_id is None


def test_an_id_above_what_a_double_holds_keeps_every_digit() -> None:
    """Ids are strings: 20 digits in JSON, as a number, come out as they are."""
    body = b'{"msg_status":100,"msg_id":16063783563405105174}'
    assert "16063783563405105174" == _submitted(body).vendor_message_id


def test_an_echo_behind_an_acceptance_does_not_disturb_it() -> None:
    """`[debug]` may stand behind any form."""
    for name in ("sent.json", "sent.txt", "sent.xml"):
        assert _submitted(payload(VENDOR, name)) == _submitted(payload(VENDOR, name) + b"[debug]pwd=x[/debug]")


# --- refused -----------------------------------------------------------------------------------------------------


NUMBERS_REFUSED = [
    ("status-101.json", "101", BadCredentials),
    ("status-102.json", "102", ContentRefused),
    ("status-103.json", "103", RecipientRefused),
    ("status-104.json", "104", IpForbidden),
    ("status-104.xml", "104", IpForbidden),
    ("status-105.json", "105", BadCredentials),
    ("status-105.xml", "105", BadCredentials),
    ("status-106.json", "106", Frozen),
    ("status-107.json", "107", NoBalance),
    ("status-108.json", "108", RecipientRefused),
    ("status-110.json", "110", RecipientRefused),
    ("status-887.json", "887", OutcomeUnknown),
    ("status-888.json", "888", OutcomeUnknown),
    ("status-too_many_login_failure.json", "too_many_login_failure", Frozen),
]
WORDS_REFUSED = [
    ("word-login_failure.txt", "login_failure", BadCredentials),
    ("word-too_many_login_failure.txt", "too_many_login_failure", Frozen),
    ("word-message_empty.txt", "message_empty", ContentRefused),
    ("word-phoneno_empty.txt", "phoneno_empty", RecipientRefused),
    ("word-system_error.txt", "system_error", OutcomeUnknown),
    ("word-IP_authentication_failure.txt", "IP_authentication_failure", IpForbidden),
    ("word-no_balance.txt", "no_balance", NoBalance),
    ("word-reject_dnc.txt", "reject_dnc", RecipientRefused),
    ("word-invalid_phoneno.txt", "invalid_phoneno", RecipientRefused),
    ("word-SenderID_empty.txt", "SenderID_empty", ContentRefused),
    ("word-invalid_SenderID.txt", "invalid_SenderID", ContentRefused),
    ("word-num_SenderID_not_more_than_16.txt", "num_SenderID_not_more_than_16", ContentRefused),
    ("word-alpha_SenderID_not_more_than_11.txt", "alpha_SenderID_not_more_than_11", ContentRefused),
    ("word-SenderID_not_support.txt", "SenderID_not_support", AccountBlocked),
    ("word-ref_invalid_format.txt", "ref_invalid_format", ContentRefused),
]


@pytest.mark.parametrize("service", ["sms", "batch", "otp", "vercode"])
@pytest.mark.parametrize(("name", "code", "outcome"), NUMBERS_REFUSED)
def test_every_documented_number_has_its_class(
    name: str, code: str, outcome: type[ProviderError], service: str
) -> None:
    """p.44, p.75, p.79, p.84, p.113: each raises exactly its class with the vendor's code; the echo is cut off."""
    with pytest.raises(outcome) as raised:
        _submitted(payload(VENDOR, name), service=service)
    assert (outcome, code) == (type(raised.value), raised.value.vendor_code)
    assert outcome is codes.STATUS[code]


@pytest.mark.parametrize("service", ["sms", "batch"])
@pytest.mark.parametrize(("name", "code", "outcome"), WORDS_REFUSED)
def test_every_documented_word_has_its_class(name: str, code: str, outcome: type[ProviderError], service: str) -> None:
    """p.43 and p.44: the same for the words of the older form."""
    with pytest.raises(outcome) as raised:
        _submitted(payload(VENDOR, name), service=service)
    assert (outcome, code) == (type(raised.value), raised.value.vendor_code)
    assert outcome is codes.SENDSMS[code]


@pytest.mark.parametrize("service", ["sms", "batch"])
def test_a_sender_id_that_a_message_named_is_refused_with_it_alone(service: str) -> None:
    """One wrong `--sender` does not stop an account whose plan has no sender IDs."""
    with pytest.raises(ContentRefused) as raised:
        _submitted(payload(VENDOR, "word-SenderID_not_support.txt"), service=service, sender="Acme")
    assert "SenderID_not_support" == raised.value.vendor_code
    with pytest.raises(NoBalance):
        _submitted(payload(VENDOR, "word-no_balance.txt"), service=service, sender="Acme")


def test_every_code_of_the_sms_tables_has_a_payload() -> None:
    """The table above leaves no code of p.43, p.44 and p.75 out."""
    written = {code for code, outcome in codes.SENDSMS.items() if outcome is not None}
    assert written == {code for code in written if _has_payload(code)}


@pytest.mark.parametrize("code", ["887", "888", "system_error"])
def test_uncertain_codes_are_not_sent_where_the_account_says_so(code: str) -> None:
    """`treat_as_not_sent` moves each of them, and the listed one alone."""
    [name] = [name for name in (f"status-{code}.json", f"word-{code}.txt") if _exists(name)]
    with pytest.raises(NotSent):
        _submitted(payload(VENDOR, name), not_sent=(code,))
    with pytest.raises(OutcomeUnknown):
        _submitted(payload(VENDOR, name), not_sent=("other",))


def test_no_setting_makes_an_acceptance_or_a_refusal_a_second_message() -> None:
    """`treat_as_not_sent` counts only where the outcome is open."""
    assert "854998103" == _submitted(payload(VENDOR, "sent.json"), not_sent=("100",)).vendor_message_id
    with pytest.raises(RecipientRefused):
        _submitted(payload(VENDOR, "status-108.json"), not_sent=("108",))


# --- unknown -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'{"msg_status":"100","phoneno":"85298882844"}', id="accepted without an id"),
        pytest.param(b'{"msg_status":"100","msg_id":0}', id="accepted with id 0"),
        pytest.param(b'{"msg_status":"100","msg_id":"soon"}', id="accepted with an id that is none"),
        pytest.param(b'{"msg_status":"105","msg_id":854998103}', id="a failure with an id"),
        pytest.param(b'{"msg_status":"200","msg_id":854998103}', id="upload's code"),
        pytest.param(b'{"msg_status":"109"}', id="a picture's code"),
        pytest.param(b'{"msg_status":"118"}', id="a do-not-call code of MMS"),
        pytest.param(b'{"msg_status":"1000","msg_id":854998103}', id="a longer code"),
        pytest.param(b'{"msg_status":"0100","msg_id":854998103}', id="a code with a zero before it"),
        pytest.param(b'{"msg_status_desc":"ok","msg_id":854998103}', id="no code"),
        pytest.param(b'{"msg_status":true,"msg_id":854998103}', id="status is true"),
        pytest.param(b"105", id="a bare code"),
        pytest.param(b"100", id="a bare 100"),
        pytest.param(b"000", id="zero"),
        pytest.param(b"-854998103", id="a number with a sign"),
        pytest.param("８５４９９８１０３".encode(), id="digits of another script"),
        pytest.param(b"854998103 ok", id="a number with words"),
        pytest.param(b"quota_exceeded", id="a new word"),
        pytest.param(b"login_fail", id="an unfinished word"),
        pytest.param(b"203.0.113.7", id="an address without the word"),
        pytest.param(b"[debug]854998103[/debug]", id="an echo and nothing before it"),
        pytest.param(b"[debug]a=[/debug]854998103", id="an id behind the echo"),
        pytest.param(b'{"msg_status":' + b"[" * 100_000, id="JSON too deep"),
        pytest.param(
            b"<!DOCTYPE x [<!ENTITY s '100'>]><xml><msg_status>&s;</msg_status></xml>", id="XML with an entity"
        ),
        pytest.param(
            b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "l"><!ENTITY b "&a;&a;">]><l>&b;</l>', id="XML bomb"
        ),
        pytest.param(b'<!DOCTYPE x [<!ENTITY s SYSTEM "file:///etc/hostname">]><x>&s;</x>', id="XML from elsewhere"),
    ],
)
def test_what_the_document_does_not_explain_is_an_unknown_outcome(body: bytes) -> None:
    """A contradiction, a code of another endpoint, half a word: neither success nor a licence to send again."""
    with pytest.raises(OutcomeUnknown):
        _submitted(body)


def test_codes_mean_what_their_own_endpoint_says() -> None:
    """110 is a phone number for SMS and a picture's address for MMS; 100 and 200 change places for an upload."""
    assert (RecipientRefused, ContentRefused) == (codes.SENDSMS["110"], codes.MMS_SEND["110"])
    assert (None, "absent") == (codes.MMS_SEND["100"], codes.MMS_SEND.get("200", "absent"))
    assert (None, "absent") == (codes.MMS_UPLOAD["200"], codes.MMS_UPLOAD.get("100", "absent"))
    picture = {"109", "110", "111", "112", "113", "114", "118"}
    assert picture <= codes.MMS_SEND.keys()
    assert {"110"} == picture & codes.OTP.keys()


@pytest.mark.parametrize("word", sorted(codes.WORDS))
def test_every_endpoint_that_takes_messages_knows_the_words(word: str) -> None:
    """A refusal by a word is the same at each: a login or a balance is the account's, whatever it was asked for."""
    expected = codes.SENDSMS[word]
    assert expected is not None
    tables = {name: codes.TABLES[name] for name in codes.TABLES.keys() - {"check", "add_senderid"}}
    assert len(tables) > 7
    assert dict.fromkeys(tables, expected) == {name: table.get(word) for name, table in tables.items()}


def test_the_echo_is_cut_before_anything_is_read() -> None:
    """The echo holds the password, and may hold words that look like an answer."""
    assert b"login_failure" == without_debug(b"login_failure[debug]pwd=x&a=[/debug]854998103")
    assert Answer("login_failure") == read(b"login_failure[DEBUG]<xml><msg_status>100</msg_status></xml>")


def test_an_unreadable_answer_is_never_quoted() -> None:
    """The reason is ours; the vendor's text may be the request."""
    with pytest.raises(Unreadable) as raised:
        read(b"pwd=sms-password")
    assert "is no answer that the document describes" == str(raised.value)


def _exists(name: str) -> bool:
    try:
        payload(VENDOR, name)
    except FileNotFoundError:
        return False
    return True


def _has_payload(code: str) -> bool:
    return _exists(f"status-{code}.json") or _exists(f"word-{code}.txt")
