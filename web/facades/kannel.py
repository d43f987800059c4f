"""Kannel's sendsms, so that what speaks to a smsbox works with another base URL.

Fields and answers are those of gw/smsbox.c; https://www.kannel.org/download/1.4.5/userguide-1.4.5/userguide.html,
"Using the HTTP interface to send SMS messages".
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl

import structlog
from aiohttp import web

from sendmill.errors import InvalidMessage, SendmillError, StoreError
from sendmill.webhooks.targets import checked_url
from web.api.bodies import media_type, read_bytes
from web.api.problems import Problem
from web.context import CONTEXT
from web.facades.callback_requests import KannelCallback
from web.facades.sending import FORM, LONGEST_FORM_BYTES, forbidden, key_of, send, sender_of, tell

PATH: Final = "/cgi-bin/sendsms"

_ACCEPTED: Final = "0: Accepted for delivery"
_DENIED: Final = "Authorization failed for sendsms"
_EMPTY: Final = "Empty receiver number not allowed, rejected"
_LATER: Final = "Temporal failure, try again later."
_NO_ROUTE: Final = "Not routable. Do not try again."

_MOST_RECIPIENTS: Final = 1000
_UCS2: Final = "2"
_CODINGS: Final = frozenset({"", "0", _UCS2})
_MINUTE_S: Final = 60

_BYTES: Final = "latin-1"
"""Each byte is one character in it."""

log = structlog.get_logger(__name__)


class _Refused(Exception):
    """What is answered instead."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


def add_routes(app: web.Application) -> None:
    """Mount it."""
    app.router.add_get(PATH, sendsms)
    app.router.add_post(PATH, sendsms)


async def sendsms(request: web.Request) -> web.Response:
    """Send a text to one recipient or to several."""
    try:
        status, text = web.HTTPAccepted.status_code, await _sent(request)
    except _Refused as refused:
        status, text = refused.status, refused.text
    except Problem as problem:
        status, text = _of_problem(problem)
    except StoreError:
        status, text = 503, _LATER
    except SendmillError as error:
        status, text = 400, f"{str(error).rstrip('.')}, rejected"
    except web.HTTPException:
        raise
    except Exception:
        log.exception("a request broke its handler", facade="kannel")
        status, text = 500, "Sending failed."
    return web.Response(status=status, text=text, headers={"Cache-Control": "no-store"})


async def _sent(request: web.Request) -> str:
    fields = await _fields(request)
    key = await key_of(request, _text(fields, "password", "pass"))
    to = _text(fields, "to").split()
    if not to:
        raise _Refused(400, "Missing receiver number, rejected" if "to" not in fields else _EMPTY)
    if len(to) > _MOST_RECIPIENTS:
        raise _Refused(400, f"More than {_MOST_RECIPIENTS} receiver numbers, rejected")
    if fields.get("udh"):
        raise _Refused(400, "UDH field misformed, rejected")
    callback = _callback(request, fields)
    options = _options(fields)
    numbers = list(map(_international, to))
    sent = await send(
        request,
        key,
        "kannel",
        _message(fields),
        numbers[0] if len(numbers) == 1 else numbers,
        called_back=callback is not None,
        sender=sender_of(_text(fields, "from")),
        **options,
    )
    if callback is not None:
        await tell(request.app[CONTEXT], sent, callback, **options)
    if not sent.job.accepted:
        raise _Refused(403, _NO_ROUTE)
    denied = " ".join(refusal.to for refusal in sent.job.refused)
    return f"{_ACCEPTED} Denied receivers are: {denied}" if denied else _ACCEPTED


async def _fields(request: web.Request) -> Mapping[str, bytes]:
    """Query and form as they came: which encoding the text has stands among them. The first of a name counts."""
    raw = request.rel_url.raw_query_string
    if media_type(request) == FORM and request.can_read_body:
        raw += "&" + (await read_bytes(request, LONGEST_FORM_BYTES)).decode(_BYTES)
    fields: dict[str, bytes] = {}
    for name, value in parse_qsl(raw, keep_blank_values=True, encoding=_BYTES):
        fields.setdefault(name, value.encode(_BYTES, "replace"))
    return fields


def _of_problem(problem: Problem) -> tuple[int, str]:
    if forbidden(problem):
        return 403, _DENIED
    return (400, f"{problem.detail}, rejected") if problem.retry == "never" else (503, _LATER)


def _text(fields: Mapping[str, bytes], *names: str) -> str:
    raw = next((fields[name] for name in names if name in fields), b"")
    return raw.decode("utf-8", "replace").strip()


def _message(fields: Mapping[str, bytes]) -> str:
    """The text. Kannel's own default is UTF-8, and UTF-16BE where the coding is UCS-2."""
    coding = _text(fields, "coding")
    if coding not in _CODINGS:
        raise _Refused(400, "Coding field misformed, rejected")
    charset = _text(fields, "charset") or ("UTF-16BE" if coding == _UCS2 else "UTF-8")
    try:
        return fields.get("text", b"").decode(charset)
    except (LookupError, UnicodeError, ValueError):
        raise _Refused(400, "Charset or body misformed, rejected") from None


def _international(number: str) -> str:
    """Kannel's users write a number as its network takes it: with its country code, often without the plus."""
    digits = number.removeprefix("+").removeprefix("00")
    return f"+{digits}" if digits.isdigit() else number


def _options(fields: Mapping[str, bytes]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if (minutes := _minutes(fields, "validity", "Validity")) is not None:
        options["expires_in"] = float(minutes * _MINUTE_S)
    if (minutes := _minutes(fields, "deferred", "Deferred")) is not None:
        options["at"] = datetime.now(UTC) + timedelta(minutes=minutes)
    return options


def _minutes(fields: Mapping[str, bytes], name: str, shown: str) -> int | None:
    text = _text(fields, name)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and int(text)):
        raise _Refused(400, f"{shown} field misformed, rejected")
    return int(text)


def _callback(request: web.Request, fields: Mapping[str, bytes]) -> KannelCallback | None:
    url, mask = _text(fields, "dlr-url", "dlrurl"), _text(fields, "dlr-mask", "dlrmask")
    if not url or not mask:
        return None
    if not (mask.isascii() and mask.isdigit()):
        raise _Refused(400, "DLR-Mask field misformed, rejected")
    try:
        checked_url(url, allow_private=request.app[CONTEXT].settings.web.private_callbacks)
    except InvalidMessage:
        raise _Refused(400, "DLR-URL field misformed, rejected") from None
    return KannelCallback(url, int(mask), _text(fields, "from"))
