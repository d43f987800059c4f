"""Webhooks: addresses that are told of events by POST. Here they are set up; the process `web` tells them.

Bodies and headers are those of Standard Webhooks (https://www.standardwebhooks.com): see docs/webhooks.md.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
import redis

from sendmill.actor import Actor
from sendmill.errors import InvalidOption, StoreError
from sendmill.events import KINDS
from sendmill.ledger.audit import recorded
from sendmill.ledger.connection import Ledger, store_errors
from sendmill.ledger.keys import REFUSED
from sendmill.ledger.scripts import ledger_script
from sendmill.ledger.webhooks import (
    AT,
    HookSecret,
    Place,
    StoredWebhook,
    delivery_decoder,
    group_of,
    webhook_decoder,
)
from sendmill.moment import clock_ms
from sendmill.states import FINAL
from sendmill.webhooks.info import Webhook, WebhookDelivery, delivery_info, webhook_info
from sendmill.webhooks.signing import new_id, new_secret
from sendmill.webhooks.targets import checked_url

OLD_SECRET_S = 86_400.0
"""A secret that was replaced is signed with for so long besides the new one."""

WEBHOOK_DISABLED = "webhook_disabled"
"""The alert that says that a webhook is told nothing any more."""

_MOST_SECRETS = 5
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_LOOK_S = 0.2
_TEST_KEPT = 50


class Webhooks:
    """The webhooks of a site: `client.webhooks`.

    Args:
        ledger: where they are kept.
        actor: who changes them, for the audit.
    """

    def __init__(self, ledger: Ledger, actor: Actor) -> None:
        self._ledger = ledger
        self._actor = actor

    # --- set up --------------------------------------------------------------------------------------------------

    def add(
        self,
        name: str,
        url: str,
        *,
        kinds: Collection[str] | None = None,
        states: Collection[str] | None = None,
        allow_private: bool = False,
    ) -> str:
        """Have an address told of what happens from now on; returns its secret, which is not shown again.

        Args:
            name: up to 32 letters, digits, - and _.
            url: https; http too where private addresses are allowed.
            kinds: some of report, reply, alert; all where none is given.
            states: final states of reports, such as delivered; all where none is given.
            allow_private: whether it may be an address of this machine or of a private network.

        Raises:
            InvalidOption: one of these cannot be used, or there is a webhook of this name.
            StoreError: Redis is away.
        """
        secret = new_secret()
        made = made_webhook(url, kinds=kinds, states=states, allow_private=allow_private)
        with self._recorded("add_webhook", name, after=urlsplit(url).hostname or ""):
            self.set_up(name, msgspec.structs.replace(made, secrets=(HookSecret(secret),)))
        return secret

    def set_up(self, name: str, made: StoredWebhook) -> None:
        """Store a new webhook, which begins behind the last event of every account.

        Raises:
            InvalidOption: the name cannot be used, or is in use.
            StoreError: Redis is away.
        """
        if not _NAME.fullmatch(name):
            raise InvalidOption("a webhook is named by up to 32 letters, digits, - and _")
        places = self.ends()
        with store_errors():
            taken = self._ledger.server.hexists(self._ledger.jobs.webhooks, name)
            if not taken:
                self._ledger.server.hset(self._ledger.jobs.webhook(name), mapping=places)
        if taken or not self._swap(name, None, made):
            raise InvalidOption(f"there is a webhook {name}: remove it, or choose another name")

    def publish(self, name: str, made: StoredWebhook) -> None:
        """Set up a webhook of the configuration file, or bring up to date what is kept of it.

        Raises:
            InvalidOption: somebody has set up a webhook of this name.
            StoreError: Redis is away.
        """

        def updated(known: StoredWebhook) -> StoredWebhook:
            if not known.by_file:
                raise InvalidOption(f"there is a webhook {name} besides that of the file: remove it, or rename one")
            kept = {"created_ms": known.created_ms, "disabled": known.disabled, "disabled_ms": known.disabled_ms}
            return msgspec.structs.replace(made, by_file=True, **kept)

        with store_errors():
            there = self._ledger.server.hexists(self._ledger.jobs.webhooks, name)
        if there:
            self.change(name, updated)
        else:
            self.set_up(name, msgspec.structs.replace(made, by_file=True))

    def remove(self, name: str) -> None:
        """Tell an address nothing any more, and forget what it was told.

        Raises:
            InvalidOption: there is no such webhook.
            StoreError: Redis is away; a part may be left: repeat it.
        """
        self.stored(name)
        server, key = self._ledger.server, self._ledger.jobs.webhook(name)
        with self._recorded("remove_webhook", name), store_errors():
            # The lock goes too: whoever tells it now may begin nothing more.
            server.delete(key + ":lock", key, key + ":told")
            for account in self._accounts():
                if server.exists(self._ledger.account(account).events):
                    server.xgroup_destroy(self._ledger.account(account).events, group_of(name))
            server.hdel(self._ledger.jobs.webhooks, name)

    def rotate_secret(self, name: str, *, old_for_s: float = OLD_SECRET_S) -> str:
        """Sign with a new secret, and with the old ones for a while besides; returns the new one.

        Raises:
            InvalidOption: there is no such webhook, or the configuration file has its secrets.
            StoreError: Redis is away.
        """
        secret, now_ms = new_secret(), clock_ms()
        until_ms = now_ms + int(old_for_s * 1000)

        def rotated(known: StoredWebhook) -> StoredWebhook:
            if known.by_file:
                raise InvalidOption(f"the secrets of {name} stand in the configuration file: change them there")
            old = (HookSecret(each.secret, min(each.until_ms or until_ms, until_ms)) for each in known.secrets)
            left = [each for each in old if each.until_ms > now_ms]
            return msgspec.structs.replace(known, secrets=(HookSecret(secret), *left[: _MOST_SECRETS - 1]))

        with self._recorded("rotate_webhook", name):
            self.change(name, rotated)
        return secret

    def enable(self, name: str) -> None:
        """Tell a webhook that was disabled again, from where it stopped; one that fails is tried at once.

        Raises:
            InvalidOption: there is no such webhook.
            StoreError: Redis is away.
        """
        with self._recorded("enable_webhook", name):
            self.change(name, lambda known: msgspec.structs.replace(known, disabled="", disabled_ms=0))
        with store_errors():
            self._ledger.server.hdel(self._ledger.jobs.webhook(name), "next_ms", "failing_ms", "tries")
        if not any(each.disabled for each in self.all()):
            with store_errors():
                state = self._ledger.account(REFUSED).state
                ledger_script("endalert").run(self._ledger.server, state, WEBHOOK_DISABLED)

    def disable(self, name: str) -> None:
        """Tell a webhook nothing until it is enabled; nothing is lost while the streams keep it.

        Raises:
            InvalidOption: there is no such webhook.
            StoreError: Redis is away.
        """
        by_a_person = {"disabled": "by a person", "disabled_ms": clock_ms()}
        with self._recorded("disable_webhook", name):
            self.change(name, lambda known: msgspec.structs.replace(known, **by_a_person))

    def replay(self, name: str, since: datetime) -> None:
        """Tell a webhook again what it was told of since a time (aware), before it is told of anything new.

        What happened before it was added counts as told.

        Raises:
            InvalidOption: there is no such webhook, or the time has no zone.
            StoreError: Redis is away.
        """
        if since.utcoffset() is None:
            raise InvalidOption("since has no time zone: give one, for example tzinfo=UTC")
        self.stored(name)
        with self._recorded("replay_webhook", name, after=f"since {since.isoformat()}"), store_errors():
            since_ms = max(1, int(since.timestamp() * 1000))
            self._ledger.server.hset(self._ledger.jobs.webhook(name), "wants_replay", since_ms)

    def test(self, name: str, *, timeout_s: float = 20.0) -> WebhookDelivery:
        """Have the process `web` post a test, whose `type` is `test`; returns what came of it.

        Raises:
            InvalidOption: there is no such webhook.
            StoreError: Redis is away, or no process `web` posted it within `timeout_s`.
        """
        self.stored(name)
        test_id = new_id()
        with store_errors():
            self._ledger.server.hset(self._ledger.jobs.webhook(name), "wants_test", test_id)
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            for delivery in self.deliveries(name, most=_TEST_KEPT):
                if delivery.id == test_id:
                    return delivery
            time.sleep(_LOOK_S)
        raise StoreError("no process `web` posted it in time: is one running?")

    def change(self, name: str, changed: Callable[[StoredWebhook], StoredWebhook]) -> None:
        """Change what a webhook was set up with, whoever else does so at the same time.

        Raises:
            InvalidOption: there is no such webhook.
            StoreError: Redis is away.
        """
        while True:
            known = self.stored(name)
            if self._swap(name, known, changed(known)):
                return

    # --- asked for -----------------------------------------------------------------------------------------------

    def all(self) -> list[Webhook]:
        """Every webhook, by name.

        Raises:
            StoreError: Redis is away.
        """
        with store_errors():
            raws: dict[bytes, bytes] = self._ledger.server.hgetall(self._ledger.jobs.webhooks)
            names = sorted(raw.decode() for raw in raws)
            pipe = self._ledger.server.pipeline(transaction=False)
            for name in names:
                pipe.hmget(self._ledger.jobs.webhook(name), "told_ms", "failing_ms", "tries", "next_ms")
            states = pipe.execute()
        return [
            webhook_info(name, webhook_decoder.decode(raws[name.encode()]), state)
            for name, state in zip(names, states, strict=True)
        ]

    def deliveries(self, name: str, *, most: int = 50) -> list[WebhookDelivery]:
        """What was posted lately, the latest first; the last 500 are kept.

        Raises:
            InvalidOption: there is no such webhook.
            StoreError: Redis is away.
        """
        self.stored(name)
        with store_errors():
            raws = self._ledger.server.lrange(self._ledger.jobs.webhook(name) + ":told", 0, max(1, most) - 1)
        return [delivery_info(delivery_decoder.decode(raw)) for raw in raws]

    def stored(self, name: str) -> StoredWebhook:
        """What a webhook was set up with.

        Raises:
            InvalidOption: naming those that there are.
            StoreError: Redis is away.
        """
        with store_errors():
            raw = self._ledger.server.hget(self._ledger.jobs.webhooks, name)
            if raw is not None:
                return webhook_decoder.decode(raw)
            names = sorted(each.decode() for each in self._ledger.server.hkeys(self._ledger.jobs.webhooks))
        raise InvalidOption(f"there is no webhook {name[:64]!r}: there are {', '.join(names) or 'none'}")

    def ends(self) -> dict[str, str]:
        """Fields of a webhook's hash: the place behind the last entry of every account.

        Raises:
            StoreError: Redis is away.
        """
        places = {AT + REFUSED: Place().stored}
        for account in self._accounts():
            with store_errors():
                try:
                    told: dict[str, Any] = self._ledger.server.xinfo_stream(self._ledger.account(account).events)
                except redis.ResponseError:
                    continue  # nothing has happened there
            last: bytes = told["last-generated-id"]
            places[AT + account] = Place(last.decode(), -1, told["entries-added"]).stored
        return places

    # --- helpers -------------------------------------------------------------------------------------------------

    def _recorded(self, action: str, name: str, **told: str) -> AbstractContextManager[None]:
        return recorded(self._ledger, self._actor, action, name[:64], **told)

    def _swap(self, name: str, known: StoredWebhook | None, new: StoredWebhook) -> bool:
        before = b"" if known is None else msgspec.json.encode(known)
        swap, key = ledger_script("hashswap"), self._ledger.jobs.webhooks
        with store_errors():
            return bool(swap.run(self._ledger.server, key, name, before, msgspec.json.encode(new)))

    def _accounts(self) -> list[str]:
        with store_errors():
            return [*(name.decode() for name in self._ledger.server.hkeys(self._ledger.jobs.accounts)), REFUSED]


def made_webhook(
    url: str, *, kinds: Collection[str] | None, states: Collection[str] | None, allow_private: bool
) -> StoredWebhook:
    """What a webhook is set up with, checked, without its secrets.

    Raises:
        InvalidOption: one of these cannot be used.
    """
    return StoredWebhook(
        url=checked_url(url, allow_private=allow_private),
        created_ms=clock_ms(),
        kinds=_some_of("kind", kinds, KINDS),
        states=_some_of("state", states, frozenset(state.value for state in FINAL)),
        allow_private=allow_private,
    )


def _some_of(what: str, given: Collection[str] | None, known: Collection[str]) -> tuple[str, ...]:
    chosen = (given,) if isinstance(given, str) else tuple(dict.fromkeys(map(str, given or ())))
    for each in chosen:
        if each not in known:
            raise InvalidOption(f"there is no {what} {each[:40]!r} to be told of: there are {', '.join(sorted(known))}")
    return chosen
