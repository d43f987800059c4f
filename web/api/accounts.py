"""Accounts: looked at, paused, limited, asked what is left; the files that their vendors keep; alerts."""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable
from functools import partial
from pathlib import Path
from typing import IO, Final, TypeVar

import msgspec

from sendmill.access.apikeys import Scope
from sendmill.errors import UnknownAccount
from sendmill.media import KINDS
from sendmill.messages import AccountInfo
from web.api.bodies import read_bytes
from web.api.problems import Problem, no_such_account
from web.api.route import Call, Route
from web.api.shapes import accounts as shapes
from web.api.shapes.common import maybe_time, time_of

_Result = TypeVar("_Result")

_MOST_FILE_BYTES: Final = max(each.max_bytes for each in KINDS)
_FILES: Final = tuple(each.content_type for each in KINDS)
_FIELDS: Final = shapes.Account.__struct_fields__


async def listed(call: Call) -> msgspec.Struct:
    """The accounts that the key knows of."""
    return shapes.AccountList(accounts=await _accounts(call))


async def shown(call: Call) -> msgspec.Struct:
    """One of them."""
    name = _named(call)
    for account in await _accounts(call):
        if account.name == name:
            return account
    raise Problem("no_such_account", "no worker has published such an account")


async def _accounts(call: Call) -> list[shapes.Account]:
    return [_told(each) for each in await call.context.client.accounts() if call.sees(each.name)]


def _told(info: AccountInfo) -> shapes.Account:
    return shapes.Account(**{name: getattr(info, name) for name in _FIELDS})


def _named(call: Call) -> str:
    name = call.named("account")
    if not call.sees(name):
        raise Problem("no_such_account", "the key knows of no such account")
    return name


async def _of_account(awaited: Awaitable[_Result]) -> _Result:
    """An account in an address that there is not is no fault of the body."""
    try:
        return await awaited
    except UnknownAccount as error:
        raise no_such_account(error) from None


async def paused(call: Call) -> None:
    """Stop submitting."""
    await _of_account(call.acting.pause(_named(call)))


async def resumed(call: Call) -> None:
    """Submit again."""
    await _of_account(call.acting.resume(_named(call)))


async def limited(call: Call) -> None:
    """Change a limit."""
    await _of_account(call.acting.limit(_named(call), call.named("limit"), call.body.value))


async def balance(call: Call) -> msgspec.Struct:
    """Ask the vendor."""
    left = await _of_account(call.context.client.balance(_named(call)))
    return shapes.Balance(account=left.account, amount=left.amount, unit=left.unit, at=time_of(left.at))


async def uploaded(call: Call) -> msgspec.Struct:
    """Have the vendor fetch a file: from an address, or the body itself, which it fetches from the push server."""
    account, upload = _named(call), call.context.client.upload
    if call.body is not None:
        wanted: shapes.UploadRequest = call.body
        name = await _of_account(upload(account, wanted.url, kind=wanted.kind))
    else:
        body = await read_bytes(call.request, _MOST_FILE_BYTES)
        with tempfile.NamedTemporaryFile(prefix="upload-") as file:
            await call.context.run(partial(_write, file, body))
            name = await _of_account(upload(account, Path(file.name)))
    return shapes.Uploaded(name=str(name), kept_until=maybe_time(name.kept_until))


def _write(file: IO[bytes], body: bytes) -> None:
    file.write(body)
    file.flush()


async def alerts(call: Call) -> msgspec.Struct:
    """The alerts that are open."""
    found = [
        shapes.Alert(account=each.account, code=each.code, causes=list(each.causes), opened_at=time_of(each.opened_at))
        for each in await call.context.client.alerts()
        if call.sees(each.account)
    ]
    return shapes.AlertList(alerts=found)


async def resolved(call: Call) -> None:
    """End one by hand."""
    wanted: shapes.ResolveRequest = call.body
    if not call.sees(wanted.account):
        raise Problem("no_such_account", "the key knows of no such account")
    await _of_account(call.acting.resolve_alert(wanted.account, wanted.code))


_ACCOUNT: Final = {"account": "the name of an account"}

ROUTES: Final = (
    Route(
        method="GET",
        path="/v1/accounts",
        name="accounts",
        summary="The accounts that workers have published, with backlog, rate and last error.",
        handle=listed,
        scope=Scope.READ,
        answer=shapes.AccountList,
    ),
    Route(
        method="GET",
        path="/v1/accounts/{account}",
        name="account",
        summary="One account.",
        handle=shown,
        scope=Scope.READ,
        answer=shapes.Account,
        parts=_ACCOUNT,
    ),
    Route(
        method="POST",
        path="/v1/accounts/{account}/pause",
        name="pause",
        summary="Stop submitting at an account. Reports and replies still come in.",
        handle=paused,
        scope=Scope.OPERATE,
        parts=_ACCOUNT,
    ),
    Route(
        method="POST",
        path="/v1/accounts/{account}/resume",
        name="resume",
        summary="Let a paused or suspended account submit again.",
        handle=resumed,
        scope=Scope.OPERATE,
        parts=_ACCOUNT,
    ),
    Route(
        method="PUT",
        path="/v1/accounts/{account}/limits/{limit}",
        name="limit",
        summary="Tighten a limit while workers run, such as calls_per_s; null takes that back.",
        handle=limited,
        scope=Scope.OPERATE,
        body=shapes.LimitRequest,
        parts={**_ACCOUNT, "limit": "the name of a limit"},
    ),
    Route(
        method="POST",
        path="/v1/accounts/{account}/balance",
        name="balance",
        summary="Ask the vendor what is left: a worker asks, up to 15 s.",
        handle=balance,
        scope=Scope.OPERATE,
        answer=shapes.Balance,
        parts=_ACCOUNT,
    ),
    Route(
        method="POST",
        path="/v1/accounts/{account}/uploads",
        name="upload",
        summary="Have the vendor keep a picture or a recording: the body itself, or what it fetches from an address.",
        handle=uploaded,
        scope=Scope.SEND_NORMAL,
        body=shapes.UploadRequest,
        takes=_FILES,
        answer=shapes.Uploaded,
        parts=_ACCOUNT,
    ),
    Route(
        method="GET",
        path="/v1/alerts",
        name="alerts",
        summary="The alerts that are open, the oldest first.",
        handle=alerts,
        scope=Scope.READ,
        answer=shapes.AlertList,
    ),
    Route(
        method="POST",
        path="/v1/alerts/resolve",
        name="resolve",
        summary="End an open alert by hand.",
        handle=resolved,
        scope=Scope.OPERATE,
        body=shapes.ResolveRequest,
    ),
)
