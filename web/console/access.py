"""Who may come in, and what a browser is told: logins, rights, where a change may come from, headers.

Nothing is kept of a login: a browser sends it each time, or a proxy before us does. So there is no session to steal,
and a change is let through where the browser itself says that our own page asks for it.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from typing import Final

from aiohttp import web

from config.settings import Web
from sendmill.access.passwords import fits
from sendmill.actor import Actor, this_person
from web.api.access import RING

VIEW, REVEAL, SEND, OPERATE, ADMIN = "view", "reveal", "send", "operate", "admin"
ALL: Final = frozenset({VIEW, REVEAL, SEND, OPERATE, ADMIN})

HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every page."""

_LOOPBACK_NAMES: Final = frozenset({"localhost", "127.0.0.1", "[::1]", "::1"})
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_PORT: Final = re.compile(r":\d+$")

_TRIES, _TRIES_S = 10, 60.0
_MOST_ADDRESSES = 10_000
_KNOWN_S = 300.0
_MOST_KNOWN = 1_000


@dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who was let in."""

    name: str
    rights: frozenset[str]
    address: str

    def may(self, right: str) -> bool:
        """Whether they may do something."""
        return right in self.rights or ADMIN in self.rights

    @property
    def actor(self) -> Actor:
        """Who they are in the audit."""
        return Actor(self.name, "console", self.address)


class Throttle:
    """Lets an address try so many wrong logins a minute, at this process."""

    def __init__(self) -> None:
        self._failures: dict[str, deque[float]] = {}

    def is_full(self, address: str) -> bool:
        """Whether it has tried too often."""
        failures = self._failures.get(address)
        if failures is None:
            return False
        while failures and failures[0] < time.monotonic() - _TRIES_S:
            failures.popleft()
        if not failures:
            del self._failures[address]
        return len(failures) >= _TRIES

    def note(self, address: str) -> None:
        """It tried in vain."""
        if len(self._failures) >= _MOST_ADDRESSES:
            self._failures.pop(next(iter(self._failures)))
        self._failures.setdefault(address, deque(maxlen=_TRIES)).append(time.monotonic())


class Doors:
    """Decides about each request.

    Args:
        settings: `[web]`.
    """

    def __init__(self, settings: Web) -> None:
        self._settings = settings
        self._throttle = Throttle()
        self._known: dict[bytes, tuple[str, float]] = {}
        self._networks = [ip_network(each) for each in settings.proxy.networks] if settings.proxy else []

    def prefix(self, request: web.Request) -> str:
        """The path before every address of ours, as the proxy says it."""
        told = request.headers.get("X-Forwarded-Prefix", "").rstrip("/")
        return told if told and _PREFIX.fullmatch(told) else self._settings.prefix

    def enter(self, request: web.Request) -> Visitor:
        """Let somebody in. May take a tenth of a second, so call it in a thread.

        Raises:
            web.HTTPException: 401 without a login, 403 for who may not, 421 for another host's name, 429 after too many
                wrong logins.
        """
        ring = request.app.get(RING)
        address = (request.remote or "") if ring is None else ring.peer_of(request)
        if request.method not in {"GET", "HEAD"} and not _is_ours(request):
            raise web.HTTPForbidden(text="a change has to come from a page of the console\n")
        match self._settings.auth:
            case "basic":
                visitor = self._by_password(request, address)
            case "proxy":
                visitor = self._by_proxy(request, address)
            case _:
                visitor = _by_loopback(request, address)
        if not visitor.may(VIEW):
            raise web.HTTPForbidden(text="you may not see this console\n")
        return visitor

    def _by_password(self, request: web.Request, address: str) -> Visitor:
        if self._throttle.is_full(address):
            raise web.HTTPTooManyRequests(text="too many wrong logins: wait a minute\n", headers={"Retry-After": "60"})
        told = request.headers.get("Authorization", "")
        if told:
            name = self._named(told)
            if name is not None:
                return Visitor(name, frozenset(self._settings.users[name].rights), address)
            self._throttle.note(address)
        raise web.HTTPUnauthorized(
            text="log in\n", headers={"WWW-Authenticate": 'Basic realm="sendmill", charset="UTF-8"'}
        )

    def _named(self, authorization: str) -> str | None:
        """The user whose login this is. One that was right lately is not reckoned again."""
        digest = hashlib.sha256(authorization.encode()).digest()
        known = self._known.get(digest)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        try:
            name, _, password = (
                base64.b64decode(authorization.removeprefix("Basic "), validate=True).decode().partition(":")
            )
        except (binascii.Error, ValueError):
            return None
        user = self._settings.users.get(name)
        # A name that there is not takes as long as a wrong password.
        line = (user or next(iter(self._settings.users.values()))).password.get_secret_value()
        if not fits(password, line) or user is None:
            return None
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[digest] = name, time.monotonic() + _KNOWN_S
        return name

    def _by_proxy(self, request: web.Request, address: str) -> Visitor:
        proxy = self._settings.proxy
        assert proxy is not None, "the settings say so"
        secret = request.headers.get(proxy.secret_header, "")
        is_right = hmac.compare_digest(secret.encode(), proxy.secret.get_secret_value().encode())
        peer = ip_address(request.remote or "")
        if not is_right or not any(peer in network for network in self._networks):
            raise web.HTTPForbidden(text="this comes by another way than the proxy\n")
        name = request.headers.get(proxy.user_header, "").strip()
        if not name:
            raise web.HTTPUnauthorized(text="the proxy names nobody\n")
        groups = re.split(r"[,;\s]+", request.headers.get(proxy.groups_header, ""))
        came_from = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip() or address
        return Visitor(name, _rights_of(groups, proxy.groups), came_from)


def _by_loopback(request: web.Request, address: str) -> Visitor:
    # A page of somebody else whose name leads here may not read what only this machine's people may.
    host = _PORT.sub("", request.host)
    if host not in _LOOPBACK_NAMES:
        raise web.HTTPMisdirectedRequest(text="call it localhost or 127.0.0.1, or set [web] auth\n")
    return Visitor(this_person("console").name, ALL, address)


def _rights_of(groups: list[str], known: Mapping[str, object]) -> frozenset[str]:
    rights: set[str] = set()
    for group in groups:
        rights.update(map(str, known.get(group, ())))  # type: ignore[call-overload]
    return frozenset(rights)


def _is_ours(request: web.Request) -> bool:
    """Whether the browser says that our own page asks for a change; one that says nothing of it names an origin."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("Origin", "")
    return origin.partition("://")[2] == request.host and origin != ""


DOORS: Final = web.AppKey("doors", Doors)
"""Of an application that has a console."""
