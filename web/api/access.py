"""Who may do what: keys as bearer tokens, their scopes, networks, ends and rates."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address, ip_network
from typing import Final

from aiohttp import web

from sendmill.access.apikeys import ApiKey, Scope, digest_of, id_in
from sendmill.async_client import AsyncClient
from sendmill.errors import StoreError
from sendmill.moment import clock_ms
from web.api.problems import Problem, problem_of

READ_EVERY_S: Final = 0.5
"""Keys are believed for so long, so that one that was revoked is refused within a second."""

APART_S: Final = 0.05
"""Two readings are no closer: an unknown key, which may have been made this moment, waits for so long at most."""

NOTE_EVERY_S: Final = 30.0

_BEARER: Final = "bearer "
_LONGEST_TOKEN_CHARS: Final = 200


class KeyRing:
    """The keys, read again as requests come.

    Args:
        client: reads them.
        proxies: networks of proxies before us, whose X-Forwarded-For is believed.
    """

    def __init__(self, client: AsyncClient, proxies: Sequence[str] = ()) -> None:
        self._client = client
        self._proxies = [ip_network(each) for each in proxies]
        self._keys: dict[str, ApiKey] = {}
        self._read_at = float("-inf")
        self._reading: asyncio.Task[None] | None = None
        self._used_ms: dict[str, int] = {}
        self._noted_at = time.monotonic()

    async def of_request(self, request: web.BaseRequest) -> ApiKey:
        """The key that a request bears, after its rate of requests.

        Raises:
            Problem: 401, 403, 429, or 503 where Redis is away.
        """
        header = request.headers.get("Authorization", "")
        if header[: len(_BEARER)].lower() != _BEARER:
            raise _unauthorized("send a key: Authorization: Bearer smk_…")
        return await self.of_token(header[len(_BEARER) :].strip(), request)

    async def of_token(self, token: str, request: web.BaseRequest) -> ApiKey:
        """The key that a token is, for requests that carry it elsewhere. Raises as `of_request`."""
        key = await self._known(token)
        if key is None:
            raise _unauthorized("this key is not known, or not good any more")
        if not key.lets_in(self.peer_of(request)):
            raise Problem("forbidden", "the key may not be used from this address")
        self._used_ms[key.id] = clock_ms()
        if key.requests_per_s is not None:
            wait_s = await self._client.admit_key(key, requests=1)
            if wait_s:
                detail = f"the key may make {key.requests_per_s:,} requests a second"
                raise Problem("rate_limited", detail, retry="after", retry_after_s=wait_s)
        return key

    def peer_of(self, request: web.BaseRequest) -> str:
        """The address that a request comes from: the last one in X-Forwarded-For that is no proxy of ours."""
        peer = request.remote or ""
        if not self._proxies:
            return peer
        forwarded = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
        while forwarded and self._is_proxy(peer):
            peer = forwarded.pop().strip() or peer
        return peer

    def _is_proxy(self, address: str) -> bool:
        try:
            found = ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self._proxies)

    async def _known(self, token: str) -> ApiKey | None:
        key_id = id_in(token) if len(token) <= _LONGEST_TOKEN_CHARS else None
        if key_id is None:
            return None
        now = time.monotonic()
        await self._read_since(now - READ_EVERY_S)
        if key_id not in self._keys or not self._fits(token, key_id):
            await self._read_since(now)  # it may have been made this very moment
        return self._keys[key_id] if key_id in self._keys and self._fits(token, key_id) else None

    def _fits(self, token: str, key_id: str) -> bool:
        return self._keys[key_id].is_it(digest_of(token), clock_ms())

    async def _read_since(self, at: float) -> None:
        """Have the keys as they were at a time or later. One reading goes at a time, and is everybody's."""
        while self._read_at < at:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read_now())
            try:
                await asyncio.shield(self._reading)
            except StoreError as error:
                raise problem_of(error) from None

    async def _read_now(self) -> None:
        # Whoever guesses keys waits for the next reading, and makes no more of them.
        await asyncio.sleep(max(0.0, self._read_at + APART_S - time.monotonic()))
        began = time.monotonic()
        self._keys = await self._client.read_keys()
        self._read_at = began
        if began - self._noted_at >= NOTE_EVERY_S:
            await self.note()

    async def note(self) -> None:
        """Write down when keys were used. A Redis that is away is told the next time."""
        used, self._used_ms = self._used_ms, {}
        self._noted_at = time.monotonic()
        if used:
            with suppress(StoreError):
                await self._client.note_keys_used(used)


RING: Final = web.AppKey("ring", KeyRing)


def check_scope(key: ApiKey, scope: Scope | None, *, whole: bool = False) -> None:
    """Refuse what a key may not do.

    Args:
        key: whose request it is.
        scope: what it needs; None is any key.
        whole: it concerns all accounts, which a key of some does not see.

    Raises:
        Problem: 403, naming what it lacks.
    """
    if scope is not None and not key.may(scope):
        raise Problem("forbidden", f"the key has not the scope {scope}")
    if whole and key.accounts:
        raise Problem("forbidden", "the key is for some accounts, and this concerns all of them")


def _unauthorized(detail: str) -> Problem:
    return Problem("unauthorized", detail, headers={"WWW-Authenticate": 'Bearer realm="sendmill"'})
