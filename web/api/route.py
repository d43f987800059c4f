"""One table says of each route what it takes, gives and needs: the server, the document and the tests go by it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

import msgspec
import structlog
from aiohttp import web

from sendmill.access.apikeys import ApiKey, Scope
from sendmill.actor import Actor
from sendmill.async_client import AsyncClient
from sendmill.errors import SendmillError
from sendmill.numbers import mask
from web.api.access import RING, KeyRing, check_scope
from web.api.bodies import convert_query, media_type, read_json
from web.api.problems import Problem, problem_of
from web.context import Context

NO_STORE: Final = {"Cache-Control": "no-store"}
_encode: Final = msgspec.json.Encoder().encode
_JSON_HEADERS: Final = {**NO_STORE, "Content-Type": "application/json"}

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class Call:
    """A request that may be answered: its key was looked at, its query and its body are of their types."""

    request: web.Request
    context: Context
    key: ApiKey
    query: Any
    body: Any

    @property
    def acting(self) -> AsyncClient:
        """The client for what changes something: the audit has it under the key's name."""
        address = self.request.app[RING].peer_of(self.request)
        return self.context.client.acting(Actor(f"{self.key.name} ({self.key.id})", "api", address))

    def named(self, part: str) -> str:
        """A part of the address."""
        return self.request.match_info[part]

    def number(self, to: str) -> str:
        """A number as this key may see it."""
        return to if self.key.may(Scope.READ_NUMBERS) else mask(to)

    def needs(self, scope: Scope) -> None:
        """Refuse a key that has not a further scope. Raises Problem."""
        check_scope(self.key, scope)

    def sees(self, account: str | None) -> bool:
        """Whether its key knows of an account."""
        return not self.key.accounts or account in self.key.accounts


@dataclass(frozen=True, slots=True)
class Answer:
    """What a handler gives where the route's usual status and headers do not do."""

    body: msgspec.Struct
    status: int
    headers: Mapping[str, str]


Given = msgspec.Struct | Answer | web.StreamResponse | None
Handler = Callable[[Call], Awaitable[Given]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method at one address.

    `scope` is what its key needs (None: any key), `whole` that it concerns all accounts. `query`, `body` and `answer`
    are types; no answer is status 204. `also` are answers with other statuses. `takes` and `gives` are further media
    types of the body and of the answer.
    """

    method: Literal["GET", "POST", "PUT", "DELETE"]
    path: str
    name: str
    summary: str
    handle: Handler
    scope: Scope | None
    whole: bool = False
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    answer: type[msgspec.Struct] | None = None
    status: int = 200
    also: Mapping[int, tuple[type[msgspec.Struct], ...]] | None = None
    takes: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    parts: Mapping[str, str] | None = None
    """What each part of the address is."""


def served(route: Route, context: Context, ring: KeyRing) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """The coroutine that answers a route's requests, whatever comes."""
    decoder = None if route.body is None else msgspec.json.Decoder(route.body)

    async def given(request: web.Request) -> Given:
        key = await ring.of_request(request)
        check_scope(key, route.scope, whole=route.whole)
        query = _query(request, route.query)
        streamed = route.takes and media_type(request) in route.takes
        body: msgspec.Struct | None = None
        if decoder is not None and not streamed:
            body = await read_json(request, decoder)
        return await route.handle(Call(request, context, key, query, body))

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return _response(route, await given(request))
        except Problem as problem:
            return problem.response()
        except SendmillError as error:
            return problem_of(error).response()
        except Exception:
            log.exception("a request broke its handler", route=route.name)
            return Problem("internal", "a fault of ours: it is in the log", retry="same_key").response()

    return answer


def _response(route: Route, found: Given) -> web.StreamResponse:
    match found:
        case web.StreamResponse():
            return found
        case None:
            return web.Response(status=204, headers=NO_STORE)
        case Answer():
            headers = {**_JSON_HEADERS, **found.headers}
            return web.Response(status=found.status, body=_encode(found.body), headers=headers)
    return web.Response(status=route.status, body=_encode(found), headers=_JSON_HEADERS)


@cache
def _unasked(wanted: type[msgspec.Struct]) -> msgspec.Struct:
    """What a query is of which nothing was said. Raises Problem where something has to be."""
    return convert_query({}, wanted)


def _query(request: web.Request, wanted: type[msgspec.Struct] | None) -> Any:
    if wanted is not None and not request.query_string:
        return _unasked(wanted)
    if wanted is None:
        if request.query_string:
            raise Problem("invalid_request", "this address takes no query")
        return None
    return convert_query(request.query, wanted)
