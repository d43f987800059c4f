"""What the façades share: who sends, in which lane, and that their sender is told."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from sendmill.access.apikeys import ApiKey, Scope
from sendmill.messages import Job, Sms
from sendmill.options import EXPIRES_IN_S, Lane
from web.api.access import RING
from web.api.jobs import admit, options_of
from web.api.problems import Problem
from web.api.route import Call
from web.api.shapes.jobs import Options
from web.context import CONTEXT, Context
from web.facades import callbacks
from web.facades.callback_requests import Callback

FORM: Final = "application/x-www-form-urlencoded"
LONGEST_FORM_BYTES: Final = 64_000

_LANES: Final = ((Lane.NORMAL, Scope.SEND_NORMAL), (Lane.OTP, Scope.SEND_OTP), (Lane.BULK, Scope.SEND_BULK))
_REF_CHARS: Final = 24


@dataclass(frozen=True, slots=True)
class Sent:
    """A job that was stored, and what its callbacks are known by."""

    job: Job
    ref: str


async def key_of(request: web.Request, token: str) -> ApiKey:
    """The API key that a request bears in its own place.

    Raises:
        Problem: as `KeyRing.of_token`.
    """
    return await request.app[RING].of_token(token, request)


async def send(
    request: web.Request, key: ApiKey, facade: str, text: str, to: str | list[str], *, called_back: bool, **options: Any
) -> Sent:
    """Hand a text over, as far as the key goes, in the first lane of normal, otp and bulk that it may use.

    Args:
        request: may have an Idempotency-Key.
        key: whose it is.
        facade: twilio or kannel.
        text: the text.
        to: one recipient, or several.
        called_back: whether somebody wants to be told what becomes of it.
        options: of `send`: sender, at, expires_in.

    Raises:
        Problem: the key may not.
        SendmillError: as `Client.send`.
    """
    context = request.app[CONTEXT]
    lane = next((lane for lane, scope in _LANES if key.may(scope)), Lane.NORMAL)
    if key.sender is not None:
        options.pop("sender", None)
    call = Call(request, context, key, None, None)
    chosen = options_of(call, Options(lane=lane, **options))
    chosen["ref"] = ref = _ref(facade, chosen.get("key"))
    if called_back:
        await callbacks.begin(context)
    await admit(call, 1 if isinstance(to, str) else len(to), chosen)
    return Sent(await context.client.send(Sms(text, to), **chosen), ref)


async def tell(context: Context, sent: Sent, callback: Callback, **options: Any) -> None:
    """Have a callback made when the vendor has the messages, and when they end; `options` are those of `send`.

    Raises:
        StoreError: Redis is away.
    """
    at: datetime | None = options.get("at")
    ahead_s = 0.0 if at is None else max(0.0, (at - datetime.now(UTC)).total_seconds())
    waits_s = ahead_s + (options.get("expires_in") or max(EXPIRES_IN_S.values()))
    kept_s = callbacks.kept_s(context.settings, waits_s)
    refused = {refusal.row for refusal in sent.job.refused}
    rows = (row for row in range(1, sent.job.total + 1) if row not in refused)
    message_ids = [f"{sent.job.id}-{row}" for row in rows]
    await callbacks.keep(context, sent.ref, callback, message_ids, ahead_s=ahead_s, kept_s=kept_s)


def sender_of(given: str | None) -> str | None:
    """A sender ID, where it is a name. A number is not passed on: vendors here send from numbers of their own."""
    return given if given and any(character.isalpha() for character in given) else None


def forbidden(problem: Problem) -> bool:
    """Whether a problem is one of who asks."""
    return problem.status in {web.HTTPUnauthorized.status_code, web.HTTPForbidden.status_code}


def _ref(facade: str, job_key: str | None) -> str:
    """The same for a job that is handed over again."""
    if job_key is None:
        return f"{facade}:{secrets.token_hex(_REF_CHARS // 2)}"
    return f"{facade}:{hashlib.sha256(job_key.encode()).hexdigest()[:_REF_CHARS]}"
