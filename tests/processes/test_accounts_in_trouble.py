"""Accounts in trouble, through all processes: what a vendor refuses goes out by another account."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

from sendmill import Client, Sms, State, TemplateSms
from simulator.system import System
from tests.support.flow import mainland

ROWS = 3_000
END_S = 60.0
ROUTES = [{"prefix": "", "accounts": ["mainland", "bulk"]}]
NO_BALANCE = {"kind": "code", "code": "2", "vendor": "smsadmin"}


@contextmanager
def _alert_url() -> Iterator[tuple[str, list[Any]]]:
    """An address that takes alerts, and what it was told."""
    told: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/alerts", told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _blocked(told: list[Any]) -> list[bool]:
    """What was told of the blocked account. A killed worker may have told it twice, under the same id."""
    by_id = {alert["id"]: alert for alert in told}
    return [alert["open"] for alert in by_id.values() if alert["code"] == "account_blocked"]


def _is_done(client: Client, job: str) -> bool:
    return client.status(job).done


def test_an_account_without_balance_loses_and_doubles_nothing() -> None:
    """Its messages go by the next account, though workers are killed while they move; one alert is told."""
    with _alert_url() as (url, told), System.start(routes=ROUTES, site={"alert_url": url}) as system:
        system.simulator.add_faults(NO_BALANCE)
        client = system.client()
        rows = [{"to": number, "n": place} for place, number in enumerate(mainland(ROWS))]
        bulk = client.send(TemplateSms("No. {n}", rows), lane="bulk", signature="【Acme】").id
        system.wait_until(lambda: bool(client.alerts()), timeout_s=END_S, what="the account is suspended")
        system.kill("worker_work")
        code = client.send(Sms("Code 1", mainland(1, first=ROWS)), lane="otp", signature="【Acme】").id
        system.start_more("worker_work")
        for job in (code, bulk):
            system.wait_until(partial(_is_done, client, job), timeout_s=END_S, what="all of it is final")
            assert {"bulk"} == {each.account for each in client.messages(job)}
        assert sum(client.status(bulk).states.values()) == ROWS == client.status(bulk).total
        assert State.QUEUED not in client.status(bulk).states
        assert 0 == system.simulator.duplicates()["total"]
        calls = [call for call in system.simulator.journal() if call["kind"] == "sms"]
        assert ROWS + 1 == sum(len(call["numbers"]) for call in calls if call["accepted"])
        client.resume("mainland")
        system.wait_until(lambda: len(_blocked(told)) > 1, timeout_s=END_S, what="the end of the alert is told")
        assert [True, False] == _blocked(told)
