"""Twilio's Messages resource, so that its SDKs work with another base URL: a message is sent and looked at.

https://www.twilio.com/docs/messaging/api/message-resource. A form comes in; JSON and errors of its shape go out.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
import structlog
from aiohttp import web

from sendmill.access.apikeys import ApiKey, Scope
from sendmill.errors import EmptyText, InvalidMessage, InvalidNumber, NoSuchJob, SendmillError, StoreError, TextTooLong
from sendmill.numbers import mask, possible
from sendmill.states import State
from sendmill.webhooks.targets import checked_url
from web.api.access import check_scope
from web.api.bodies import media_type, read_bytes
from web.api.problems import Problem
from web.context import CONTEXT
from web.facades.callback_requests import API_VERSION, TWILIO_STATUS, TwilioCallback, twilio_code
from web.facades.sending import FORM, LONGEST_FORM_BYTES, forbidden, key_of, send, sender_of, tell
from web.facades.sids import message_of, sid_of

PATH: Final = f"/{API_VERSION}/Accounts/{{sid}}/Messages.json"
ONE_PATH: Final = f"/{API_VERSION}/Accounts/{{sid}}/Messages/{{message}}.json"

_REFUSED: Final = ("MediaUrl", "ContentSid", "ContentVariables", "MaxPrice", "MessagingServiceSid")
_LONGEST_FIELD_CHARS: Final = 4096
_UNAUTHORIZED: Final = 401
_MORE: Final = "https://www.twilio.com/docs/errors/"

log = structlog.get_logger(__name__)


class _Error(Exception):
    """Twilio's error: its own code beside HTTP's."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code

    def response(self) -> web.Response:
        """The answer."""
        body = {"code": self.code, "message": str(self), "more_info": f"{_MORE}{self.code}", "status": self.status}
        headers = {"WWW-Authenticate": 'Basic realm="sendmill"'} if self.status == _UNAUTHORIZED else {}
        return _json(self.status, body, headers)


def add_routes(app: web.Application) -> None:
    """Mount it."""
    app.router.add_post(PATH, _answering(create))
    app.router.add_get(ONE_PATH, _answering(fetch))


async def create(request: web.Request) -> web.Response:
    """Send a message."""
    key, token = await _key(request)
    form = await _form(request)
    to, text = form.get("To"), form.get("Body")
    if not to:
        raise _Error(400, 21604, "A 'To' phone number is required.")
    if not text:
        raise _Error(400, 21602, "Message body is required.")
    for name in _REFUSED:
        if name in form:
            raise _Error(400, 20001, f"{name} is not taken here: see docs/facades.md")
    options = _options(form)
    callback = _callback(request, form)
    sent = await send(
        request,
        key,
        "twilio",
        text,
        to,
        called_back=callback is not None,
        sender=sender_of(form.get("From")),
        **options,
    )
    message_id, number = f"{sent.job.id}-1", possible(to)
    if callback is not None:
        await tell(request.app[CONTEXT], sent, callback.signed(token, message_id, number), **options)
    state = State.SCHEDULED if "at" in options else State.QUEUED
    seen = _Seen(message_id, number, state, datetime.now(UTC))
    return _json(201, _message(request, seen, body=text, sender=form.get("From")))


async def fetch(request: web.Request) -> web.Response:
    """Look at a message."""
    key, _ = await _key(request)
    check_scope(key, Scope.READ)
    message_id = message_of(request.match_info["message"])
    if message_id is None:
        raise _not_found()
    try:
        shown = await request.app[CONTEXT].client.show(message_id)
    except NoSuchJob:
        raise _not_found() from None
    if key.accounts and shown["account"] not in {None, *key.accounts}:
        raise _not_found()
    number = shown["to"] if key.may(Scope.READ_NUMBERS) else mask(shown["to"])
    at = shown["updated_at"] or datetime.now(UTC)
    seen = _Seen(message_id, number, State(shown["state"]), at, shown["submitted_at"], shown["detail"])
    return _json(200, _message(request, seen))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A message as it is now."""

    message_id: str
    to: str
    state: State
    at: datetime
    sent_at: datetime | None = None
    why: str | None = None


def _message(
    request: web.Request, seen: _Seen, *, body: str | None = None, sender: str | None = None
) -> dict[str, Any]:
    sid, account = sid_of(seen.message_id), request.match_info["sid"]
    uri = f"/{API_VERSION}/Accounts/{account}/Messages/{sid}"
    return {
        "account_sid": account,
        "api_version": API_VERSION,
        "body": body,
        "date_created": format_datetime(seen.at),
        "date_sent": None if seen.sent_at is None else format_datetime(seen.sent_at),
        "date_updated": format_datetime(seen.at),
        "direction": "outbound-api",
        "error_code": twilio_code(seen.state),
        "error_message": seen.why if twilio_code(seen.state) is not None else None,
        "from": sender,
        "messaging_service_sid": None,
        "num_media": "0",
        "num_segments": None,
        "price": None,
        "price_unit": None,
        "sid": sid,
        "status": TWILIO_STATUS[seen.state],
        "subresource_uris": {},
        "to": seen.to,
        "uri": f"{uri}.json",
    }


# --- what comes in -----------------------------------------------------------------------------------------------


async def _key(request: web.Request) -> tuple[ApiKey, str]:
    """The API key, which is the password of basic auth; the user's name is Twilio's account, of which there is one."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        user, colon, token = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        user, colon, token = "", "", ""
    if scheme.lower() != "basic" or not user or not colon:
        raise _Error(401, 20003, "Authenticate: the account's sid, and an API key as the token")
    return await key_of(request, token), token


async def _form(request: web.Request) -> Mapping[str, str]:
    if media_type(request) != FORM:
        raise _Error(400, 20001, f"send a form: {FORM}")
    raw = await read_bytes(request, LONGEST_FORM_BYTES)
    try:
        form = dict(parse_qsl(raw.decode(), keep_blank_values=True, errors="strict"))
    except UnicodeError:
        raise _Error(400, 20001, "the form is not in UTF-8") from None
    return {name: value for name, value in form.items() if len(value) <= _LONGEST_FIELD_CHARS}


def _options(form: Mapping[str, str]) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if "ValidityPeriod" in form:
        options["expires_in"] = _whole(form, "ValidityPeriod")
    if "SendAt" in form:
        if form.get("ScheduleType") != "fixed":
            raise _Error(400, 35111, "ScheduleType must be fixed where there is a SendAt.")
        options["at"] = _time(form["SendAt"])
    return options


def _whole(form: Mapping[str, str], name: str) -> float:
    if not (form[name].isascii() and form[name].isdigit() and int(form[name])):
        raise _Error(400, 20001, f"{name} is a number of seconds")
    return float(form[name])


def _time(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = datetime.now()  # noqa: DTZ005 - without a zone, as a time is that nobody can use
    if at.utcoffset() is None:
        raise _Error(400, 35114, "SendAt is a time such as 2026-03-01T09:00:00Z")
    return at


def _callback(request: web.Request, form: Mapping[str, str]) -> TwilioCallback | None:
    url = form.get("StatusCallback")
    if not url:
        return None
    try:
        checked_url(url, allow_private=request.app[CONTEXT].settings.web.private_callbacks)
    except InvalidMessage as error:
        raise _Error(400, 21609, f"StatusCallback: {error}") from None
    return TwilioCallback(url, request.match_info["sid"], form.get("From", ""))


# --- what goes out -----------------------------------------------------------------------------------------------


def _answering(handle: Any) -> Any:
    async def answer(request: web.Request) -> web.Response:
        try:
            response: web.Response = await handle(request)
        except _Error as error:
            return error.response()
        except Problem as problem:
            return _of_problem(problem).response()
        except SendmillError as error:
            return _of_error(error).response()
        except web.HTTPException:
            raise
        except Exception:
            log.exception("a request broke its handler", facade="twilio")
            return _Error(500, 20500, "a fault of ours: it is in the log").response()
        return response

    return answer


def _of_problem(problem: Problem) -> _Error:
    if forbidden(problem):
        return _Error(problem.status, 20003 if problem.status == _UNAUTHORIZED else 20403, problem.detail)
    return _Error(problem.status, {429: 20429, 503: 20503}.get(problem.status, 20001), problem.detail)


def _of_error(error: SendmillError) -> _Error:
    match error:
        case InvalidNumber():
            return _Error(400, 21211, f"Invalid 'To' Phone Number: {error}")
        case EmptyText():
            return _Error(400, 21602, "Message body is required.")
        case TextTooLong():
            return _Error(400, 21617, str(error))
        case StoreError():
            return _Error(503, 20503, f"{error}. Nothing was accepted")
    return _Error(400, 20001, str(error))


def _not_found() -> _Error:
    return _Error(404, 20404, "The requested resource was not found")


def _json(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> web.Response:
    shown = {"Content-Type": "application/json", "Cache-Control": "no-store", **(headers or {})}
    return web.Response(status=status, body=msgspec.json.encode(body), headers=shown)
