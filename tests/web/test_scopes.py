"""Every route by every scope: what a key may do is what the table says, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from sendmill.access.apikeys import Scope
from tests.support.api import NUMBER, Api
from web.api import ROUTES

SMS = {"content": {"kind": "sms", "text": "Hello", "to": NUMBER}}
BODIES: Mapping[str, Any] = {
    "send": SMS,
    "estimate": SMS,
    "settle_job": {"verdict": "sent"},
    "settle": {"verdict": "sent"},
    "search": {"number": NUMBER},
    "limit": {"value": 5},
    "upload": {"url": "ftp://nowhere"},  # refused after the scope, before a worker is asked
    "resolve": {"account": "bulk", "code": "gap"},
    "opt_out": {"number": NUMBER},
    "opt_in": {"number": NUMBER},
    "import_optouts": b"+85298882844\n",
    "forget": {"number": "no number"},
    "ack_events": {"group": "g", "receipt": "none"},
    "segments": {"text": "Hello"},
    "create_key": {"name": "made", "scopes": ["read"]},
    "rotate_key": {},
    "add_webhook": {"name": "made", "url": "https://crm.example.com/events"},
    "rotate_webhook": {},
    "replay_webhook": {"since": "2026-01-01T00:00:00Z"},
}
QUERIES: Mapping[str, str] = {"events": "?group=g", "follow_events": "?group=white%20space"}
ADDRESSES = {
    "{job}": "none",
    "{message}": "none-1",
    "{account}": "none",
    "{limit}": "calls_per_s",
    "{key}": "none",
    "{webhook}": "none",
}
SENDS = frozenset({Scope.SEND_OTP, Scope.SEND_NORMAL, Scope.SEND_BULK})


async def _asked(api: Api, name: str, token: str | None, body: Any = None) -> tuple[int, str]:
    route = next(each for each in ROUTES if each.name == name)
    path = route.path
    for part, value in ADDRESSES.items():
        path = path.replace(part, value)
    headers = {"Content-Type": "text/plain"} if name == "import_optouts" else {}
    chosen = BODIES.get(name) if body is None else body
    said = await api.ask(route.method, path + QUERIES.get(name, ""), chosen, token=token, headers=headers)
    return said.status, said.code if said.status >= 400 else ""


def _may(scope: Scope, needed: Scope | None) -> bool:
    """What the scopes' document says."""
    return needed in {None, scope} or scope is Scope.ADMIN or (needed is Scope.READ and scope is Scope.READ_NUMBERS)


async def test_every_route_by_every_scope(api: Api) -> None:
    """A key of one scope is let in where the table has it, and hears 403 everywhere else."""
    keys = {scope: api.key(scope) for scope in Scope}
    wrong = []
    for route in ROUTES:
        for scope, token in keys.items():
            needed = Scope.SEND_NORMAL if route.name in {"send", "estimate"} else route.scope
            status, code = await _asked(api, route.name, token)
            if (status != 403) != _may(scope, needed) or (status == 403 and code != "forbidden"):
                wrong.append((route.name, scope, status))
    assert [] == wrong


async def test_without_a_key_nothing_is_told(api: Api) -> None:
    """No key, one that nobody made, one of the right form: 401 at every route, and no body is read."""
    unknown = "smk_abcdefgh_" + "x" * 43
    for route in ROUTES:
        for token in (None, "x", unknown):
            assert (401, "unauthorized") == await _asked(api, route.name, token, b"{not read")


async def test_each_lane_has_a_scope_of_its_own(api: Api) -> None:
    """A key of one lane sends in it and in no other."""
    for scope in sorted(SENDS):
        token = api.key(scope)
        for lane in ("otp", "normal", "bulk"):
            said = await api.post("/v1/jobs", SMS | {"lane": lane}, token=token)
            assert (202 if scope.endswith(lane) else 403) == said.status


async def test_a_key_of_some_accounts_sees_no_others(api: Api) -> None:
    """Neither their jobs nor what concerns all; where it has one account, its jobs go there."""
    token = api.key(*(scope.value for scope in Scope), accounts=["bulk"])
    for route in ROUTES:
        if route.whole:
            assert (403, "forbidden") == await _asked(api, route.name, token)
    own = await api.post("/v1/jobs", SMS, token=token)
    others = await api.post("/v1/jobs", SMS | {"account": "mainland"})
    refused = await api.post("/v1/jobs", SMS | {"account": "mainland"}, token=token)
    routed = await api.post("/v1/jobs", SMS | {"route": "default"}, token=token)
    assert [202, 202, 403, 403] == [each.status for each in (own, others, refused, routed)]
    listed = await api.get("/v1/jobs", token=token)
    assert [own.body["id"]] == [job["id"] for job in listed.body["jobs"]]
    assert "bulk" == (await api.get(own.body["links"]["job"], token=token)).body["account"]
    for path in (others.body["links"]["job"], others.body["links"]["messages"], f"/v1/messages/{others.body['id']}-1"):
        assert "no_such_job" == (await api.get(path, token=token)).code
    for path in (f"/v1/jobs/{others.body['id']}/cancel", "/v1/accounts/mainland/pause"):
        assert 404 == (await api.post(path, token=token)).status
    found = await api.post("/v1/messages/search", {"number": NUMBER}, token=token)
    assert {"bulk", None} >= {message["account"] for message in found.body["messages"]}
    assert ["bulk"] == [account["name"] for account in (await api.get("/v1/accounts", token=token)).body["accounts"]]


@pytest.mark.parametrize("scopes", [("send:normal", "read"), ("send:normal", "read:numbers")])
async def test_numbers_are_whole_for_who_may_read_them_alone(api: Api, scopes: tuple[str, ...]) -> None:
    """With `read` alone they are masked, wherever they stand."""
    token = api.key(*scopes)
    body = {"content": {"kind": "sms", "text": "Hello", "to": [NUMBER, "12345678901234"]}}
    job = (await api.post("/v1/jobs", body, token=token)).body
    said = [
        await api.get(job["links"]["messages"], token=token),
        await api.get(job["links"]["messages"], token=token, headers={"Accept": "text/csv"}),
        await api.get(job["links"]["messages"], token=token, headers={"Accept": "application/x-ndjson"}),
        await api.get(f"/v1/messages/{job['id']}-1", token=token),
        await api.post("/v1/messages/search", {"number": NUMBER}, token=token),
    ]
    assert {200} == {each.status for each in said}
    for each in said:
        assert ("read:numbers" in scopes) == (NUMBER.encode() in each.raw)
