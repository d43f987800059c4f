"""Messages that go by SMTP: what was certainly not sent is told apart from what may have been taken."""

from __future__ import annotations

import math
from collections.abc import Callable

from providers.base import Mail, Response
from sendmill.errors import ConnectFailed


async def deliver(
    mail: Mail, *, timeout_s: float, write_until: float = math.inf, on_written: Callable[[], None] | None = None
) -> Response:
    """Hand a mail over to its server; the answer's `status` is the reply code, `body` its text.

    Raises:
        NotInTime: nothing was written, because `write_until` (`time.monotonic`) had passed.
        ConnectFailed, Busy: certainly not taken.
        BadCredentials: the server refuses the login.
        RecipientRefused, ContentRefused: final.
        OutcomeUnknown: the mail was written and no usable answer came.
    """
    del mail, timeout_s, write_until, on_written
    raise ConnectFailed("mail is not built yet")
