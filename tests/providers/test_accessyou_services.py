"""AccessYou beyond sms and batch: what is refused, what goes over the wire, what is answered (parts B to J)."""

from __future__ import annotations

import base64
from datetime import timedelta
from email import message_from_bytes
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from providers.accessyou import AccessYou, codes
from providers.accessyou.media import audio_name, image_name
from providers.base import Accepted, Call, Mail, Message, Request, Upload
from sendmill.errors import (
    BadCredentials,
    Busy,
    ContentRefused,
    EmptyText,
    Frozen,
    InvalidMessage,
    InvalidOption,
    InvalidTemplate,
    IpForbidden,
    NoBalance,
    OutcomeUnknown,
    ProviderError,
    RecipientRefused,
    SenderNotAllowed,
    TextTooLong,
    UnsupportedFeature,
)
from sendmill.features import Feature
from sendmill.messages import Kind
from tests.providers.accessyou import SENDING, SETTINGS, VENDOR, build
from tests.providers.contract import MADE_AT, REFERENCE
from tests.providers.payload import answer, payload

PHONE = "+85223886700"
PICTURE = "http://abc.com/picture.jpg"


def _template(**values: str) -> Message:
    return Message("", kind=Kind.VENDOR_TEMPLATE, template_id="12ab", values=values)


def _mms(**changes: Any) -> Message:
    given: dict[str, Any] = {"text": "testing", "kind": Kind.MMS, "subject": "hello", "image": "accessyou"}
    return Message(**(given | changes))


def _voice(audio: str = "1234") -> Message:
    return Message("", kind=Kind.VOICE, audio=audio)


def _call(provider: AccessYou, message: Message) -> Call:
    return Call(provider.service_for(message, 1), message, [PHONE], REFERENCE, MADE_AT)


def _request(message: Message, **changes: Any) -> Request:
    provider = build(**changes)
    provider.check(message)
    return provider.submit_request(_call(provider, message))


def _query(request: Request) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(request.url).query, keep_blank_values=True)


# --- which service -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "service"),
    [
        (Message("hello"), "sms"),
        (Message("hello", send_at=MADE_AT + timedelta(hours=1)), "batch"),
        (Message("hello", options={"service": "vercode"}), "vercode"),
        (Message("hello", options={"service": "email"}), "email"),
        (Message("hello", options={"service": "batch"}), "batch"),
        (_template(a="1"), "otp"),
        (Message("", kind=Kind.VENDOR_TEMPLATE, template_id="1", values={"a": "1"}, options={"service": "sms"}), "sms"),
        (_mms(), "mms"),
        (_voice(), "voice"),
    ],
)
def test_each_kind_has_its_service_and_an_option_names_another(message: Message, service: str) -> None:
    """A lane never chooses: what is sent does, or the job."""
    provider = build()
    provider.check(message)
    assert service == provider.service_for(message, 1).name


def test_templates_go_by_sms_where_the_account_says_so_or_has_no_other() -> None:
    """Both parts of the document have `tid` and `a` to `f`."""
    assert "sms" == build(template_service="sms").service_for(_template(a="1"), 1).name
    assert "sms" == build(otp=None).service_for(_template(a="1"), 1).name


@pytest.mark.parametrize("service", SENDING)
def test_an_account_may_have_one_service_alone(service: str) -> None:
    """And offers what that service can do."""
    provider = build(**dict.fromkeys(set(SENDING) - {service}))
    assert [service] == [each.name for each in provider.services()]
    kinds = {Feature.SMS, Feature.VENDOR_TEMPLATE, Feature.MMS, Feature.VOICE} & provider.offers()
    expected = {
        "sms": {Feature.SMS, Feature.VENDOR_TEMPLATE},
        "otp": {Feature.VENDOR_TEMPLATE},
        "mms": {Feature.MMS},
        "voice": {Feature.VOICE},
    }
    assert expected.get(service, {Feature.SMS}) == kinds


def test_what_no_service_sends_is_refused_with_the_feature() -> None:
    """The error names what is missing."""
    with pytest.raises(UnsupportedFeature, match=r"hk \(accessyou\) cannot send MMS"):
        build(mms=None).check(_mms())
    with pytest.raises(InvalidOption, match="sends this by mms"):
        build().check(_mms(options={"service": "sms"}))
    with pytest.raises(InvalidOption, match="vercode takes no dnc"):
        build().check(Message("hello", options={"service": "vercode", "dnc": "y"}))


def test_an_account_offers_what_it_is_configured_for() -> None:
    """Everything filled in is everything that the document has; without a table its features go."""
    assert AccessYou.features == build().offers()
    without = {
        "senderid": Feature.ADD_SENDER,
        "batch": Feature.SCHEDULE,
        "email": Feature.EMAIL,
        "mms": Feature.UPLOAD_IMAGE,
        "voice": Feature.UPLOAD_AUDIO,
        "push_token": Feature.REPLIES_PUSHED,
    }
    for table, feature in without.items():
        assert feature not in build(**{table: None}).offers()


# --- a time to come ----------------------------------------------------------------------------------------------


def test_a_time_to_come_is_unix_seconds_in_senddate() -> None:
    """p.64: a numeric timestamp; a time that has come is none."""
    later = MADE_AT + timedelta(hours=1)
    provider = build()
    for send_at, expected in ((later, str(int(later.timestamp()))), (MADE_AT, None)):
        message = Message("hello", send_at=send_at)
        body = dict(parse_qsl(provider.submit_request(_call(provider, message)).body.decode()))
        assert expected == body.get("Senddate")


# --- templates ---------------------------------------------------------------------------------------------------


def test_an_otp_is_its_template_and_the_variables_in_their_order() -> None:
    """p.72 to p.74; the sender as `from`, the cookie of the host."""
    otp = {**SETTINGS["otp"], "cookie": "dynamic=otp"}
    message = Message(
        "", sender="Acme", kind=Kind.VENDOR_TEMPLATE, template_id="12ab", values={"b": "x\r\ny", "a": "1"}
    )
    request = _request(message, otp=otp)
    assert [
        ("accountno", "10000023"),
        ("user", "api-otp"),
        ("pwd", "otp-password"),
        ("tid", "12ab"),
        ("a", "1"),
        ("b", "x\ny"),
        ("phone", "85223886700"),
        ("from", "Acme"),
    ] == _query(request)
    assert ("GET", {"Cookie": "dynamic=otp"}) == (request.method, request.headers)


def test_a_template_by_sms_has_its_own_tid_and_variables() -> None:
    """p.42 and p.45: `tid`, `a` to `f`, then the rest of the example."""
    request = _request(_template(a="1125", b="10"), template_service="sms")
    assert ["tid", "a", "b", "phone", "pwd", "accountno", "user"] == [name for name, _ in _query(request)]
    assert "tid=12ab&a=1125&b=10&phone=85223886700" in request.url


@pytest.mark.parametrize("changes", [{}, {"template_service": "sms"}])
def test_variables_and_ids_that_the_vendor_has_not_are_refused(changes: dict[str, Any]) -> None:
    """a to f (p.73); an id of digits and small letters."""
    provider = build(**changes)
    with pytest.raises(InvalidTemplate, match="variables a to f, and no 'name'"):
        provider.check(_template(name="Ada"))
    with pytest.raises(InvalidOption, match="digits and small letters"):
        provider.check(Message("", kind=Kind.VENDOR_TEMPLATE, template_id="A-1"))
    with pytest.raises(UnsupportedFeature, match='style = "tid"'):
        build(otp=None, sms={**SETTINGS["sms"], "style": "msg"}).check(_template(a="1"))


# --- vercode -----------------------------------------------------------------------------------------------------


def test_a_vercode_is_the_documents_request() -> None:
    """p.81 and p.82."""
    request = _request(Message("testing", options={"service": "vercode"}))
    assert (
        "https://v.example/sms/sendsms-vercode.php?accountno=10000023&user=api-v&pwd=vercode-password"
        "&msg=testing&phone=85223886700"
    ) == request.url


def test_a_vercode_of_two_parts_needs_an_account_that_was_opened_for_it() -> None:
    """p.79: single sms only; long sms upon request."""
    long = Message("x" * 161, options={"service": "vercode"})
    with pytest.raises(TextTooLong, match=r"2 parts: vercode takes one, or set vercode\.long"):
        build().check(long)
    build(vercode={**SETTINGS["vercode"], "long": True}).check(long)


# --- MMS ---------------------------------------------------------------------------------------------------------


def test_the_example_mms_of_the_document_comes_out() -> None:
    """p.115, with values for the stars."""
    assert (
        "https://mms.example/mms/sendmms.php?user=api-mms&pwd=mms-password&subject=hello&msg=testing"
        "&phone=85223886700&accountno=10000023&imgfile=accessyou"
    ) == _request(_mms()).url


def test_an_mms_has_its_options_and_line_breaks_as_the_document_writes_them() -> None:
    """`Y` or `n` (p.109), %0A for every line break (p.117), no empty msg, `.gif` kept (p.109)."""
    request = _request(_mms(text="a\r\nb\rc", image="Abc.gif", sender="Acme", options={"dnc": "y"}))
    assert request.url.endswith("&msg=a%0Ab%0Ac&phone=85223886700&accountno=10000023&imgfile=Abc.gif&dnc=Y&from=Acme")
    assert "msg=" not in _request(_mms(text="", image=None)).url


@pytest.mark.parametrize("sender", ["1", "A", "85298882844123456789", "Acme Ltd. & Sons, since 1912", "0 A"])
def test_an_mms_may_bear_any_sender_of_ascii(sender: str) -> None:
    """p.104: no rule of texts (p.44, p.56) holds for it."""
    build().check(_mms(sender=sender))


@pytest.mark.parametrize("sender", ["", " ", " Acme", "Acme\n", "甲"])
def test_an_mms_sender_that_nobody_would_see_as_it_is_is_refused(sender: str) -> None:
    """It would be cut, or end the line."""
    with pytest.raises(SenderNotAllowed):
        build().check(_mms(sender=sender))


@pytest.mark.parametrize("image", ["accessyou", "A-b_9", "x" * 50, "abc.gif", PICTURE, "https://abc.com/a/b.GIF"])
def test_an_image_within_the_rules_passes(image: str) -> None:
    """A name of p.106, or an address that AccessYou can fetch."""
    build().check(_mms(image=image))


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("picture.jpg", "at most 50 of"),
        ("new picture", "at most 50 of"),
        ("news'picture", "at most 50 of"),
        ("x" * 51, "at most 50 of"),
        ("http://accessyou.com:8080/accessyou.jpg", "port 80 alone"),
        ("https://abc.com:443/a.jpg", "port 80 alone"),
        ("http://abc.com/picture.png", "ends in .jpg"),
        ("http:///picture.jpg", "over http or https"),
        ("http://abc.com:x/a.jpg", "http://host/path"),
    ],
)
def test_an_image_against_the_rules_is_refused(image: str, reason: str) -> None:
    """The wrong ones of p.106 and p.122 among them."""
    with pytest.raises(InvalidOption, match=reason):
        build().check(_mms(image=image))


def test_an_mms_without_subject_is_refused_and_without_text_it_passes() -> None:
    """p.109: the subject is mandatory, text and picture are not."""
    with pytest.raises(EmptyText, match="subject"):
        build().check(_mms(subject=" "))
    build().check(_mms(text="", image=None))
    with pytest.raises(UnsupportedFeature, match="upload_url is not set"):
        build(mms={**SETTINGS["mms"], "upload_url": None}).check(_mms(image=PICTURE))


def test_an_accepted_mms_has_its_id() -> None:
    """p.113."""
    assert Accepted("9888", answer="msg_status 100") == _answered(_mms(), "mms-100.xml")


MMS_REFUSED = [
    ("101", BadCredentials),
    ("102", ContentRefused),
    ("103", RecipientRefused),
    ("104", IpForbidden),
    ("105", BadCredentials),
    ("106", Frozen),
    ("107", NoBalance),
    ("108", RecipientRefused),
    ("109", ContentRefused),
    ("110", ContentRefused),
    ("111", Busy),
    ("112", ContentRefused),
    ("113", ContentRefused),
    ("114", ContentRefused),
    ("118", RecipientRefused),
    ("887", OutcomeUnknown),
    ("888", OutcomeUnknown),
    ("too_many_login_failure", Frozen),
]


@pytest.mark.parametrize(("code", "outcome"), MMS_REFUSED)
def test_every_code_of_an_mms_has_its_class_at_sending_and_at_uploading(
    code: str, outcome: type[ProviderError]
) -> None:
    """p.112: one table for both."""
    with pytest.raises(outcome) as sent:
        _answered(_mms(), f"mms-{code}.xml")
    with pytest.raises(outcome) as uploaded:
        build().uploaded(Upload(Kind.MMS, "picture", PICTURE), answer(payload(VENDOR, f"upload-{code}.xml")))
    assert {(outcome, code)} == {(type(each.value), each.value.vendor_code) for each in (sent, uploaded)}


def test_no_code_of_the_mms_tables_is_left_out() -> None:
    """The table above has them all; the words of the older form are every endpoint's."""
    listed = {code for code, _ in MMS_REFUSED} | codes.WORDS.keys()
    assert listed | {"100"} == set(codes.MMS_SEND)
    assert listed | {"200"} == set(codes.MMS_UPLOAD)


# --- voice -------------------------------------------------------------------------------------------------------


def test_the_voice_request_of_the_document_comes_out() -> None:
    """p.128: `accountno`, `pwd`, `phone`, `wavfile`; no user."""
    assert (
        "https://voice.example/voice/send.php?accountno=10000023&pwd=voice-password&phone=85223886700&wavfile=1234"
    ) == _request(_voice()).url


def test_a_recording_within_the_rules_passes_and_others_are_refused() -> None:
    """p.128: numeric, "1234.wav is not correct"."""
    build().check(_voice("http://abc.com/bell.wav"))
    for audio, reason in (
        ("1234.wav", "is a number, without .wav"),
        ("bell", "is a number"),
        ("http://abc.com/bell.mp3", "ends in .wav"),
    ):
        with pytest.raises(InvalidOption, match=reason):
            build().check(_voice(audio))
    with pytest.raises(UnsupportedFeature, match="no sender"):
        build().check(Message("", kind=Kind.VOICE, audio="1", sender="Acme"))


def test_a_voice_call_is_accepted_by_an_id_alone() -> None:
    """Nothing is printed: digits are an id, a known failure is itself, the rest is unknown."""
    assert Accepted("854998103", answer="msg_status 100") == _answered(_voice(), "voice-id.txt")
    with pytest.raises(NoBalance):
        _answered(_voice(), "word-no_balance.txt")
    with pytest.raises(OutcomeUnknown):
        _answered(_voice(), "wav-ok.txt")


# --- files -------------------------------------------------------------------------------------------------------


def test_the_example_uploads_of_the_document_come_out() -> None:
    """p.106 (the address encoded), p.114 and p.128; a GIF's name goes without its extension."""
    provider = build()
    image = provider.upload_request(Upload(Kind.MMS, "accessyou.gif", "http://abc.com/picture.gif"))
    assert (
        "https://mms.example/mms/upload_img.php?accountno=10000023&user=api-mms&pwd=mms-password"
        "&imgfile=accessyou&img_url=http%3A%2F%2Fabc.com%2Fpicture.gif"
    ) == image.url
    audio = provider.upload_request(Upload(Kind.VOICE, "888", "http://abc.com/xxx.wav"))
    assert (
        "https://voice.example/voice/upload_wav.php?accountno=10000023&pwd=voice-password"
        "&wavfile=888&wav_url=http%3A%2F%2Fabc.com%2Fxxx.wav"
    ) == audio.url


def test_a_file_has_one_name_for_its_address() -> None:
    """Legal where it is sent, the same each time, another for another address; a GIF's ends in .gif."""
    assert image_name(PICTURE) == image_name(PICTURE) != image_name("http://abc.com/other.jpg")
    assert image_name("http://abc.com/a.gif").endswith(".gif")
    assert audio_name("http://abc.com/a.wav").isdigit()
    for image in (PICTURE, "http://abc.com/a.gif"):
        build().check(_mms(image=image_name(image)))
    build().check(_voice(audio_name("http://abc.com/a.wav")))


def test_uploads_are_answered_as_the_document_says() -> None:
    """200 for a picture (p.114), the text ok for a recording (p.128); anything else is no success."""
    provider = build()
    image, audio = Upload(Kind.MMS, "picture", PICTURE), Upload(Kind.VOICE, "888", "http://abc.com/xxx.wav")
    provider.uploaded(image, answer(payload(VENDOR, "upload-200.xml")))
    provider.uploaded(audio, answer(payload(VENDOR, "wav-ok.txt")))
    with pytest.raises(OutcomeUnknown):
        provider.uploaded(image, answer(payload(VENDOR, "mms-100.xml")))
    with pytest.raises(OutcomeUnknown):
        provider.uploaded(audio, answer(payload(VENDOR, "voice-id.txt")))
    with pytest.raises(BadCredentials):
        provider.uploaded(audio, answer(payload(VENDOR, "word-login_failure.txt")))


# --- sender IDs --------------------------------------------------------------------------------------------------


def test_a_sender_id_is_registered_as_the_document_shows() -> None:
    """p.55 and p.57; it works after 8 minutes (p.56)."""
    assert (
        "https://sms.example/sms/add_senderid.php?accountno=10000023&user=api-id&pwd=senderid-password&from=Abc123"
    ) == build().sender_request("Abc123").url
    assert "8 minutes" in build().sender_added(answer(payload(VENDOR, "senderid-200.xml")))


@pytest.mark.parametrize("sender", ["ab", "1abc", "85298882844", "a" * 12, "Acme!"])
def test_a_sender_id_against_the_rules_costs_no_call(sender: str) -> None:
    """p.56: 3 to 11 letters, digits and spaces, letters first."""
    with pytest.raises(SenderNotAllowed):
        build().sender_request(sender)


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        ("101", BadCredentials),
        ("104", IpForbidden),
        ("105", BadCredentials),
        ("106", Frozen),
        ("107", NoBalance),
        ("too_many_login_failure", Frozen),
    ],
)
def test_a_refused_login_registers_nothing(code: str, outcome: type[ProviderError]) -> None:
    """The login codes, as for every query."""
    with pytest.raises(outcome):
        build().sender_added(answer(payload(VENDOR, f"senderid-{code}.xml")))
    assert outcome is codes.AUTH[code]


def test_an_unlisted_status_of_a_registration_is_no_success() -> None:
    """p.57 prints 200 alone."""
    other = payload(VENDOR, "senderid-200.xml").replace(b"<status>200<", b"<status>201<")
    for body in (other, payload(VENDOR, "log-empty.xml")):
        with pytest.raises(OutcomeUnknown):
            build().sender_added(answer(body))


# --- mail --------------------------------------------------------------------------------------------------------


def _mail(message: Message, **changes: Any) -> Mail:
    provider = build(email={**SETTINGS["email"], **changes})
    provider.check(message)
    return provider.mail_request(_call(provider, message))


def test_a_mail_goes_to_mobile_username_pwd_and_sender() -> None:
    """p.124: `mobile.username.pwd.sender@…`; the sender where there is one."""
    message = Message("你好 hello", sender="Acme", options={"service": "email"})
    mail = _mail(message)
    assert "85223886700.mailer.mail-password.Acme@mail.example" == mail.recipient
    plain = Message("hello", options={"service": "email"})
    assert "85223886700.mailer.mail-password@mail.example" == _mail(plain).recipient
    assert "85223886700.mailer.mail-password.Shop@mail.example" == _mail(plain, sender="Shop").recipient


def test_the_text_is_the_body_or_the_subject_byte_for_byte() -> None:
    """No line break is added, and the same call gives the same mail."""
    text = "你好\nhello"
    message = Message(text, options={"service": "email"})
    mail = _mail(message)
    assert mail == _mail(message)
    read = message_from_bytes(mail.raw)
    assert text == base64.b64decode(str(read.get_payload())).decode()
    assert "" == read["Subject"]
    one_line = message_from_bytes(_mail(Message("hello", options={"service": "email"}), text_in="subject").raw)
    assert "hello" in str(one_line["Subject"])
    with pytest.raises(InvalidMessage, match="one line"):
        _mail(message, text_in="subject")


def test_a_mails_repr_and_the_settings_hide_the_password() -> None:
    """The address holds it."""
    mail = _mail(Message("hello", options={"service": "email"}))
    assert "mail-password" not in repr(mail)
    assert "relay-password" not in repr(mail)
    assert {"mail-password", "relay-password"} <= set(build().secrets())


def _answered(message: Message, name: str) -> Accepted:
    provider = build()
    return provider.submitted(_call(provider, message), answer(payload(VENDOR, name)))


# --- what the document says besides ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "options", "kept"),
    [
        (Kind.SMS, {}, True),
        (Kind.SMS, {"service": "batch"}, True),
        (Kind.TEMPLATE, {}, True),
        *((Kind.SMS, {"service": service}, False) for service in ("sms", "vercode", "email")),
        *((kind, {}, False) for kind in (Kind.MMS, Kind.VOICE, Kind.VENDOR_TEMPLATE)),
    ],
)
def test_only_a_batch_is_sent_at_its_time(kind: Kind, options: dict[str, str], *, kept: bool) -> None:
    """p.10: every other address would send at once, so our clock keeps the others."""
    assert kept == build().keeps_time(kind, options)


def test_a_text_never_goes_by_vercode_unless_its_job_says_so() -> None:
    """p.79: what is no code may end that service."""
    alone = build(sms=None, batch=None, email=None)
    with pytest.raises(UnsupportedFeature):
        alone.check(Message("Our new shop opens today"))
    alone.check(Message("Your code is 1125", options={"service": "vercode"}))


def test_a_long_vercode_has_ten_parts_at_most() -> None:
    """p.40."""
    provider = build(vercode={**SETTINGS["vercode"], "long": True})
    provider.check(Message("a" * 1530, options={"service": "vercode"}))
    with pytest.raises(TextTooLong, match="takes 10 at most"):
        provider.check(Message("a" * 1531, options={"service": "vercode"}))


def test_sendsms_needs_its_first_variable() -> None:
    """p.42: `a` is mandatory."""
    without = Message("", kind=Kind.VENDOR_TEMPLATE, template_id="1", options={"service": "sms"})
    with pytest.raises(InvalidTemplate, match="variable a"):
        build().check(without)


@pytest.mark.parametrize("sender", ["A1B2", "Acme24 Shop", "A1 B2 C3"])
def test_digits_and_letters_may_follow_each_other_in_a_sender(sender: str) -> None:
    """p.56: a digit must be placed after a letter; a letter may stand after a digit."""
    build().check(Message("hello", sender=sender))


@pytest.mark.parametrize(
    "message",
    [
        _mms(text="您" * 1000),
        Message("", kind=Kind.VENDOR_TEMPLATE, template_id="1", values={"a": "您" * 1000}),
        Message("您" * 900, options={"service": "vercode"}),
    ],
)
def test_what_no_address_can_hold_is_refused_before_it_goes(message: Message) -> None:
    """A web server would answer 414 or cut it off."""
    provider = build(vercode={**SETTINGS["vercode"], "long": True})

    def sent() -> None:
        provider.check(message)
        provider.submit_request(_call(provider, message))

    with pytest.raises(TextTooLong):
        sent()
