"""Errors as RFC 9457 has them, with a stable `code` and whether the same request may be repeated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from http import HTTPStatus
from typing import Annotated, Final, Literal

import msgspec
from aiohttp import web

from sendmill.errors import (
    KeyConflict,
    NoSuchJob,
    NoSuchKey,
    ProviderError,
    SendmillError,
    StoreError,
    StoreFull,
    UnknownAccount,
)
from sendmill.preparing.csvfile import InvalidCsv

CONTENT_TYPE: Final = "application/problem+json"

Retry = Literal["never", "same_key", "after"]
"""`never`: the same request is refused again. `same_key`: nothing was accepted, repeat it with its Idempotency-Key.
`after`: repeat it after Retry-After seconds."""

AWAY_RETRY_S: Final = 5

MEANINGS: Final[Mapping[str, tuple[int, str]]] = {
    "invalid_request": (400, "The request is not as the document describes it; `detail` names the place."),
    "unauthorized": (401, "No key, or none that is good now."),
    "forbidden": (403, "The key may not do this; `detail` names what it lacks."),
    "not_found": (404, "There is no such address."),
    "no_such_job": (404, "No such job or message is kept."),
    "no_such_key": (404, "No such key is kept."),
    "no_such_webhook": (404, "There is no such webhook."),
    "no_such_account": (404, "No worker has published such an account."),
    "method_not_allowed": (405, "The address has other methods: see Allow."),
    "timeout": (408, "The body did not come in time."),
    "cut": (400, "The body broke off: there is no job."),
    "too_large": (413, "The body, or a line of it, is larger than what is taken."),
    "unsupported_media_type": (415, "The body is of a type or an encoding that is not taken here."),
    "key_conflict": (422, "The Idempotency-Key names a job with other content."),
    "invalid_row": (400, "A line cannot be read; `row` counts from 1."),
    "invalid_message": (422, "The job cannot be sent as it is."),
    "invalid_number": (422, "The recipient is no number that can receive messages."),
    "empty_text": (422, "The text is empty."),
    "text_too_long": (422, "The text is longer than the vendor takes."),
    "not_encodable": (422, "The text has a character that no encoding, or the vendor's, has."),
    "invalid_template": (422, "The template's braces do not fit, or a row lacks a value."),
    "unsupported_feature": (422, "The account's vendor cannot do what is asked for."),
    "sender_not_allowed": (422, "The sender breaks the vendor's rules."),
    "invalid_option": (422, "An option has a value that cannot be used."),
    "unknown_account": (422, "No worker has published the account or the route that the job names."),
    "rate_limited": (429, "The key's rate is used up."),
    "internal": (500, "A fault of ours, which is in the log."),
    "vendor_refused": (502, "The vendor's answer, instead of what was asked for."),
    "store_away": (503, "Redis is away or did not answer: nothing was accepted."),
    "busy": (503, "This process has its hands full: nothing was accepted."),
    "store_full": (507, "Redis is full: nothing was accepted."),
}
"""Every code, the status that it comes with, and what it means."""


_BODY_LEFT: Final = frozenset({"cut", "timeout", "too_large", "busy", "invalid_row", "unsupported_media_type"})
"""Behind these the connection is closed: what is left of the body is not waited for."""


class ProblemBody(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, rename={"kind": "type"}):
    """What went wrong. `type` leads to the code's place in /docs."""

    kind: str
    title: str
    status: int
    detail: str
    code: str
    retry: Retry
    row: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Problem(Exception):
    """A request that is refused.

    Args:
        code: one of `MEANINGS`, which has the status.
        detail: one sentence for the person who wrote the client: no key, no text, no whole number.
        retry: whether the same request may be repeated.
        retry_after_s: when.
        row: which row it is about, from 1.
        headers: besides.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        retry: Retry = "never",
        retry_after_s: float | None = None,
        row: int | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.status, self._meaning = MEANINGS[code]
        self.detail = detail
        self.retry: Retry = retry
        self.row = row
        self._headers = {**(headers or {}), "Cache-Control": "no-store"}
        if retry_after_s is not None:
            self._headers["Retry-After"] = str(max(1, math.ceil(retry_after_s)))

    def response(self) -> web.Response:
        """The answer."""
        body = ProblemBody(
            kind=f"/docs#{self.code}",
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            detail=self.detail,
            code=self.code,
            retry=self.retry,
            row=self.row,
        )
        headers = {**self._headers, "Content-Type": CONTENT_TYPE}
        response = web.Response(status=self.status, body=msgspec.json.encode(body), headers=headers)
        if self.code in _BODY_LEFT:
            response.force_close()
        return response


_CODES: Final[Mapping[type[SendmillError], str]] = {
    KeyConflict: "key_conflict",
    NoSuchJob: "no_such_job",
    NoSuchKey: "no_such_key",
    InvalidCsv: "invalid_request",
}


def problem_of(error: SendmillError) -> Problem:
    """What an error of the client is over HTTP."""
    code: str = _CODES.get(type(error)) or getattr(error, "code", None) or ""
    if isinstance(error, StoreError):
        code = "store_full" if isinstance(error, StoreFull) else "store_away"
        return Problem(code, f"{error}. Nothing was accepted", retry="same_key", retry_after_s=AWAY_RETRY_S)
    if isinstance(error, ProviderError):
        detail = f"{error.code}: {error}"
        return Problem("vendor_refused", detail, retry="after", retry_after_s=error.retry_after_s or AWAY_RETRY_S)
    return Problem(code if code in MEANINGS else "invalid_message", str(error))


def no_such_account(error: UnknownAccount) -> Problem:
    """An account that stands in an address."""
    return Problem("no_such_account", str(error))


def refusal(status: int) -> web.Response:
    """The answer to what is no HTTP, or not within its limits."""
    response = Problem("internal" if status == MEANINGS["internal"][0] else "invalid_request", _NO_HTTP).response()
    response.force_close()
    return response


_NO_HTTP: Final = "this is no HTTP request, or its line or its headers are too long"


def problem_of_http(error: web.HTTPException) -> Problem:
    """What aiohttp raises: no such address, another method, a body that is too large."""
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(error.allowed_methods))
            return Problem("method_not_allowed", f"this address takes {allowed}", headers={"Allow": allowed})
        case web.HTTPNotFound():
            return Problem("not_found", "there is no such address: see /docs")
        case web.HTTPRequestEntityTooLarge():
            return Problem("too_large", "the body is larger than what is taken here")
    return Problem("invalid_request", "the request cannot be read")
