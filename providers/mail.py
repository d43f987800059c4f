"""Messages that go by SMTP (RFC 5321): what was certainly not sent is told apart from what may have been taken.

Until the mail itself is handed over, nothing can have been taken; after that only the server's own reply says. A reply
is believed whatever its time: 4xx is "not now", 5xx is "never". Nothing is repeated here. Errors carry neither the
address (AccessYou's holds a password) nor what the server wrote, which may quote it.
"""

from __future__ import annotations

import asyncio
import math
import socket
import time
from collections.abc import Callable

import aiosmtplib

from providers.base import Mail, Response
from providers.http import NotInTime
from sendmill.errors import (
    BadCredentials,
    Busy,
    ConnectFailed,
    ContentRefused,
    OutcomeUnknown,
    ProviderError,
    RecipientRefused,
    RequestRefused,
)

_FIRST_PERMANENT = 500


class _Progress:
    """How far a mail has come."""

    handed_over = False


async def deliver(
    mail: Mail, *, timeout_s: float, write_until: float = math.inf, on_written: Callable[[], None] | None = None
) -> Response:
    """Hand a mail over to its server; the answer's `status` is the reply code, and it has no body.

    Args:
        mail: sent as it stands.
        timeout_s: for all of it.
        write_until: on `time.monotonic`; a mail that could only be begun later is not.
        on_written: called when the mail is about to be handed over.

    Raises:
        NotInTime: nothing was handed over, because `write_until` had passed.
        ConnectFailed, Busy: certainly not taken.
        BadCredentials: the server refuses the login or the account's own address.
        RecipientRefused, RequestRefused, ContentRefused: refused for good.
        OutcomeUnknown: the mail was handed over and no reply came.
    """
    progress = _Progress()
    failure: ProviderError
    try:
        async with asyncio.timeout(timeout_s):
            code = await _deliver(mail, timeout_s, write_until, on_written, progress)
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        failure = _failure(error, handed_over=progress.handed_over)
    else:
        return Response(code, {}, b"")
    # Raised out here: the original holds the address and the server's words, and would ride along as the context.
    raise failure


async def _deliver(
    mail: Mail,
    timeout_s: float,
    write_until: float,
    on_written: Callable[[], None] | None,
    progress: _Progress,
) -> int:
    client = aiosmtplib.SMTP(
        hostname=mail.host,
        port=mail.port,
        use_tls=mail.encryption == "tls",
        start_tls=mail.encryption == "starttls",
        local_hostname=socket.gethostname(),
        timeout=timeout_s,
    )
    try:
        await client.connect()
        if mail.user is not None and mail.pwd is not None:
            await client.login(mail.user, mail.pwd)
        if time.monotonic() > write_until:
            raise NotInTime("the mail server was at hand too late")
        await client.mail(mail.sender)
        await client.rcpt(mail.recipient)
        progress.handed_over = True
        if on_written is not None:
            on_written()
        reply = await client.data(mail.raw)
    finally:
        client.close()
    return reply.code


def _failure(error: Exception, *, handed_over: bool) -> ProviderError:
    name = type(error).__name__
    if isinstance(error, aiosmtplib.SMTPResponseException):
        return _refusal(error)
    if handed_over:
        return OutcomeUnknown(f"the mail server gave no reply to the mail ({name})")
    return ConnectFailed(f"the mail server cannot be reached or will not talk ({name})")


def _refusal(error: aiosmtplib.SMTPResponseException) -> ProviderError:
    """A reply of the server: definite, whichever step it is to."""
    code = error.code
    refusal: type[ProviderError]
    if code < _FIRST_PERMANENT:
        refusal = Busy
    elif isinstance(error, aiosmtplib.SMTPConnectResponseError | aiosmtplib.SMTPHeloError):
        refusal = ConnectFailed
    elif isinstance(error, aiosmtplib.SMTPAuthenticationError | aiosmtplib.SMTPSenderRefused):
        # Whom we send as is the account's, not the message's.
        refusal = BadCredentials
    elif isinstance(error, aiosmtplib.SMTPRecipientRefused):
        refusal = RecipientRefused
    elif isinstance(error, aiosmtplib.SMTPDataError):
        refusal = ContentRefused
    else:
        refusal = RequestRefused
    meaning = (refusal.__doc__ or "").partition("\n")[0]
    return refusal(f"the mail server answered {code}: {meaning}", vendor_code=str(code))
