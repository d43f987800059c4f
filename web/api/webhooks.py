"""Webhooks: who is told of events by POST."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from sendmill.access.apikeys import Scope
from sendmill.webhooks.info import Webhook, WebhookDelivery
from web.api.problems import Problem
from web.api.route import Call, Route
from web.api.shapes import webhooks as shapes
from web.api.shapes.common import RotateRequest, maybe_time, time_of

_HOUR_S: Final = 3600.0


def _told(found: Webhook) -> shapes.Webhook:
    return shapes.Webhook(
        name=found.name,
        url=found.url,
        kinds=list(found.kinds),
        states=list(found.states),
        created_at=time_of(found.created_at),
        disabled=found.disabled,
        told_at=maybe_time(found.told_at),
        failing_since=maybe_time(found.failing_since),
        tries=found.tries,
        next_try_at=maybe_time(found.next_try_at),
    )


def _delivery(found: WebhookDelivery) -> shapes.Delivery:
    return shapes.Delivery(
        id=found.id,
        at=time_of(found.at),
        what="test" if found.what == "test" else "events",
        events=found.events,
        attempt=found.attempt,
        ok=found.ok,
        status=found.status,
        error=found.error,
        took_ms=found.took_ms,
    )


async def listed(call: Call) -> msgspec.Struct:
    """All of them."""
    return shapes.WebhookList(webhooks=[_told(each) for each in await call.context.client.webhooks.all()])


async def added(call: Call) -> msgspec.Struct:
    """Add one."""
    wanted: shapes.WebhookRequest = call.body
    made = call.context.client.webhooks.add(wanted.name, wanted.url, kinds=wanted.kinds, states=wanted.states)
    return shapes.MadeWebhook(name=wanted.name, secret=await made)


async def removed(call: Call) -> None:
    """Remove one."""
    await call.context.client.webhooks.remove(await _named(call))


async def tested(call: Call) -> msgspec.Struct:
    """Post a test."""
    return _delivery(await call.context.client.webhooks.test(await _named(call)))


async def replayed(call: Call) -> None:
    """Tell one again what it was told."""
    await call.context.client.webhooks.replay(await _named(call), call.body.since)


async def rotated(call: Call) -> msgspec.Struct:
    """Sign with a new secret."""
    name = await _named(call)
    secret = await call.context.client.webhooks.rotate_secret(name, old_for_s=call.body.old_for_h * _HOUR_S)
    return shapes.MadeWebhook(name=name, secret=secret)


async def enabled(call: Call) -> None:
    """Tell one again."""
    await call.context.client.webhooks.enable(await _named(call))


async def disabled(call: Call) -> None:
    """Tell one nothing for now."""
    await call.context.client.webhooks.disable(await _named(call))


async def deliveries(call: Call) -> msgspec.Struct:
    """What was posted lately."""
    found = await call.context.client.webhooks.deliveries(await _named(call), most=call.query.limit)
    return shapes.DeliveryList(deliveries=[_delivery(each) for each in found])


async def _named(call: Call) -> str:
    """The webhook that stands in the address.

    Raises:
        Problem: there is none of this name.
    """
    name = call.named("webhook")
    if name not in {each.name for each in await call.context.client.webhooks.all()}:
        raise Problem("no_such_webhook", "there is no webhook of this name")
    return name


def _route(method: Any, what: str, name: str, summary: str, handle: Any, **more: Any) -> Route:
    """All of them concern all accounts, and only who may do everything sets them up."""
    path = "/v1/webhooks" + (f"/{{webhook}}{what}" if what != "s" else "")
    parts = {"webhook": "a webhook's name"} if what != "s" else None
    more = {"scope": Scope.ADMIN, "whole": True, "parts": parts, **more}
    return Route(method=method, path=path, name=name, summary=summary, handle=handle, **more)


ROUTES: Final = (
    _route("GET", "s", "webhooks", "The webhooks, by name.", listed, answer=shapes.WebhookList),
    _route(
        "POST",
        "s",
        "add_webhook",
        "Have an address told of events from now on. Its secret is in the answer and nowhere else.",
        added,
        body=shapes.WebhookRequest,
        answer=shapes.MadeWebhook,
        status=201,
    ),
    _route("DELETE", "", "remove_webhook", "Tell an address nothing any more.", removed),
    _route("POST", "/test", "test_webhook", "Post a test; what came of it.", tested, answer=shapes.Delivery),
    _route(
        "POST",
        "/replay",
        "replay_webhook",
        "Tell again what was told since a time, before anything new.",
        replayed,
        body=shapes.ReplayRequest,
    ),
    _route(
        "POST",
        "/rotate",
        "rotate_webhook",
        "Sign with a new secret, and with the old one besides for a while.",
        rotated,
        body=RotateRequest,
        answer=shapes.MadeWebhook,
        status=201,
    ),
    _route("POST", "/enable", "enable_webhook", "Tell it again, from where it stopped.", enabled),
    _route("POST", "/disable", "disable_webhook", "Tell it nothing until it is enabled.", disabled),
    _route(
        "GET",
        "/deliveries",
        "webhook_deliveries",
        "What was posted lately, the latest first.",
        deliveries,
        query=shapes.DeliveriesQuery,
        answer=shapes.DeliveryList,
    ),
)
