"""Jobs as JSON: the same job as from Python, once under one key, refused as a whole or row by row."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from sendmill.errors import KeyConflict
from sendmill.messages import Sms
from tests.support.api import NUMBER, Api

SMS: dict[str, Any] = {"content": {"kind": "sms", "text": "Hello", "to": [NUMBER, "12"]}}


async def test_a_job_is_stored_and_told(api: Api) -> None:
    """Rows that are refused are named with a code; the job and its messages are where the answer says."""
    said = await api.post("/v1/jobs", SMS | {"lane": "otp", "ref": "login", "expires_in": 60})
    job = said.body
    assert (202, f"/v1/jobs/{job['id']}") == (said.status, said.headers["Location"])
    assert (2, 1, 1) == (job["total"], job["accepted"], job["refused_total"])
    ((row, code),) = [(each["row"], each["code"]) for each in job["refused"]]
    assert (2, "invalid_number") == (row, code)
    status = (await api.get(job["links"]["job"])).body
    assert (2, "otp", "login", None) == (status["total"], status["lane"], status["ref"], status["account"])
    messages = (await api.get(job["links"]["messages"])).body
    assert [f"{job['id']}-1", f"{job['id']}-2"] == [each["message_id"] for each in messages["messages"]]
    assert messages["after"] is None


@pytest.mark.parametrize(
    "content",
    [
        {"kind": "template", "text": "{name}, hello", "rows": [{"to": NUMBER, "name": "Ada"}]},
        {"kind": "vendor_template", "template_id": "7", "rows": [{"to": NUMBER, "a": 1}]},
        {"kind": "mms", "subject": "Hello", "text": "You", "image": None, "to": NUMBER},
        {"kind": "voice", "audio": "hello", "to": [NUMBER]},
    ],
)
async def test_every_kind_of_content_is_taken(api: Api, content: dict[str, Any]) -> None:
    """Whether an account can send it is decided as for jobs from Python."""
    assert 202 == (await api.post("/v1/jobs", {"content": content})).status


async def test_the_same_key_is_the_same_job_whoever_has_it(api: Api) -> None:
    """Repeated: 200 and the same body. Other content: 422. One key space with the Python client."""
    key = {"Idempotency-Key": "order-7"}
    first = await api.post("/v1/jobs", SMS, headers=key)
    again = await api.post("/v1/jobs", SMS, headers=key)
    inside = await api.post("/v1/jobs", SMS | {"key": "order-7"})
    other = await api.post("/v1/jobs", {"content": SMS["content"] | {"text": "Bye"}}, headers=key)
    assert [202, 200, 200, 422] == [each.status for each in (first, again, inside, other)]
    assert first.raw == again.raw == inside.raw
    assert ("true", None) == (again.headers["Idempotent-Replayed"], first.headers.get("Idempotent-Replayed"))
    assert ("key_conflict", "never") == (other.code, other.body["retry"])
    job = await asyncio.to_thread(api.client.send, Sms("Hello", [NUMBER, "12"]), key="order-7")
    assert (first.body["id"], True) == (job.id, job.repeated)
    with pytest.raises(KeyConflict):
        await asyncio.to_thread(api.client.send, Sms("Bye", NUMBER), key="order-7")
    assert 1 == await api.jobs()


async def test_many_at_once_under_one_key_are_one_job(api: Api) -> None:
    """Whoever comes first stores it; all hear of the same one."""
    said = await asyncio.gather(*(api.post("/v1/jobs", SMS, headers={"Idempotency-Key": "k"}) for _ in range(20)))
    assert {200, 202} == {each.status for each in said}
    assert 1 == sum(each.status == 202 for each in said) == await api.jobs()
    assert 1 == len({each.raw for each in said})


@pytest.mark.parametrize("path", ["/v1/jobs?dry_run=1", "/v1/estimates"])
async def test_an_estimate_stores_nothing(api: Api, path: str) -> None:
    """Rows, refusals, segments and cost are told; no job exists."""
    text = "é" * 160 + "中"
    said = await api.post(path, {"content": {"kind": "sms", "text": text, "to": [NUMBER, "12"]}, "account": "bulk"})
    assert (200, 2, 1, 1) == (said.status, said.body["total"], said.body["accepted"], said.body["unpriced"])
    assert said.body["segments"] > 1
    assert 0 == await api.jobs()


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 400, "invalid_request"),
        ([], 400, "invalid_request"),
        ({"content": {"kind": "letter", "text": "x", "to": NUMBER}}, 400, "invalid_request"),
        ({"content": {"kind": "sms", "text": "x", "to": []}}, 400, "invalid_request"),
        ({"content": {"kind": "sms", "text": "x", "to": [NUMBER] * 1001}}, 400, "invalid_request"),
        (SMS | {"lanes": "otp"}, 400, "invalid_request"),
        (SMS | {"at": "2031-01-01T00:00:00"}, 400, "invalid_request"),
        (SMS | {"at": "2001-01-01T00:00:00Z"}, 422, "invalid_option"),
        (SMS | {"account": "bulk", "route": "default"}, 422, "invalid_option"),
        (SMS | {"account": "nobody"}, 422, "unknown_account"),
        (SMS | {"account": "bulk", "vendor": {"colour": "red"}}, 422, "unsupported_feature"),
        ({"content": {"kind": "sms", "text": " ", "to": NUMBER}}, 422, "empty_text"),
        ({"content": {"kind": "sms", "text": "x", "to": "12"}}, 422, "invalid_number"),
        ({"content": {"kind": "template", "text": "{", "rows": [{"to": NUMBER}]}}, 422, "invalid_template"),
    ],
)
async def test_what_cannot_be_sent_is_refused_with_a_code(api: Api, body: Any, status: int, code: str) -> None:
    """400 where the document says otherwise, 422 where sendmill does; never to be repeated as it is."""
    said = await api.post("/v1/jobs", body)
    assert (status, code, "never") == (said.status, said.code, said.body["retry"])
    assert 0 == await api.jobs()


async def test_bodies_of_another_kind_are_refused(api: Api) -> None:
    """Another type, a coding that is not taken, more than is taken, half a body's worth of JSON."""
    whole = b'{"content": {"kind": "sms", "text": "Hello", "to": "+85298882844"}}'
    asked: list[tuple[bytes, dict[str, str], int, str]] = [
        (whole, {"Content-Type": "text/html"}, 415, "unsupported_media_type"),
        (whole, {"Content-Encoding": "compress"}, 415, "unsupported_media_type"),
        (whole, {"Content-Encoding": "gzip"}, 400, "cut"),
        (b" " * 2_000_001, {}, 413, "too_large"),
        (whole[:-3], {}, 400, "invalid_request"),
        (whole.replace(b"Hello", b"\xff\xfe"), {}, 400, "invalid_request"),
        (b"[" * 100_000, {}, 400, "invalid_request"),
        (whole, {"Idempotency-Key": "k" * 201}, 400, "invalid_request"),
    ]
    for body, headers, status, code in asked:
        said = await api.post("/v1/jobs", body, headers=headers)
        assert (status, code) == (said.status, said.code), headers
    assert 0 == await api.jobs()


async def test_a_key_has_its_sender_and_its_signature(api: Api) -> None:
    """They are those of all its jobs; another one is refused."""
    token = api.key("send:normal", sender="Acme", signature="【Acme】")
    sent = await api.post("/v1/jobs", SMS, token=token)
    assert 202 == sent.status
    same = await api.post("/v1/jobs", SMS | {"sender": "Acme", "signature": "【Acme】"}, token=token)
    assert 202 == same.status
    for other in ({"sender": "Bank"}, {"signature": "【Bank】"}):
        assert "forbidden" == (await api.post("/v1/jobs", SMS | other, token=token)).code


async def test_jobs_and_messages_are_paged(api: Api) -> None:
    """`after` leads from page to page to the end, each job and each message once."""
    numbers = [f"+852988828{place:02}" for place in range(25)]
    sent = [
        (await api.post("/v1/jobs", {"content": {"kind": "sms", "text": "x", "to": numbers}, "ref": ref})).body["id"]
        for ref in ("a", "b", "a", "b", "a")
    ]

    async def pages(path: str, name: str) -> list[list[dict[str, Any]]]:
        found, after = [], ""
        while True:
            page = (await api.get(path + after)).body
            found.append(page[name])
            if page["after"] is None:
                return found
            after = f"&after={page['after']}"

    listed = await pages("/v1/jobs?limit=2&ref=a", "jobs")
    assert sorted([sent[0], sent[2], sent[4]]) == sorted(job["id"] for page in listed for job in page)
    messages = await pages(f"/v1/jobs/{sent[0]}/messages?limit=10", "messages")
    assert [10, 10, 5] == [len(page) for page in messages]
    assert numbers == [message["to"] for page in messages for message in page]
    assert "invalid_option" == (await api.get("/v1/jobs?after=nonsense")).code
    assert "invalid_request" == (await api.get("/v1/jobs?limit=0")).code
    assert "invalid_request" == (await api.get("/v1/jobs?lmit=1")).code


async def test_a_job_is_cancelled(api: Api) -> None:
    """What has not gone stays here; how much that was is told."""
    job = (await api.post("/v1/jobs", {"content": {"kind": "sms", "text": "x", "to": [NUMBER, "+85298882845"]}})).body
    said = await api.post(f"/v1/jobs/{job['id']}/cancel")
    assert (200, {"cancelled": 2, "gone": 0, "on_the_wire": 0}) == (said.status, said.body)
    assert "no_such_job" == (await api.post("/v1/jobs/none/cancel")).code
