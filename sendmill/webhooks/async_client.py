"""`AsyncClient.webhooks`: the same as `Client.webhooks` as coroutines."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from datetime import datetime
from functools import partial
from typing import Protocol, TypeVar

from sendmill.webhooks.client import OLD_SECRET_S, Webhooks
from sendmill.webhooks.info import Webhook, WebhookDelivery

_Result = TypeVar("_Result")


class Runs(Protocol):
    """Runs something that blocks elsewhere than on the loop."""

    def __call__(self, call: Callable[[], _Result]) -> Awaitable[_Result]:
        """What it returns."""


class AsyncWebhooks:
    """The webhooks of a site. Arguments and errors are those of `Webhooks`.

    Args:
        webhooks: what is run.
        run: runs it.
    """

    def __init__(self, webhooks: Webhooks, run: Runs) -> None:
        self._webhooks = webhooks
        self._run = run

    async def add(
        self,
        name: str,
        url: str,
        *,
        kinds: Collection[str] | None = None,
        states: Collection[str] | None = None,
        allow_private: bool = False,
    ) -> str:
        """Have an address told: `Webhooks.add`."""
        made = partial(self._webhooks.add, name, url, kinds=kinds, states=states, allow_private=allow_private)
        return await self._run(made)

    async def remove(self, name: str) -> None:
        """Tell an address nothing any more: `Webhooks.remove`."""
        await self._run(partial(self._webhooks.remove, name))

    async def rotate_secret(self, name: str, *, old_for_s: float = OLD_SECRET_S) -> str:
        """Sign with a new secret: `Webhooks.rotate_secret`."""
        return await self._run(partial(self._webhooks.rotate_secret, name, old_for_s=old_for_s))

    async def enable(self, name: str) -> None:
        """Tell a webhook again: `Webhooks.enable`."""
        await self._run(partial(self._webhooks.enable, name))

    async def disable(self, name: str) -> None:
        """Tell a webhook nothing for now: `Webhooks.disable`."""
        await self._run(partial(self._webhooks.disable, name))

    async def replay(self, name: str, since: datetime) -> None:
        """Tell a webhook again what it was told: `Webhooks.replay`."""
        await self._run(partial(self._webhooks.replay, name, since))

    async def test(self, name: str, *, timeout_s: float = 20.0) -> WebhookDelivery:
        """Have a test posted: `Webhooks.test`."""
        return await self._run(partial(self._webhooks.test, name, timeout_s=timeout_s))

    async def all(self) -> list[Webhook]:
        """Every webhook: `Webhooks.all`."""
        return await self._run(self._webhooks.all)

    async def deliveries(self, name: str, *, most: int = 50) -> list[WebhookDelivery]:
        """What was posted lately: `Webhooks.deliveries`."""
        return await self._run(partial(self._webhooks.deliveries, name, most=most))
