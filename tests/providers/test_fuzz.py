"""Whatever a vendor or a stranger sends: nothing but our own errors comes out, and in time that grows with its length.

The contract of each vendor has the first fuzz; here every reader of every vendor meets whole payload files that were
bent as a whole, foreign vendors' files among them, and bodies built to make a reader go back over what it has read.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from importlib import import_module
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.http import MAX_ANSWER_BYTES
from providers.registry import PROVIDERS
from sendmill.errors import ProviderError, PushRefused
from tests.providers.contract import FUZZ, ProviderContract
from tests.providers.payload import files, payload
from tests.providers.readers import Reader, readers_of

VENDORS = sorted(PROVIDERS)

DOCUMENTED = (ProviderError, PushRefused)
"""What `providers.base` lets a reader raise."""


def _contracts(vendor: str) -> list[ProviderContract]:
    """The vendor's own tests know its settings and its numbers."""
    module = import_module(f"tests.providers.test_{vendor}")
    return [
        value()
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, ProviderContract) and value is not ProviderContract
    ]


_READERS: Mapping[str, Mapping[str, Reader]] = {
    vendor: dict(chain.from_iterable(readers_of(each.provider(), each.number(0)) for each in _contracts(vendor)))
    for vendor in VENDORS
}


def _read_all(vendor: str, body: bytes, names: Collection[str] = ()) -> None:
    """Let every reader of the vendor read; anything but a documented error fails the test, and says which reader."""
    for name in names or _READERS[vendor]:
        try:
            _READERS[vendor][name](body)
        except DOCUMENTED:
            continue
        except Exception as error:  # noqa: BLE001 - the point of these tests
            pytest.fail(f"{vendor}, {name}: {type(error).__name__} for {body[:200]!r} ({len(body)} bytes)")


# --- anything --------------------------------------------------------------------------------------------------------

_PAYLOADS = [(vendor, payload(vendor, name)) for vendor in VENDORS for name in sorted(files(vendor))]
_MARKS = [b"\xef\xbb\xbf", b"\xef\xbb\xbf" * 3, b"\xff\xfe", b"\xfe\xff", b"\x00", b"\r\n", b" \t"]
_CHARSETS = ["utf-8", "gb18030", "utf-16", "utf-16-be", "utf-32", "latin-1"]
_INNER = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_NAMES = (  # noqa: SIM905 - words of the documents
    "status respCode respMsg msgid code msg smsid num msg_status msg_id auth_status balance receivestatus destination"
    " Class Mobile Report LinkId SmsName Message mobile state time sendid args name pwd random timestamp mobilephone"
    " ismsid reply_time sender receiver message"
).split()


@st.composite
def _bent(draw: st.DrawFn) -> bytes:
    """A payload file, of this vendor or another, that something happened to on the way."""
    body = draw(st.sampled_from(_PAYLOADS))[1]
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(body)))
        match draw(st.integers(0, 7)):
            case 0:
                body = body[:at]
            case 1:
                body = body[at:]
            case 2:
                body = body * draw(st.integers(2, 4))
            case 3:
                body = body[:at] + draw(st.sampled_from(_MARKS)) + body[at:]
            case 4:
                text = body.decode("utf-8", "replace")
                body = text.encode(draw(st.sampled_from(_CHARSETS)), "replace")
            case 5:
                body = body[:at] + draw(st.binary(max_size=8)) + body[at + draw(st.integers(0, 8)) :]
            case 6:
                body = draw(st.sampled_from(_PAYLOADS))[1][:at] + body
            case _:
                body = bytes(reversed(body))
    return body


@st.composite
def _shaped(draw: st.DrawFn) -> bytes:
    """The names that vendors use, with values that they never have, as JSON, XML, a form or a record."""
    names = draw(st.lists(st.sampled_from(_NAMES), min_size=1, max_size=6))
    match draw(st.sampled_from(["json", "xml", "form", "record"])):
        case "json":
            return json.dumps({name: draw(_INNER) for name in names}).encode()
        case "xml":
            inner = "".join(f"<{name}>{draw(st.text('0123456789abc<>&;', max_size=8))}</{name}>" for name in names)
            return f"<xml>{inner}</xml>".encode()
        case "form":
            return "&".join(f"{name}={draw(st.text(max_size=8))}" for name in names).encode("gb18030", "replace")
        case _:
            joint = draw(st.sampled_from(["/", ",", "#@#", "#@@#", ";", "\n"]))
            return joint.join(draw(st.text("0123456789-/:, AZ中", max_size=20)) for _ in names).encode()


@pytest.mark.parametrize("vendor", VENDORS)
@FUZZ
@given(body=_bent() | _shaped())
def test_bent_answers_and_pushes_raise_only_documented_errors(vendor: str, body: bytes) -> None:
    """Cut, doubled, in another charset, with marks before and between, another vendor's, or with absurd values."""
    _read_all(vendor, body)


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_payload_file_of_every_vendor_is_read_or_refused(vendor: str) -> None:
    """An address that was mixed up in a configuration brings another vendor's answers: a documented error."""
    for _, body in _PAYLOADS:
        _read_all(vendor, body)
        for charset in _CHARSETS:
            _read_all(vendor, body.decode("utf-8", "replace").encode(charset, "replace"))


@pytest.mark.parametrize("vendor", VENDORS)
def test_every_prefix_of_every_payload_file_is_read_or_refused(vendor: str) -> None:
    """However early a connection ends."""
    for name in sorted(files(vendor)):
        body = payload(vendor, name)
        for end in range(0, len(body), 1 + len(body) // 40):
            _read_all(vendor, body[:end])


# --- time ------------------------------------------------------------------------------------------------------------

_PIECES = (
    *(b"[ { <a> 1 , / & = % < a=1& [debug [debug] #@# #@@# 1#@#".split()),
    *(b" ", b"\r\n", b"\x00", b'{"a":', b"&#1;", b"\n13800138000/2014-10-10/", b"Report=", b"Report ", b"<?xml "),
    *(b"1.2.3.4 ", b"N.N.N.N "),
    *(text.encode("gb18030") for text in ("【", "敏感字:", "剩余资费= ", "超过 ")),
    "\ufeff".encode(),
)
"""What a hostile body repeats: separators, brackets and first halves of whatever some reader looks for."""

_IN_A_FIELD = (b" ", b"1", b",", b"/", b"#@#", b"<")

_FIELDS: Mapping[str, Sequence[tuple[bytes, bytes]]] = {
    "accessyou": (
        (b'{"msg_status":"100","msg_id":"', b'"}'),
        (b"<xml><auth_status>100</auth_status><balance>", b"</balance></xml>"),
        (b"<xml><auth_status>100</auth_status><msginfo><receivestatus>", b"</receivestatus></msginfo></xml>"),
        (b"sender=98882844&message=00", b""),
        (b"1.2.3.4", b" IP_authentication_failure!"),
    ),
    "ihuyi": (
        (b'{"code":2,"smsid":"', b'"}'),
        (b"<SubmitResult><code>2</code><smsid>", b"</smsid></SubmitResult>"),
        (b"<GetNumResult><code>2</code><num>", b"</num></GetNumResult>"),
        (b"code=2&ismsid=1&mobilephone=", b""),
    ),
    "sms467890": (
        (b'{"status":"success","respCode":"0","respMsg":"', b'"}'),
        (b'{"status":"success","respCode":"0","msgid":"', b'""}'),
        (b"Report=", b",13800138000,DELIVRD,1"),
    ),
    "smsadmin": (
        (b"0", b"!"),
        ("7超过".encode("gb18030"), "个字".encode("gb18030")),
        ("剩余资费=".encode("gb18030"), b"!"),
        ("敏感字:".encode("gb18030"), b"!"),
        (b"13800138000/2014-10-10 10:10:10/1/", b"/1"),
        (b"Class=rpt&Mobile=13800138000&Report=", b""),
        (b"Class=mo&Mobile=13800138000&LinkId=", b"&Message=1"),
    ),
    "xioo": (
        (b"0,1,", b",1"),
        (b"mobile=13800138000&state=DELIVRD&sendid=", b""),
        (b"state=DELIVRD&mobile=", b""),
        (b"args=13800138000#@#", b"#@#2014-10-10 10:10:10#@#1"),
    ),
}
"""What stands before and behind a field's value in answers and pushes that are right otherwise."""


def _hostile(piece: bytes, before: bytes = b"", after: bytes = b"") -> bytes:
    room = MAX_ANSWER_BYTES - len(before) - len(after)
    return before + (piece * (room // len(piece) + 1))[:room] + after


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_body_of_one_thing_repeated_takes_time_in_proportion_to_its_length(vendor: str) -> None:
    """A body of the largest size that is read at all, 1 MB.

    A reader that goes over it once takes milliseconds; one that begins again at each byte takes 5 * 10^11 steps, which
    no machine makes within the limit of a test.
    """
    for piece in _PIECES:
        _read_all(vendor, _hostile(piece), names=_once(vendor))


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_field_of_one_thing_repeated_takes_time_in_proportion_to_its_length(vendor: str) -> None:
    """The same where it is the value of a field, in a body that passes for the vendor's own."""
    for before, after in _FIELDS[vendor]:
        for piece in _IN_A_FIELD:
            _read_all(vendor, _hostile(piece, before, after), names=_once(vendor))


@pytest.mark.parametrize("vendor", VENDORS)
def test_forms_of_many_fields_are_read_in_proportion(vendor: str) -> None:
    """A hundred thousand fields, with names of their own or all with one name."""
    own = b"&".join(b"a%d=1" % number for number in range(100_000))
    same = b"mobile=1&" * 100_000
    for body in (own, same, own.replace(b"&", b";"), b"&".join([own, b"Class=rpt", b"state=DELIVRD", b"code=2"])):
        _read_all(vendor, body[:MAX_ANSWER_BYTES], names=_once(vendor))


def _once(vendor: str) -> list[str]:
    """The readers that differ: a push is read alike wherever its fields stand."""
    return [name for name in _READERS[vendor] if not name.endswith((" by get", " by both")) and "ack " not in name]
