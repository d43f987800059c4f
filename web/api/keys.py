"""The keys of this API, and what is known of a text."""

from __future__ import annotations

from typing import Final

import msgspec

from sendmill.access.apikeys import KeyInfo, NewKey, Scope
from sendmill.segments import beyond_gsm, count_segments
from web.api.problems import Problem
from web.api.route import Call, Route
from web.api.shapes import keys as shapes
from web.api.shapes.common import RotateRequest, maybe_time, time_of


def _told(info: KeyInfo) -> shapes.Key:
    return shapes.Key(
        key=info.id,
        name=info.name,
        scopes=list(info.scopes),
        accounts=list(info.accounts),
        sender=info.sender,
        signature=info.signature,
        networks=list(info.networks),
        made_at=time_of(info.made_at),
        ends_at=maybe_time(info.ends_at),
        requests_per_s=info.requests_per_s,
        recipients_per_day=info.recipients_per_day,
        test=info.test,
        secrets=[shapes.Secret(made_at=time_of(made), ends_at=maybe_time(ends)) for made, ends in info.secrets],
        used_at=maybe_time(info.used_at),
    )


def _made(made: NewKey) -> shapes.MadeKey:
    return shapes.MadeKey(token=made.token, key=_told(made.info))


async def own(call: Call) -> msgspec.Struct:
    """The key that asks."""
    return _told(call.key.info)


async def listed(call: Call) -> msgspec.Struct:
    """All keys."""
    return shapes.KeyList(keys=[_told(each) for each in await call.context.client.keys()])


async def made(call: Call) -> msgspec.Struct:
    """Make one."""
    wanted: shapes.KeyRequest = call.body
    return _made(await call.acting.add_key(**msgspec.structs.asdict(wanted)))


async def rotated(call: Call) -> msgspec.Struct:
    """Give one a further secret."""
    return _made(await call.acting.rotate_key(call.named("key"), old_for_h=call.body.old_for_h))


async def revoked(call: Call) -> None:
    """End one."""
    await call.acting.revoke_key(call.named("key"))


async def segments(call: Call) -> msgspec.Struct:
    """Count a text."""
    wanted: shapes.SegmentsRequest = call.body
    text = (wanted.signature or "") + wanted.text
    counted = count_segments(text)
    if wanted.account is not None:
        if not call.sees(wanted.account):
            raise Problem("no_such_account", "the key knows of no such account")
        tariff = await call.context.client.tariff()
        tariff.check_account(wanted.account)
        counted = tariff.segments(wanted.account, wanted.text, wanted.signature)
    return shapes.Segments(
        segments=counted.segments,
        units=counted.units,
        encoding=counted.encoding,
        beyond=beyond_gsm(text) if counted == count_segments(text) else [],
    )


_KEY: Final = {"key": "the id of a key: the 8 characters behind smk_"}

ROUTES: Final = (
    Route(
        method="POST",
        path="/v1/segments",
        name="segments",
        summary="How many segments a text is billed as.",
        handle=segments,
        scope=Scope.READ,
        body=shapes.SegmentsRequest,
        answer=shapes.Segments,
    ),
    Route(
        method="GET",
        path="/v1/key",
        name="own_key",
        summary="The key that asks: what it may do.",
        handle=own,
        scope=None,
        answer=shapes.Key,
    ),
    Route(
        method="GET",
        path="/v1/keys",
        name="keys",
        summary="The keys of this API, the oldest first.",
        handle=listed,
        scope=Scope.ADMIN,
        whole=True,
        answer=shapes.KeyList,
    ),
    Route(
        method="POST",
        path="/v1/keys",
        name="create_key",
        summary="Make a key. Its token is in the answer and nowhere else.",
        handle=made,
        scope=Scope.ADMIN,
        whole=True,
        body=shapes.KeyRequest,
        answer=shapes.MadeKey,
        status=201,
    ),
    Route(
        method="POST",
        path="/v1/keys/{key}/rotate",
        name="rotate_key",
        summary="Give a key a further secret.",
        handle=rotated,
        scope=Scope.ADMIN,
        whole=True,
        body=RotateRequest,
        answer=shapes.MadeKey,
        status=201,
        parts=_KEY,
    ),
    Route(
        method="DELETE",
        path="/v1/keys/{key}",
        name="revoke_key",
        summary="End a key within a second.",
        handle=revoked,
        scope=Scope.ADMIN,
        whole=True,
        parts=_KEY,
    ),
)
