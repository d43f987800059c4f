"""The pytest fixture that an application's own tests use."""

from __future__ import annotations

from inspect import getmembers, signature

import pytest

from sendmill import Client, Sms, testing
from sendmill.connecting.environment import REDIS_URL
from sendmill.testing import FakeClient, sendmill_outbox

__all__ = ["sendmill_outbox"]  # a fixture is found by its name; installed, the entry point brings it


def login(number: str) -> str:
    """An application that knows nothing of the test."""
    return Client.from_env().send(Sms("Your code is 1125", to=number), lane="otp").id


def test_every_client_of_the_application_sends_into_the_outbox(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    """Also one from the environment, where nothing is set."""
    monkeypatch.delenv(REDIS_URL, raising=False)
    outbox = request.getfixturevalue("sendmill_outbox")
    assert isinstance(outbox, FakeClient)
    job_id = login("+85298882844")
    assert ["Your code is 1125"] == [sent.text for sent in outbox.sent]
    outbox.report(outbox.sent[0])
    client = Client("redis://nowhere.invalid:6379/0")
    assert client.status(job_id).done
    assert ["delivered"] == [message.state for message in client.messages(job_id)]


def test_the_outbox_is_empty_again_for_the_next_test(sendmill_outbox: FakeClient) -> None:
    """Nothing of another test is seen."""
    assert [] == sendmill_outbox.sent


@pytest.mark.parametrize("name", testing._REDIRECTED)
def test_the_fake_takes_what_the_client_takes(name: str) -> None:
    """The same parameters by the same names."""
    assert signature(getattr(Client, name)).parameters.keys() == signature(getattr(FakeClient, name)).parameters.keys()


def test_nothing_of_the_client_passes_by_the_fake() -> None:
    """What is not redirected an application does not do: it steers accounts, hands out keys, or serves pages."""
    public = {name for name, _ in getmembers(Client, callable) if not name.startswith("_")}
    accounts = {"accounts", "pause", "resume", "limit", "balance", "alerts", "resolve_alert", "doctor"}
    keys = {"keys", "read_keys", "add_key", "rotate_key", "revoke_key", "admit_key", "note_keys_used"}
    pages = {"job_page", "message_page", "event_batch", "ack_events", "audit", "record"}
    assert {"from_env", "close", *accounts, *keys, *pages} == public - {*testing._REDIRECTED}
