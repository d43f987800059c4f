"""The mail server: SMTP on a port of its own, for vendors that take messages as mails."""

import asyncio
import re
import socket
import time
from typing import Any

from aiosmtpd.smtp import SMTP, Envelope, Session

from simulator.connection import RESET
from simulator.faults import KINDS, Fault
from simulator.vendor import Answer, Call, TakesMail
from simulator.wire import Request, Response
from simulator.world import World

_HOST_NAME = "mail.simulator"
_MAX_BYTES = 10_000_000
_TAKEN = "250 OK"
_REFUSAL = re.compile("[45][0-9]{2}")
# A fault that hangs does so for longer than a client waits.
_IDLE_S = 3600.0
# What a mail server cannot do wrong: it has no pages and no content types.
_DATA_KINDS = frozenset(KINDS).difference(("refuse_rcpt", "html", "content_type", "slow", "garbage", "empty"))
_REPLIES = {
    "refuse_rcpt": "550 5.1.1 No such user here",
    "refuse_data": "554 5.6.0 Message refused",
    "status": "451 4.3.0 Temporary failure",
    "code": "554 5.6.0 Message refused",
}


class MailServer:
    """Listens; each connection takes mails of one recipient."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._server: asyncio.Server | None = None

    async def listen(self, host: str, port: int) -> tuple[str, int]:
        """Start to accept; returns the address. OSError when it is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._connection, host, port)
        address: tuple[str, int] = self._server.sockets[0].getsockname()
        return address[0], address[1]

    def _connection(self) -> SMTP:
        return SMTP(
            _Handler(self._world),
            hostname=_HOST_NAME,
            ident="ESMTP",
            data_size_limit=_MAX_BYTES,
            timeout=_IDLE_S,
            loop=asyncio.get_running_loop(),
        )

    def close(self) -> None:
        """Accept nothing more."""
        if self._server is not None:
            self._server.close()


class _Handler:
    """aiosmtpd's hooks for one connection."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._call: Call | None = None
        self._error = ""

    async def handle_RCPT(  # noqa: N802  the hook's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, rcpt_options: list[str]
    ) -> str:
        del server, rcpt_options
        peer = str(session.peer[0]) if session.peer else ""
        request = Request("SMTP", "/accessyou/email", b"", {}, b"", time.time_ns(), kernel_stamp=False, peer=peer)
        vendor = self._vendor()
        call = vendor.addressed(request, address)
        if envelope.rcpt_tos:
            # "Our standard operation supports SINGLE recipient only."
            self._world.breach(call, "too_many_numbers", "one recipient a mail")
            return "452 4.5.3 Too many recipients"
        fault = self._world.faults.pick(call.vendor, call.claimed, call.endpoint, ("refuse_rcpt",))
        if fault is not None:
            self._note(call, Answer(Response(), "fault:refuse_rcpt"))
            return _reply(fault)
        error = vendor.recipient_error(call)
        if error and (call.account is None or call.account.flag("email_refuses")):
            self._note(call, Answer(Response(), error))
            return _REPLIES["refuse_rcpt"]
        self._call, self._error = call, error
        envelope.rcpt_tos.append(address)
        return _TAKEN

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802  as above
        del session
        call = self._call
        if call is None:
            return "503 5.5.1 No recipient"
        self._call = None
        content = envelope.content
        call.request.body = content if isinstance(content, bytes) else str(content or "").encode()
        call.request.arrival_ns = time.time_ns()
        fault = self._world.faults.pick(call.vendor, call.claimed, call.endpoint, _DATA_KINDS)
        if fault is not None and not fault.takes_messages:
            answer = Answer(Response(), f"fault:{fault.kind}")
        elif self._error:
            answer = Answer(Response(), self._error)
        else:
            answer = self._vendor().take_mail(call)
        self._note(call, answer)
        if fault is not None:
            await self._fail(server, fault)
            if fault.kind in _REPLIES:
                return _reply(fault)
        refuses = call.account is not None and call.account.flag("email_refuses")
        return _TAKEN if answer.accepted or not refuses else _REPLIES["refuse_data"]

    def _vendor(self) -> TakesMail:
        """Asked for each time, since a reset opens the vendors anew."""
        return self._world.mail[0]

    async def _fail(self, server: SMTP, fault: Fault) -> None:
        """Wait as long as the fault says: for ever where it gives no reply."""
        await asyncio.sleep(self._world.faults.delay_s(fault))
        transport: Any = server.transport
        if fault.kind == "reset" and transport is not None:
            transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            transport.abort()
        elif fault.kind == "close" and transport is not None:
            transport.close()
        if fault.kind in ("hang", "reset", "close"):
            # The end of the connection cancels this.
            await asyncio.Event().wait()

    def _note(self, call: Call, answer: Answer) -> None:
        call.sequence = len(self._world.journal)
        self._world.note(call, answer)


def _reply(fault: Fault) -> str:
    """The fault's own reply code where it is one of SMTP's refusals; `code` faults may carry a vendor's."""
    line = _REPLIES[fault.kind]
    return f"{fault.code} {line.partition(' ')[2]}" if _REFUSAL.fullmatch(fault.code) else line
