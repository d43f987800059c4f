"""Who comes into the console, what a browser is told, and what no page of somebody else can do."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import SecretStr

from config.settings import Settings, Web, WebProxy, WebUser
from sendmill.access.passwords import fits, hashed
from sendmill.errors import ConfigError
from simulator.embedded import EmbeddedValkey
from tests.support.api import Api, serving
from tests.support.rows import opened, settings_of
from workers.web import listening_address, with_auth

ANYWHERE = "0.0.0.0"  # noqa: S104 - what must not be listened on
OURS = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/x-www-form-urlencoded"}
SECRET = "a-secret-of-the-proxy"
LINE = hashed("open sesame")
PAUSE, REASON = "/accounts/bulk/pause", b"reason=a+test"


def _with(settings: Settings, **web: Any) -> Settings:
    return settings.model_copy(update={"web": Web(**web)})


@pytest.fixture
async def console(settings: Settings) -> AsyncIterator[Api]:
    """A console for whoever is on this machine."""
    async with opened(settings), serving(settings) as api:
        yield api


async def _get(api: Api, path: str, **headers: str) -> Any:
    return await api.get(path, token=None, headers={name.replace("_", "-"): value for name, value in headers.items()})


async def test_every_page_says_what_a_browser_may_do(console: Api) -> None:
    """No script but ours, no frame, no store; files of ours may be kept for ever and are what their address says."""
    pages = ["/", "/jobs", "/find", "/send", "/live", "/accounts/bulk", "/nothing-here.json", "/jobs/nojob"]
    for path in pages[:-2]:
        said = await _get(console, path)
        assert 200 == said.status, path
        assert "no-store" == said.headers["Cache-Control"]
        policy = said.headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        body = said.raw.decode()
        assert not re.search(r"<script(?![^>]*\ssrc=)|\sstyle=|\son\w+=|javascript:", body), path
    assert 404 == (await _get(console, "/jobs/nojob")).status
    told = await _get(console, "/?done=done.paused")  # an address that somebody made up
    assert (200, True) == (told.status, "– is paused." in told.raw.decode())
    front = (await _get(console, "/")).raw.decode()
    for file in re.findall(r'"(/static/[^"]+)"', front):
        said = await _get(console, file)
        assert (200, True) == (said.status, "immutable" in said.headers["Cache-Control"])
    assert 404 == (await _get(console, "/static/0000000000000000/console.js")).status


async def test_each_page_has_a_twin_in_json(console: Api) -> None:
    """Of the same name, with the same numbers; what went wrong too."""
    twins = ["/now.json", "/jobs.json", "/accounts/bulk.json", "/alerts.json", "/workers.json", "/audit.json"]
    for path in [*twins, "/errors.json", "/delivery.json", "/unconfirmed.json", "/replies.json", "/optouts.json"]:
        said = await _get(console, path)
        assert (200, True) == (said.status, isinstance(said.body, dict)), path
    assert ["bulk", "mainland"] == sorted(
        each["info"]["name"] for each in (await _get(console, "/now.json")).body["accounts"]
    )
    said = await _get(console, "/jobs/nojob.json")
    assert (404, True) == (said.status, "nojob" in said.body["error"])


async def test_a_change_comes_from_our_own_page_or_not_at_all(console: Api) -> None:
    """By what the browser says of it; no GET changes anything; a reason is asked for."""

    def paused() -> set[str]:
        return {each.name for each in console.client.accounts() if each.state == "paused"}

    form = {"Content-Type": OURS["Content-Type"]}
    strangers = (
        {**form, "Sec-Fetch-Site": "cross-site", "Origin": console.url},
        {**form, "Sec-Fetch-Site": "same-site"},
        {**form, "Sec-Fetch-Site": "none"},
        {**form, "Origin": "http://evil.example"},
        {**form, "Origin": "null"},
        form,
    )
    for headers in strangers:
        assert 403 == (await console.post(PAUSE, REASON, token=None, headers=headers)).status, headers
    for path in (PAUSE, "/settle", "/optouts/add", "/alerts/resolve", "/preferences", "/send/confirm", "/forget"):
        assert (await _get(console, path)).status in {404, 405}, path
    assert 400 == (await console.post(PAUSE, b"reason=+", token=None, headers=OURS)).status
    assert set() == await asyncio.to_thread(paused)
    assert {"add_key"} == {entry.action for entry in await asyncio.to_thread(console.client.audit)}
    assert 200 == (await console.post(PAUSE, REASON, token=None, headers=OURS)).status  # after the redirect
    assert {"bulk"} == await asyncio.to_thread(paused)
    from_origin = {**form, "Origin": console.url}
    assert 200 == (await console.post("/accounts/bulk/resume", REASON, token=None, headers=from_origin)).status
    assert set() == await asyncio.to_thread(paused)


async def test_only_this_machine_and_by_its_own_name(console: Api, settings: Settings) -> None:
    """A name that somebody lets lead here reaches nothing; nor does another address without a login start."""
    assert 421 == (await _get(console, "/", Host="evil.example")).status
    assert 421 == (await _get(console, "/metrics", Host="evil.example:8090")).status
    assert 200 == (await _get(console, "/", Host="localhost:8090")).status
    local = with_auth(settings, {})
    assert ("127.0.0.1", 8090) == listening_address(local, {})
    with pytest.raises(ConfigError, match="would be open to whoever reaches it"):
        listening_address(local, {"SENDMILL_WEB_HOST": ANYWHERE})
    away = with_auth(settings, {"SENDMILL_WEB_AUTH": "off"})
    assert ANYWHERE == listening_address(away, {"SENDMILL_WEB_HOST": ANYWHERE})[0]
    async with serving(away) as api:
        assert [404, 404, 200] == [(await _get(api, path)).status for path in ("/", "/jobs", "/healthz")]
    for wrong in ("basic", "proxy", "everybody"):
        with pytest.raises(ConfigError, match="SENDMILL_WEB_AUTH"):
            with_auth(settings, {"SENDMILL_WEB_AUTH": wrong})


async def test_a_login_opens_what_its_rights_say(settings: Settings) -> None:
    """A viewer sees masked numbers and changes nothing; wrong passwords are slowed down; a password is never kept."""
    users = {
        "ann": WebUser(password=SecretStr(LINE), rights=["view", "operate"]),
        "bo": WebUser(password=SecretStr(LINE)),
    }
    async with opened(settings), serving(_with(settings, auth="basic", users=users)) as api:
        assert 401 == (await _get(api, "/")).status
        assert 401 == (await _get(api, "/metrics")).status
        ann, bo, wrong, nobody = (
            {"Authorization": f"Basic {token}"}
            for token in map(_token, ("ann:open sesame", "bo:open sesame", "bo:guess", "eve:open sesame"))
        )
        assert [200, 200, 401, 401] == [
            (await api.get("/", token=None, headers=each)).status for each in (ann, bo, wrong, nobody)
        ]
        assert 403 == (await api.post(PAUSE, REASON, token=None, headers={**OURS, **bo})).status
        assert 403 == (await api.get("/audit", token=None, headers=ann)).status
        assert "Pause" not in (await api.get("/accounts/bulk", token=None, headers=bo)).raw.decode()
        assert 200 == (await api.post(PAUSE, REASON, token=None, headers={**OURS, **ann})).status
        assert "ann" == (await asyncio.to_thread(api.client.audit))[0].actor
        for _ in range(8):
            await api.get("/", token=None, headers=wrong)
        assert 429 == (await api.get("/", token=None, headers=wrong)).status
        assert 200 == (await api.get("/v1/accounts")).status  # the API has its own keys
    assert fits("open sesame", LINE)
    assert not fits("open sesame ", LINE)
    assert not fits("open sesame", "nonsense")


def _token(login: str) -> str:
    return base64.b64encode(login.encode()).decode()


async def test_a_proxy_is_believed_by_its_address_and_its_secret(settings: Settings) -> None:
    """Both; groups say the rights; who is in none sees nothing; the prefix is the proxy's."""
    proxy = WebProxy(networks=["127.0.0.0/8"], secret=SecretStr(SECRET), groups={"ops": ["view", "operate"]})
    known = {"X-Sendmill-Secret": SECRET, "X-Forwarded-User": "carol", "X-Forwarded-Groups": "staff, ops"}
    async with opened(settings), serving(_with(settings, auth="proxy", proxy=proxy)) as api:
        assert 200 == (await api.get("/", token=None, headers=known)).status
        for change in ({"X-Sendmill-Secret": "guess"}, {"X-Forwarded-Groups": "staff"}, {"X-Forwarded-User": ""}):
            assert (await api.get("/", token=None, headers={**known, **change})).status in {401, 403}, change
        assert 403 == (await _get(api, "/", X_Forwarded_User="carol")).status
        there = {**known, "X-Forwarded-Prefix": "/sms", "X-Forwarded-For": "192.0.2.7"}
        assert 'href="/sms/jobs"' in (await api.get("/", token=None, headers=there)).raw.decode()
        evil = {**known, "X-Forwarded-Prefix": '/"><script>'}
        assert "<script>" not in (await api.get("/", token=None, headers=evil)).raw.decode().replace("<script src", "")
        await api.post(PAUSE, REASON, token=None, headers={**OURS, **there})
        entry = (await asyncio.to_thread(api.client.audit))[0]
        assert ("carol", "192.0.2.7") == (entry.actor, entry.address)
    elsewhere = proxy.model_copy(update={"networks": ["10.0.0.0/8"]})
    async with serving(_with(settings, auth="proxy", proxy=elsewhere)) as api:
        assert 403 == (await api.get("/", token=None, headers=known)).status


async def test_a_preference_leads_back_to_us_alone(console: Api) -> None:
    """Language and theme are cookies; where somebody goes then is an address of ours."""
    for back, there in (("/jobs", "/jobs"), ("https://evil.example/", "/"), ("//evil.example", "/"), ("/\\evil", "/")):
        body = f"language=zh-Hant&theme=dark&back={back}".encode()
        async with console.session.post(
            f"{console.url}/preferences", data=body, headers=OURS, allow_redirects=False
        ) as answer:
            assert (303, there) == (answer.status, answer.headers["Location"])
            assert {"zh-Hant", "dark"} == {each.value for each in answer.cookies.values()}


async def test_where_redis_is_away_a_page_says_so(own_valkey: EmbeddedValkey, namespace: str) -> None:
    """503 and a sentence, as a page and as JSON; what was asked to be changed is not said to be."""
    settings = settings_of(own_valkey.redis_url, namespace, "bulk")
    async with serving(settings) as api:
        await asyncio.to_thread(own_valkey.stop)
        page, twin = await _get(api, "/"), await _get(api, "/now.json")
        assert {503} == {page.status, twin.status}
        assert "Redis" in twin.body["error"]
        assert "Traceback" not in page.raw.decode()
        assert 503 == (await api.post(PAUSE, REASON, token=None, headers=OURS)).status
        await asyncio.to_thread(own_valkey.start)


async def test_what_a_key_changes_stands_in_the_same_audit(console: Api) -> None:
    """Under the key's name; keys that are made and ended too."""
    assert 204 == (await console.post("/v1/accounts/bulk/pause")).status
    assert 204 == (await console.post("/v1/accounts/bulk/resume")).status
    resumed, paused, made = await asyncio.to_thread(console.client.audit)
    assert ["add_key", "pause", "resume"] == [made.action, paused.action, resumed.action]
    assert ("api", "bulk", "active", "paused", "127.0.0.1") == (
        paused.via,
        paused.target,
        paused.before,
        paused.after,
        paused.address,
    )
    assert paused.actor.startswith("of a test (")
