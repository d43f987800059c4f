"""What there is of a number, replies, opt-outs."""

from __future__ import annotations

from itertools import islice
from typing import Final

from sendmill.ledger.optouts import latest_optouts, optout_of
from sendmill.ledger.replies import latest_replies
from sendmill.numbers import possible
from web.console.site import Model, Page, Visit

_MOST_FOUND: Final = 200
_ON_A_PAGE: Final = 200


def find(visit: Visit) -> Model:
    """All of a number: its messages, whether it opted out. The number comes in a form, never in an address."""
    given = visit.form.get("number", "").strip()
    region = visit.form.get("region", "").strip().upper() or None
    if not given:
        return {"number": "", "region": region or "", "messages": None, "opted_out": None, "more": False}
    number = possible(given, region)
    found = list(islice(visit.client.find(number), _MOST_FOUND + 1))
    opted_out = optout_of(visit.ledger, number)
    return {
        "number": visit.number(number),
        "region": region or "",
        "messages": [
            {
                "message_id": each.message_id,
                "state": each.state.value,
                "account": each.account,
                "code": each.code,
                "detail": each.detail,
                "submitted_at": each.submitted_at,
                "updated_at": each.updated_at,
            }
            for each in found[:_MOST_FOUND]
        ],
        "opted_out": None if opted_out is None else {"at": opted_out.at, "source": opted_out.source},
        "more": len(found) > _MOST_FOUND,
    }


def replies(visit: Visit) -> Model:
    """The latest replies, newest first."""
    return {
        "replies": [
            {
                "from": visit.number(each.from_),
                "text": each.text,
                "account": each.account,
                "extno": each.extno,
                "message_id": each.message_id,
                "matched_by": each.matched_by,
                "received_at": each.received_at,
            }
            for each in latest_replies(visit.ledger, _ON_A_PAGE)
        ]
    }


def optouts(visit: Visit) -> Model:
    """The latest opt-outs, newest first, and how many there are."""
    count, latest = latest_optouts(visit.ledger, _ON_A_PAGE)
    told = [
        {
            "number": None if each.number is None else visit.number(each.number),
            "at": each.at,
            "source": each.source,
            "account": each.account,
            "word": each.word,
        }
        for each in latest
    ]
    return {"optouts": told, "count": count}


PAGES = (
    Page("find", "/find", find, lambda _: "sendmill find NUMBER", numbers=True, live=False),
    Page("replies", "/replies", replies, lambda _: "sendmill replies", numbers=True),
    Page("optouts", "/optouts", optouts, lambda _: "sendmill optouts list", numbers=True),
)
