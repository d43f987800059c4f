"""/_sim/…: what a test reads and orders. README.md lists the addresses."""

import json
import time
from collections.abc import Callable
from typing import Any

from simulator import figures, journalfile
from simulator.accounts import Account
from simulator.fates import Rule
from simulator.faults import Fault
from simulator.vendor import Reply
from simulator.wire import Request, Response, form_fields
from simulator.world import World

_JSON = "application/json"


class Admin:
    """The addresses, by method and name."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._handlers: dict[tuple[str, str], Callable[[Request], Any]] = {
            ("GET", "journal"): self._journal,
            ("GET", "counters"): lambda _: figures.counters(world),
            ("GET", "breaches"): lambda _: figures.breaches(world),
            ("GET", "duplicates"): lambda _: figures.duplicates(world),
            ("GET", "pending"): lambda _: figures.pending(world),
            ("GET", "push_failures"): lambda _: figures.push_failures(world),
            ("GET", "accounts"): lambda _: figures.accounts(world),
            ("POST", "faults"): self._add_faults,
            ("GET", "faults"): lambda _: figures.faults(world),
            ("DELETE", "faults"): self._clear_faults,
            ("POST", "fates"): self._add_fates,
            ("DELETE", "fates"): self._clear_fates,
            ("POST", "replies"): self._reply_now,
            ("POST", "accounts"): self._change_account,
            ("POST", "age_files"): self._age_files,
            ("POST", "reset"): self._reset,
        }

    def handle(self, request: Request) -> Response:
        """Answer in JSON; 400 with the reason for a wrong body, 404 for a wrong address."""
        name = request.path.removeprefix("/_sim/").strip("/")
        handler = self._handlers.get((request.method, name))
        if handler is None:
            return _json({"error": "no such address"}, 404)
        try:
            found = handler(request)
            return found if isinstance(found, Response) else _json(found)
        except (ValueError, TypeError, KeyError) as error:
            return _json({"error": f"{type(error).__name__}: {error}"}, 400)

    def _journal(self, request: Request) -> Response:
        """NDJSON of the calls after a sequence number, of one account and endpoint or of all."""
        fields = form_fields(request.query)
        account, endpoint = fields.get("account", b"").decode(), fields.get("endpoint", b"").decode()
        reports = self._world.dispatch.reports_of if fields.get("reports") == b"1" else None
        chunks = journalfile.chunks(self._world.journal, account, int(fields.get("after") or b"-1"), endpoint, reports)
        return Response(content_type="application/x-ndjson", chunks=chunks)

    def _add_faults(self, request: Request) -> dict[str, int]:
        """One fault, or a list; `seed` beside a fault starts the chance anew."""
        given = _items(request)
        for one in given:
            if "seed" in one:
                self._world.faults.seed(int(one.pop("seed")))
        self._world.faults.orders.extend([Fault.from_mapping(one) for one in given])
        return {"faults": len(self._world.faults.orders)}

    def _clear_faults(self, request: Request) -> dict[str, int]:
        del request
        self._world.faults.orders.clear()
        return {"faults": 0}

    def _add_fates(self, request: Request) -> dict[str, int]:
        """Rules; or {"vendor", "delivered_share"} to change a vendor's default spread."""
        for one in _items(request):
            if "delivered_share" in one:
                vendor = self._world.vendors[one["vendor"]]
                self._world.fates.set_defaults(
                    vendor.name, vendor.delivered, vendor.failed, float(one["delivered_share"])
                )
            else:
                self._world.fates.rules.append(Rule.from_mapping(one))
        return {"fates": len(self._world.fates.rules)}

    def _clear_fates(self, request: Request) -> dict[str, int]:
        del request
        self._world.fates.rules.clear()
        return {"fates": 0}

    def _reply_now(self, request: Request) -> dict[str, int]:
        """{vendor, account, number (E.164 digits), text}: a handset replies now.

        It answers the newest accepted call to that number, when there is one.
        """
        given = _items(request)
        for one in given:
            place = (str(one["vendor"]), str(one["account"]))
            if place not in self._world.accounts:
                message = f"no account {place}"
                raise ValueError(message)
            number, now_ns = int(one["number"]), time.time_ns()
            sequence = figures.newest_call_to(self._world.journal, place, number)
            reply = Reply(sequence, number, str(one["text"]), now_ns)
            self._world.dispatch.wheel.add_reply(place, now_ns, reply)
        return {"replies": len(given)}

    def _change_account(self, request: Request) -> dict[str, int]:
        """Add an account, or change the settings named of one that exists."""
        given = _items(request)
        for one in given:
            vendor = self._world.vendors[one["vendor"]]
            place = (vendor.name, str(one["name"]))
            account = self._world.accounts.get(place)
            if account is None:
                self._world.accounts[place] = Account.from_mapping(one, vendor.options)
            else:
                account.change(one, vendor.options)
        return {"accounts": len(self._world.accounts)}

    def _age_files(self, request: Request) -> dict[str, int]:
        """{vendor, account, age_s}: what the account has uploaded grows older by so many seconds."""
        files = 0
        for one in _items(request):
            files += self._world.files[one["vendor"]].age_files(str(one["account"]), float(one["age_s"]))
        return {"files": files}

    def _reset(self, request: Request) -> dict[str, bool]:
        """Forget journal, counters, reports, faults and fates; accounts stay as they are."""
        del request
        self._world.reset()
        self._world.faults.orders.clear()
        self._world.fates.rules.clear()
        return {"reset": True}


def _items(request: Request) -> list[dict[str, Any]]:
    given = json.loads(request.body or b"[]")
    items = given if isinstance(given, list) else [given]
    if not all(isinstance(item, dict) for item in items):
        message = "an object or a list of objects is asked for"
        raise ValueError(message)
    return items


def _json(value: object, status: int = 200) -> Response:
    body = json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
    return Response(body, _JSON, status)
