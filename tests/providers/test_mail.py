"""Mail over real sockets: what was certainly not taken is told apart from what may have been."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

import pytest
from aiosmtpd.smtp import SMTP, Envelope
from aiosmtpd.smtp import Session as SmtpSession

from providers.base import Mail
from providers.http import NotInTime
from providers.mail import deliver
from sendmill.errors import (
    BadCredentials,
    Busy,
    ConnectFailed,
    ContentRefused,
    OutcomeUnknown,
    ProviderError,
    RecipientRefused,
)

PASSWORD = "hunter2-password"
RECIPIENT = f"85298882844.mailer.{PASSWORD}@mail.example"
SOON_S = 0.3
GREETING = b"220 mail.example\r\n"
OK = b"250 ok\r\n"


def _mail(port: int, *, user: str | None = None, pwd: str | None = None) -> Mail:
    raw = b"From: app@customer.example\r\nTo: " + RECIPIENT.encode() + b"\r\n\r\n.hello\r\n..\r\n"
    return Mail("127.0.0.1", port, "none", user, pwd, "app@customer.example", RECIPIENT, raw)


# --- a real server -----------------------------------------------------------------------------------------------


class _Taking:
    """Keeps what it takes."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, list[str], bytes]] = []

    async def handle_DATA(self, server: SMTP, session: SmtpSession, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's own name
        content = envelope.original_content or b""
        self.taken.append((envelope.mail_from or "", list(envelope.rcpt_tos), content))
        return "250 queued as 1"


async def test_a_mail_reaches_its_server_as_it_stands() -> None:
    """Lines that begin with a dot too."""
    handler = _Taking()
    server = await asyncio.get_running_loop().create_server(partial(SMTP, handler), "127.0.0.1", 0)
    async with server:
        written: list[str] = []
        mail = _mail(server.sockets[0].getsockname()[1])
        response = await deliver(mail, timeout_s=10.0, on_written=lambda: written.append("once"))
    assert (250, ["once"]) == (response.status, written)
    assert [("app@customer.example", [RECIPIENT], mail.raw)] == handler.taken


async def test_a_login_goes_before_the_mail_and_a_wrong_one_sends_none() -> None:
    """A refused login is the account's fault, and nothing was handed over."""
    offers = b"250-mail.example\r\n250 AUTH PLAIN\r\n"
    async with _server((offers, b"235 welcome\r\n", OK, OK, b"354 go on\r\n", OK)) as (port, seen):
        response = await deliver(_mail(port, user="relay", pwd=PASSWORD), timeout_s=10.0)
    assert 250 == response.status
    assert [b"EHLO", b"AUTH", b"MAIL", b"RCPT", b"DATA"] == [line[:4] for line in seen[:5]]
    async with _server((offers, b"535 wrong\r\n", OK)) as (port, seen):
        with pytest.raises(BadCredentials) as raised:
            await deliver(_mail(port, user="relay", pwd=PASSWORD), timeout_s=10.0)
    assert [] == [line for line in seen if line.startswith(b"MAIL")]
    _assert_silent(raised.value)


# --- servers that break at each step -----------------------------------------------------------------------------


@asynccontextmanager
async def _server(
    replies: Sequence[bytes | None], *, silent_after: bool = False
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Answers each line with the next reply (the mail as a whole counts as one); None closes the connection.

    With `silent_after` it says nothing more when the replies are used up, and keeps the connection.
    """
    seen: list[bytes] = []
    serving: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        in_data = False
        for reply in replies:
            seen.append(await (reader.readuntil(b"\r\n.\r\n") if in_data else reader.readline()))
            if reply is None:
                return
            in_data = reply.startswith(b"354")
            writer.write(reply)
        if silent_after:
            await reader.read(-1)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await talk(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.create_task(serve(reader, writer)))

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], seen
    finally:
        server.close()
        await asyncio.gather(*serving, return_exceptions=True)


TO_DATA = (OK, OK, OK, b"354 go on\r\n")
"""EHLO, MAIL FROM, RCPT TO, DATA."""


@pytest.mark.parametrize(
    ("replies", "error", "code"),
    [
        ((b"554 no\r\n", b"554 no\r\n"), ConnectFailed, "554"),
        ((OK, b"451 later\r\n"), Busy, "451"),
        ((OK, b"550 who are you\r\n"), BadCredentials, "550"),
        ((OK, OK, b"450 later\r\n"), Busy, "450"),
        ((OK, OK, b"550 no such user\r\n"), RecipientRefused, "550"),
        ((OK, OK, OK, b"451 later\r\n"), Busy, "451"),
        ((*TO_DATA, b"452 full\r\n"), Busy, "452"),
        ((*TO_DATA, b"554 refused\r\n"), ContentRefused, "554"),
    ],
)
async def test_a_reply_is_definite_whichever_step_it_is_to(
    replies: Sequence[bytes], error: type[ProviderError], code: str
) -> None:
    """4xx is not now, 5xx is never; nothing was taken."""
    async with _server(replies) as (port, _):
        with pytest.raises(error) as raised:
            await deliver(_mail(port), timeout_s=10.0)
    assert (error, code) == (type(raised.value), raised.value.vendor_code)
    _assert_silent(raised.value)


@pytest.mark.parametrize("replies", [(None,), (OK, None), (OK, OK, None)])
async def test_a_connection_that_ends_before_the_mail_is_not_sent(replies: Sequence[bytes | None]) -> None:
    """Nothing was handed over: it is safe to send again."""
    async with _server(replies) as (port, _):
        with pytest.raises(ConnectFailed) as raised:
            await deliver(_mail(port), timeout_s=10.0)
    _assert_silent(raised.value)


async def test_a_connection_that_ends_after_the_mail_is_an_unknown_outcome() -> None:
    """The server may have taken it: never a second mail."""
    async with _server((*TO_DATA, None)) as (port, seen):
        with pytest.raises(OutcomeUnknown) as raised:
            await deliver(_mail(port), timeout_s=10.0)
    assert seen[-1].endswith(b"\r\n.\r\n")
    _assert_silent(raised.value)


async def test_a_server_that_falls_silent_after_the_mail_is_an_unknown_outcome() -> None:
    """No reply within the time."""
    async with _server(TO_DATA, silent_after=True) as (port, _):
        with pytest.raises(OutcomeUnknown):
            await deliver(_mail(port), timeout_s=SOON_S)


async def test_a_server_that_falls_silent_before_the_mail_is_not_sent() -> None:
    """The recipient was named and nothing else."""
    async with _server((OK, OK), silent_after=True) as (port, _):
        with pytest.raises(ConnectFailed):
            await deliver(_mail(port), timeout_s=SOON_S)


async def test_no_server_is_not_sent() -> None:
    """A refused connection."""
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    with pytest.raises(ConnectFailed) as raised:
        await deliver(_mail(port), timeout_s=10.0)
    _assert_silent(raised.value)


async def test_a_mail_that_comes_too_late_is_not_begun() -> None:
    """Its grant has run out: no address was named to the server."""
    async with _server((OK,), silent_after=True) as (port, seen):
        with pytest.raises(NotInTime):
            await deliver(_mail(port), timeout_s=10.0, write_until=time.monotonic() - 1.0)
    assert [] == [line for line in seen if line.startswith(b"MAIL")]


def _assert_silent(error: BaseException) -> None:
    """No part of the address and nothing that the server wrote, in no cause or context."""
    told = []
    each: BaseException | None = error
    while each is not None:
        told += [str(each), repr(each), repr(vars(each))]
        each = each.__cause__ or each.__context__
    text = " ".join(told)
    assert [] == [word for word in (PASSWORD, "85298882844", "no such user", "127.0.0.1") if word in text]
