"""Alerts, processes and sweeps, the audit, and the tail of what happens."""

from __future__ import annotations

from typing import Final

from sendmill.ledger.published import published_accounts
from sendmill.monitoring.stuck import read_stuck
from sendmill.monitoring.vitals import read_vitals
from web.console.access import ADMIN
from web.console.site import Model, Page, Visit

_ON_A_PAGE: Final = 100


def alerts(visit: Visit) -> Model:
    """Every open alert, the oldest first."""
    return {"alerts": visit.client.alerts()}


def stuck(visit: Visit) -> Model:
    """What waits, by cause."""
    return {"stuck": read_stuck(visit.ledger)}


def workers(visit: Visit) -> Model:
    """Every process that lives, what sweeps found, Redis' memory."""
    return {"vitals": read_vitals(visit.ledger), "sweeps": [each for each in visit.client.sweeps() if each.found]}


def audit(visit: Visit) -> Model:
    """Who did what, the newest first."""
    target, action = visit.query.get("target") or None, visit.query.get("action") or None
    entries = visit.client.audit(target=target, action=action, before=visit.query.get("after") or None, most=_ON_A_PAGE)
    after = entries[-1].id if len(entries) == _ON_A_PAGE else None
    return {"entries": entries, "target": target or "", "action": action or "", "after": after}


def live(visit: Visit) -> Model:
    """What the tail may be narrowed to; the tail itself is `/live/events`."""
    return {"accounts": list(published_accounts(visit.ledger)), "account": visit.query.get("account") or ""}


PAGES = (
    Page("stuck", "/stuck", stuck, lambda _: "sendmill doctor"),
    Page("alerts", "/alerts", alerts, lambda _: "sendmill alerts"),
    Page("workers", "/workers", workers, lambda _: "sendmill doctor"),
    Page("live", "/live", live, lambda _: "sendmill events --follow", live=False),
    Page("audit", "/audit", audit, lambda _: "sendmill audit", right=ADMIN),
)
