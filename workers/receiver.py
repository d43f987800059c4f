"""What vendors push: checked, stored raw, acknowledged. Nothing is folded here; a worker does that within a second.

The address is `/push/<account>/<token>`, by POST or GET. What is not stored is not acknowledged: a full inbox or a
Redis that is away is answered with 503, so that a vendor that repeats its pushes does. Most vendors never repeat one,
so such a push is kept on disk as well until Redis takes it. One that then comes twice is folded twice: no harm.

`/media/` gives vendors the files that they are to fetch: see `workers.files`.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import unquote, unquote_to_bytes

import redis.asyncio
import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError
from redis.exceptions import RedisError

from config.settings import Settings
from providers import registry
from providers.base import Ack, Proof, Provider, Push
from providers.pushes import push_warning
from sendmill.errors import PushRefused
from sendmill.ledger.keys import READY_KEPT_MS, AccountKeys, JobKeys
from tasks.process import alerts
from tasks.report.inbox import Entry, Inbox, InboxFull, Writer, entry_of_push
from tasks.report.spool import Spool
from workers import files

MAX_BODY_BYTES = 1_000_000
"""The largest documented push (xioo, 200 numbers) has some kilobytes."""

MAX_BODIES_BYTES = 64_000_000
"""Bodies that may be in memory at once; more hear 503."""

BODY_S = 10.0
"""A body that is not here by then is not waited for."""

STORE_S = 5.0
"""Redis has so long to store; vendors wait 10 s and less."""

RETRY_AFTER_S = 10

_READY_S = 2.0
_REFUSALS_TOLD_S = 60.0
_ABSOLUTE = re.compile(r"^https?://[^/?]*", re.IGNORECASE)
"""A target may name the host too (RFC 9112, 3.2.2)."""

_METHODS = frozenset({"GET", "POST"})
_PARTS = 3  # push, account, token

log = structlog.get_logger(__name__)


class _NotTaken(Exception):
    """A request that is answered without being stored."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Receiving:
    """An account that vendors may push to."""

    name: str
    keys: AccountKeys
    provider: Provider
    inbox: Inbox
    writer: Writer
    spool: Spool
    warning: str
    tokens: tuple[bytes, ...]


class Receiver:
    """Answers requests.

    Args:
        settings: whose accounts with a push_token have an address here.
        server: where pushes are stored; it need not answer yet.
    """

    def __init__(self, settings: Settings, server: redis.asyncio.Redis) -> None:
        self._server = server
        self._namespace = settings.namespace
        self._accounts = {
            name: _receiving(settings, server, name)
            for name, account in settings.accounts.items()
            if account.push_token
        }
        self._tokens = [
            (name, hashlib.sha256(token.get_secret_value().encode()).digest())
            for name in self._accounts
            for token in settings.accounts[name].push_token
        ]
        self._body_bytes = 0
        self._counted: Counter[tuple[str, int]] = Counter()
        self._refusal_told_at: dict[str, float] = {}

    def warn(self) -> None:
        """Say of each account why somebody else than its vendor might push to it."""
        for name, account in sorted(self._accounts.items()):
            if account.warning:
                log.warning("PUSHES OF AN ACCOUNT ARE NOT WELL GUARDED", account=name, why=account.warning)

    @property
    def accounts(self) -> list[str]:
        """The accounts that have an address here."""
        return sorted(self._accounts)

    @property
    def spools(self) -> list[tuple[Spool, Inbox]]:
        """The spool of each account on this machine, and the inbox that it comes back to."""
        return [(account.spool, account.inbox) for account in self._accounts.values()]

    async def close(self) -> None:
        """Give up stores that hang."""
        for account in self._accounts.values():
            await account.writer.close()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer a request, whatever it is, and count it."""
        path, _, query = _ABSOLUTE.sub("", request.raw_path, count=1).partition("?")
        if path in ("/healthz", "/readyz"):
            return await self._healthy(path)
        account = "-"
        if path.startswith(files.PATH):
            response = await files.file_at(self._server, self._namespace, request, path)
            self._counted[account, response.status] += 1
            return response
        try:
            receiving = self._account_at(path)
            account = receiving.name
            response = await self._receive(receiving, request, query)
        except _NotTaken as refusal:
            log.info(
                "push not taken", account=account, status=refusal.status, reason=refusal.reason, peer=request.remote
            )
            response = web.Response(status=refusal.status, text=f"{refusal.reason}\n")
            if refusal.status == web.HTTPServiceUnavailable.status_code:
                response.headers["Retry-After"] = str(RETRY_AFTER_S)
        except Exception:
            log.exception("a push broke the receiver", account=account)
            response = web.Response(status=500, text="not stored\n")
        self._counted[account, response.status] += 1
        return response

    def take_counts(self) -> list[tuple[str, dict[str, int]]]:
        """What was answered since the last time, by account: answers by status."""
        counted, self._counted = self._counted, Counter()
        accounts = sorted({account for account, _ in counted})
        return [
            (account, {str(status): many for (name, status), many in sorted(counted.items()) if name == account})
            for account in accounts
        ]

    # --- one push ------------------------------------------------------------------------------------------------

    def _account_at(self, path: str) -> Receiving:
        """The account of an address. Every token is compared, so that the time tells nothing, not even which accounts
        there are."""
        parts = path.strip("/").split("/")
        if len(parts) != _PARTS or parts[0] != "push":
            raise _NotTaken(404, "no such address")
        name = unquote(parts[1])
        given = hashlib.sha256(unquote_to_bytes(parts[2])).digest()
        found = None
        for account, expected in self._tokens:
            if hmac.compare_digest(given, expected) & (account == name):
                found = account
        if found is None:
            raise _NotTaken(404, "no such address")
        return self._accounts[found]

    async def _receive(self, account: Receiving, request: web.BaseRequest, query: str) -> web.Response:
        if request.method not in _METHODS:
            raise _NotTaken(405, "a push comes by POST or GET")
        size_bytes = request.content_length if request.content_length is not None else MAX_BODY_BYTES
        if not request.can_read_body:
            size_bytes = 0
        if size_bytes > MAX_BODY_BYTES:
            raise _NotTaken(413, "too large")
        if self._body_bytes + size_bytes > MAX_BODIES_BYTES:
            raise _NotTaken(503, "too much at once")
        self._body_bytes += size_bytes
        try:
            push = Push(
                method=request.method,
                query=query.encode("utf-8", "surrogateescape"),
                headers={name.lower(): value for name, value in request.headers.items()},
                body=await _body(request) if size_bytes else b"",
            )
            if not push.body.strip() and not push.query:
                raise _NotTaken(400, "empty")
            proof = await self._check(account, push)
            kept = _without_tokens(account, account.provider.without_secrets(push))
            await self._store(account, entry_of_push(kept, proof))
        finally:
            self._body_bytes -= size_bytes
        ack = _ack(account, push)
        return web.Response(body=ack.body, status=ack.status, content_type=ack.content_type)

    async def _check(self, account: Receiving, push: Push) -> Proof | None:
        """Refuse what does not come from the vendor; returns its proof. What it says is read by who folds it."""
        try:
            account.provider.authenticate_push(push, datetime.now(UTC))
            return account.provider.proof(push)
        except PushRefused as refusal:
            await self._tell_refusal(account, refusal)
            raise _NotTaken(400, "not a push of this account's vendor") from None
        except Exception:
            # A provider promises to raise nothing else. What it cannot read is stored, and quarantined by the fold.
            log.exception("a push broke its parser", account=account.name)
            return None

    async def _tell_refusal(self, account: Receiving, refusal: PushRefused) -> None:
        """Whoever pushed knows the token: so it is the vendor, and something is set up wrongly."""
        now = asyncio.get_running_loop().time()
        if now - self._refusal_told_at.get(account.name, -_REFUSALS_TOLD_S) < _REFUSALS_TOLD_S:
            return
        self._refusal_told_at[account.name] = now
        log.warning("a push was refused", account=account.name, reason=str(refusal))
        try:
            async with asyncio.timeout(_READY_S):
                detail = f"a push was refused: {refusal}"
                await alerts.open_alert(self._server, account.keys, alerts.UNREADABLE_REPORT, detail)
        except (RedisError, TimeoutError):
            self._refusal_told_at.pop(account.name, None)

    async def _store(self, account: Receiving, entry: Entry) -> None:
        try:
            async with asyncio.timeout(STORE_S):
                await account.writer.store(entry)
        except InboxFull:
            await self._spool(account, entry)
            raise _NotTaken(503, "the inbox is full") from None
        except (RedisError, TimeoutError) as error:
            log.debug("a push was not stored", account=account.name, error=type(error).__name__)
            await self._spool(account, entry)
            raise _NotTaken(503, "not stored") from None
        except Exception:
            log.exception("storing a push broke", account=account.name)
            await self._spool(account, entry)
            raise _NotTaken(503, "not stored") from None

    async def _spool(self, account: Receiving, entry: Entry) -> None:
        try:
            await account.spool.write(entry)
        except OSError as error:
            log.error("a push was lost unless its vendor repeats it", account=account.name, error=type(error).__name__)  # noqa: TRY400 - the disk's error says all

    async def bring_back(self) -> None:
        """Store what lies on disk, once Redis answers again.

        Raises:
            redis.RedisError: Redis is away again.
        """
        for account in self._accounts.values():
            while await account.spool.bring_back(account.inbox):
                pass

    # --- health --------------------------------------------------------------------------------------------------

    async def redis_takes(self) -> bool:
        """Whether Redis takes something now; a master that was demoted answers still."""
        try:
            async with asyncio.timeout(_READY_S):
                await self._server.set(JobKeys(self._namespace).ready, 1, px=READY_KEPT_MS)
        except (RedisError, TimeoutError):
            return False
        return True

    async def _healthy(self, path: str) -> web.Response:
        if path == "/healthz" or await self.redis_takes():
            return web.Response(text="ok\n")
        return web.Response(status=503, text="Redis is away\n")


def _receiving(settings: Settings, server: redis.asyncio.Redis, name: str) -> Receiving:
    keys = AccountKeys(settings.namespace, name)
    provider = registry.build(name, settings.accounts[name])
    inbox = Inbox(server, keys, replicas=settings.replicas)
    warning = push_warning(provider, settings.accounts[name])
    tokens = tuple(token.get_secret_value().encode() for token in settings.accounts[name].push_token)
    return Receiving(name, keys, provider, inbox, Writer(inbox), Spool.of(settings.namespace, name), warning, tokens)


def _without_tokens(account: Receiving, push: Push) -> Push:
    """What is kept of a push does not open the door to the next one, wherever its sender wrote the token."""
    for token in account.tokens:
        if token in push.query or token in push.body:
            push = replace(push, query=push.query.replace(token, b""), body=push.body.replace(token, b""))
    return push


def _ack(account: Receiving, push: Push) -> Ack:
    try:
        return account.provider.ack(push)
    except Exception:
        log.exception("a push broke its acknowledgement", account=account.name)
        return Ack(b"ok")


async def _body(request: web.BaseRequest) -> bytes:
    body = bytearray()
    if request.headers.get("Expect", "").strip().lower() == "100-continue" and request.transport is not None:
        # Its sender waits a second or more for this (RFC 9110, 10.1.1).
        request.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    try:
        async with asyncio.timeout(BODY_S):
            async for part in request.content.iter_any():
                body += part
                if len(body) > MAX_BODY_BYTES:
                    raise _NotTaken(413, "too large")
    except TimeoutError:
        raise _NotTaken(408, "the body did not come in time") from None
    except (RequestPayloadError, ConnectionError):
        raise _NotTaken(400, "the body broke off") from None
    return bytes(body)
