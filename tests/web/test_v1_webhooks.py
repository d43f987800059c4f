"""`/v1/webhooks`: set up, looked at and ended over HTTP, for addresses of the Internet alone."""

from __future__ import annotations

from tests.support.api import Api

ADDRESS = "https://localhost:9/events"
"""A name, which leads to this machine: that is seen when it is connected to."""


async def test_a_webhook_from_its_secret_to_its_end(api: Api) -> None:
    """The secret is told when it is made or changed, and nowhere else; a name that leads here gets no connection."""
    made = await api.post("/v1/webhooks", {"name": "crm", "url": ADDRESS, "kinds": ["report"], "states": ["failed"]})
    assert (201, "crm") == (made.status, made.body["name"])
    rotated = await api.post("/v1/webhooks/crm/rotate", {"old_for_h": 1})
    assert rotated.body["secret"] != made.body["secret"]
    tested = await api.post("/v1/webhooks/crm/test")
    assert (200, False, None, "private_address") == (
        tested.status,
        tested.body["ok"],
        tested.body["status"],
        tested.body["error"],
    )
    listed = await api.get("/v1/webhooks")
    (webhook,) = listed.body["webhooks"]
    assert ("crm", ADDRESS, ["report"], ["failed"], None) == (
        webhook["name"],
        webhook["url"],
        webhook["kinds"],
        webhook["states"],
        webhook["disabled"],
    )
    (delivery,) = (await api.get("/v1/webhooks/crm/deliveries?limit=5")).body["deliveries"]
    assert tested.body == delivery
    assert "whsec_" not in str([listed.body, delivery])
    steps = [await api.post(f"/v1/webhooks/crm/{step}") for step in ("disable", "enable")]
    steps.append(await api.post("/v1/webhooks/crm/replay", {"since": "2026-01-01T00:00:00Z"}))
    steps.append(await api.ask("DELETE", "/v1/webhooks/crm"))
    assert [204] * 4 == [each.status for each in steps]
    assert {"webhooks": []} == (await api.get("/v1/webhooks")).body
    assert "no_such_webhook" == (await api.post("/v1/webhooks/crm/test")).code


async def test_a_private_address_is_refused(api: Api) -> None:
    """Whoever has a key is not on the machine: from here it is not allowed at all."""
    for url in ("https://127.0.0.1/", "https://[::1]/", "http://crm.example.com/", "https://169.254.169.254/latest"):
        refused = await api.post("/v1/webhooks", {"name": "crm", "url": url})
        assert (422, "invalid_option") == (refused.status, refused.code)
        assert url not in str(refused.body)
    private = await api.post("/v1/webhooks", {"name": "crm", "url": ADDRESS, "allow_private": True})
    assert 400 == private.status
