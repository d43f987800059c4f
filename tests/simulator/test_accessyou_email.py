"""accessyou.txt p.124, EMAIL2SMS: real mails over SMTP."""

import contextlib
import smtplib
import socket
import uuid
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import pytest

from simulator.client import Simulator
from tests.simulator.test_accessyou import _LOG, get, kinds

_TIMEOUT_S = 60.0
_DOMAIN = "sms.accessyou.example"


@pytest.fixture
def user() -> str:
    """A username of the test's own: the mail names no account number."""
    return f"u{uuid.uuid4().hex[:8]}"


@pytest.fixture
def account(new_account: Any, user: str) -> str:
    """An account with that username."""
    name: str = new_account("accessyou", options={"email_user": user, "senders": ["Abc"]})
    return name


@contextlib.contextmanager
def connected(simulator: Simulator, timeout_s: float = _TIMEOUT_S) -> Iterator[smtplib.SMTP]:
    """A connection to the mail server."""
    host, _, port = simulator.smtp.rpartition(":")
    client = smtplib.SMTP(host, int(port), "customer.example", timeout=timeout_s)
    try:
        yield client
    finally:
        client.close()


def mail(text: str = "Your code is 1125\n", subject: str = "code") -> EmailMessage:
    """A mail of the customer's."""
    message = EmailMessage()
    message["From"] = "Customer <sms@customer.example>"
    message["Subject"] = subject
    message["Date"] = "Tue, 24 Nov 2026 10:00:00 +0800"
    message.set_content(text)
    return message


def post(simulator: Simulator, local: str, message: EmailMessage | None = None) -> int:
    """Send a mail; the reply code, 250 where it was taken."""
    with connected(simulator) as client:
        try:
            client.send_message(message or mail(), "sms@customer.example", [f"{local}@{_DOMAIN}"])
        except smtplib.SMTPRecipientsRefused as refused:
            ((code, _words),) = refused.recipients.values()
            return code
        except smtplib.SMTPDataError as refused:
            return refused.smtp_code
    return 250


def test_a_mail_is_a_message(send: Any, simulator: Simulator, account: str, user: str) -> None:
    """mobile.username.pwd.sender, with the body as the text; the log says email."""
    simulator.add_fates({"state": "DELIVERED", "delay_ms": 0})
    assert post(simulator, f"85298882844.{user}.email-secret.Abc", mail("收到，谢谢\n第二行\n")) == 250
    row = next(simulator.journal(account, endpoint="email"))
    assert (row["kind"], row["accepted"], row["numbers"]) == ("email", True, ["85298882844"])
    assert row["text"] == "收到，谢谢\n第二行"
    assert row["parts"] == {"subject": "code", "mail_from": "Customer <sms@customer.example>", "from": "Abc"}
    log = get(send, "/sms/check_msginfo.php", accountno=account, msgid=row["vendor_id"], **_LOG).decode()
    assert "<senderid>Abc</senderid>\n<route>email</route>\n<receivestatus>DELIVERED</receivestatus>" in log
    counters = simulator.counters("accessyou", account)
    assert (counters["messages_accepted"], counters["requests_by_endpoint"]["email"]) == (1, 1)
    assert kinds(simulator) == []


@pytest.mark.parametrize(
    ("local", "breaches"),
    [
        ("85298882844.{user}.email-secret", []),
        ("85298882844.{user}.wrong", []),
        ("85298882844.nobody.email-secret", []),
        ("23886700x.{user}.email-secret", ["number_format"]),
        ("+85298882844.{user}.email-secret", ["number_format"]),
        ("85298882844.{user}.email.secret.Abc", ["parameter_format"]),
        ("85298882844.{user}", ["parameter_format"]),
        ("85298882844.{user}.email-secret.", ["parameter_format"]),
        ("85298882844.{user}.email-secret.Other", []),
        ("85290000001.{user}.email-secret", []),
    ],
)
def test_the_recipient_is_judged_by_its_parts(
    simulator: Simulator, account: str, user: str, *, local: str, breaches: list[str]
) -> None:
    """Credentials, number, dots, sender; the first of these is right."""
    simulator.add_fates({"number": "85290000001", "refuse": "invalid"})
    good = local == "85298882844.{user}.email-secret"
    assert post(simulator, local.format(user=user)) == (250 if good else 550)
    assert simulator.counters("accessyou", account)["messages_accepted"] == good
    assert kinds(simulator) == breaches
    assert "secret" not in str(simulator.breaches())


@pytest.mark.parametrize(
    ("option", "text"),
    [
        (["body"], "Your code is 1125"),
        (["subject"], "code"),
        (["subject", "body"], "code\nYour code is 1125"),
        (["from"], "Customer <sms@customer.example>"),
        (["date"], "Tue, 24 Nov 2026 10:00:00 +0800"),
    ],
)
def test_the_text_is_what_the_account_sets(
    simulator: Simulator, account: str, user: str, *, option: list[str], text: str
) -> None:
    """SMS content option: from / subject / body / msg date."""
    simulator.set_options("accessyou", account, email_text=option)
    assert post(simulator, f"85298882844.{user}.email-secret") == 250
    assert next(simulator.journal(account))["text"] == text


@pytest.mark.parametrize(
    ("settings", "message", "outcome"),
    [
        ({}, mail("\n"), "message_empty"),
        ({"balance": 0}, mail(), "no_balance"),
        ({"options": {"email_from": "other@customer.example"}}, mail(), "login_failure"),
    ],
)
def test_a_mail_that_cannot_be_sent_is_refused_or_dropped(
    simulator: Simulator, account: str, user: str, *, settings: dict[str, Any], message: EmailMessage, outcome: str
) -> None:
    """No answer is printed: 554, or with option `email_refuses` off silence."""
    simulator.set_account("accessyou", account, **settings)
    assert post(simulator, f"85298882844.{user}.email-secret", message) == 554
    simulator.set_options("accessyou", account, email_refuses=False)
    assert post(simulator, f"85298882844.{user}.email-secret", message) == 250
    assert post(simulator, f"85298882844.{user}.wrong", message) == 250
    rows = list(simulator.journal(account))
    assert [(row["accepted"], row["outcome"]) for row in rows] == [
        (False, outcome), (False, outcome), (False, "login_failure"),
    ]  # fmt: skip


def test_an_account_that_may_not_send_gets_no_mail(simulator: Simulator, account: str, user: str) -> None:
    """A disabled account is disabled here too."""
    simulator.set_account("accessyou", account, state="disabled")
    assert post(simulator, f"85298882844.{user}.email-secret") == 550


def test_a_mail_has_one_recipient(simulator: Simulator, account: str, user: str) -> None:
    """Our standard operation supports SINGLE recipient only."""
    recipients = [f"8529888284{n}.{user}.email-secret@{_DOMAIN}" for n in range(2)]
    with connected(simulator) as client:
        refused = client.send_message(mail(), "sms@customer.example", recipients)
    assert {code for code, _words in refused.values()} == {452}
    assert next(simulator.journal(account))["numbers"] == ["85298882840"]
    assert kinds(simulator) == ["too_many_numbers"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"kind": "refuse_rcpt"}, 550),
        ({"kind": "refuse_rcpt", "code": "451"}, 451),
        ({"kind": "refuse_data"}, 554),
        ({"kind": "refuse_data", "code": "452"}, 452),
        ({"kind": "status"}, 451),
        ({"kind": "code", "code": "887"}, 554),
        ({"kind": "latency", "delay_ms": 20}, 250),
    ],
)
def test_faults_that_reply(simulator: Simulator, account: str, user: str, *, fault: dict[str, Any], code: int) -> None:
    """At the recipient or after the mail, once; the next one goes."""
    simulator.add_faults({**fault, "account": account, "endpoint": "email", "count": 1})
    assert [post(simulator, f"85298882844.{user}.email-secret") for _ in range(2)] == [code, 250]
    assert [row["accepted"] for row in simulator.journal(account)] == [code == 250, True]


@pytest.mark.parametrize("accepted", [False, True])
@pytest.mark.parametrize("kind", ["close", "reset", "hang"])
def test_faults_that_give_no_reply(simulator: Simulator, account: str, user: str, *, kind: str, accepted: bool) -> None:
    """The mail is written, and nobody says whether it was taken."""
    simulator.add_faults({"kind": kind, "account": account, "endpoint": "email", "count": 1, "accepted": accepted})
    error = {"hang": TimeoutError, "close": smtplib.SMTPServerDisconnected, "reset": ConnectionResetError}[kind]
    with connected(simulator, 0.5 if kind == "hang" else _TIMEOUT_S) as client:
        client.ehlo()
        client.mail("sms@customer.example")
        client.rcpt(f"85298882844.{user}.email-secret@{_DOMAIN}")
        assert client.docmd("DATA")[0] == 354
        client.send(mail().as_bytes().replace(b"\n", b"\r\n") + b"\r\n.\r\n")
        with pytest.raises(error):
            _read(client)
    assert [row["accepted"] for row in simulator.journal(account)] == [accepted]
    assert post(simulator, f"85298882844.{user}.email-secret") == 250


def _read(client: smtplib.SMTP) -> None:
    assert client.sock is not None
    assert isinstance(client.sock, socket.socket)
    if client.sock.recv(100) == b"":
        raise smtplib.SMTPServerDisconnected
