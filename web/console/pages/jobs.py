"""Jobs, one job, one message, what is unconfirmed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final

from sendmill.errors import NoSuchJob
from sendmill.ledger.settling import given_up_at
from sendmill.messages import MessageInfo, Unconfirmed
from sendmill.states import State
from web.console.site import Model, Page, Visit

_ON_A_PAGE: Final = 50
_MESSAGES_ON_A_PAGE: Final = 100
_MOST_UNCONFIRMED: Final = 1_000
_SAMPLES: Final = 5

ASK_AGAIN_ABOVE: Final = 1_000
"""Who cancels more messages than that types the job's id."""


def jobs(visit: Visit) -> Model:
    """A page of jobs, newest first."""
    ref = visit.query.get("ref") or None
    page = visit.client.job_page(ref=ref, after=visit.query.get("after") or None, most=_ON_A_PAGE)
    return {"jobs": page.jobs, "after": page.after, "ref": ref or ""}


def job(visit: Visit) -> Model:
    """A job: its states, when it will be through, a page of its messages."""
    job_id = visit.match["job"]
    status, eta = visit.client.progress(job_id)
    state = visit.query.get("state") or None
    page = visit.client.message_page(
        job_id, state=state, after=visit.query.get("after") or None, most=_MESSAGES_ON_A_PAGE
    )
    return {
        "status": status,
        "states": {str(each): rows for each, rows in status.states.items()},
        "eta": eta,
        "waiting": sum(status.states.get(each, 0) for each in (State.ACCEPTED, State.SCHEDULED, State.QUEUED)),
        "gone": sum(
            rows
            for each, rows in status.states.items()
            if each
            not in {State.ACCEPTED, State.SCHEDULED, State.QUEUED, State.FAILED, State.SUPPRESSED, State.CANCELLED}
        ),
        "ask_again_above": ASK_AGAIN_ABOVE,
        "state": state or "",
        "all_states": [each.value for each in State],
        "messages": [_shown(visit, each) for each in page.messages],
        "after": page.after,
    }


def _shown(visit: Visit, message: MessageInfo) -> dict[str, object]:
    return {
        "message_id": message.message_id,
        "to": visit.number(message.to),
        "state": message.state.value,
        "account": message.account,
        "vendor_message_id": message.vendor_message_id,
        "code": message.code,
        "detail": message.detail,
        "submitted_at": message.submitted_at,
        "updated_at": message.updated_at,
    }


def message(visit: Visit) -> Model:
    """The life of a message: every attempt, every report."""
    told = visit.client.show(visit.match["message"])
    told = {**told, "to": visit.number(told["to"]), "state": str(told["state"])}
    return {"message": told, "job": str(told["message_id"]).rpartition("-")[0]}


@dataclass(frozen=True, slots=True)
class Group:
    """Unconfirmed messages of one account and one reason."""

    account: str
    code: str
    detail: str
    messages: int
    since: datetime
    until: datetime | None
    """When the first of them become unknown, where no report comes."""
    samples: Sequence[str]
    jobs: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Unsettled:
    """A job that has unconfirmed messages: how many in all, and how many of these are shown, of which accounts."""

    job: str
    messages: int
    shown: int
    accounts: Sequence[str]


def unconfirmed(visit: Visit) -> Model:
    """What nobody knows of, by account and reason, the oldest first; and by job, as it may be settled."""
    account = visit.query.get("account") or None
    found = list(islice(visit.client.unconfirmed(account), _MOST_UNCONFIRMED + 1))
    more = len(found) > _MOST_UNCONFIRMED
    groups: dict[tuple[str, str, str], list[Unconfirmed]] = {}
    for each in found[:_MOST_UNCONFIRMED]:
        groups.setdefault((each.account, each.code or "", each.detail or ""), []).append(each)
    told = [
        Group(
            *key,
            messages=len(group),
            since=min(each.since for each in group),
            until=given_up_at(visit.ledger, group[0]),
            samples=[each.message_id for each in group[:_SAMPLES]],
            jobs=Counter(_job_of(each) for each in group).most_common(_SAMPLES),
        )
        for key, group in groups.items()
    ]
    return {
        "groups": told,
        "jobs": [_unsettled(visit, job, told) for job in dict.fromkeys(job for each in told for job, _ in each.jobs)],
        "carried": {} if more else _carried(visit, found),
        "more": more,
        "account": account or "",
    }


def _job_of(message: Unconfirmed) -> str:
    return message.message_id.rpartition("-")[0]


def _carried(visit: Visit, found: Sequence[Unconfirmed]) -> dict[str, dict[str, int]]:
    """By account, the unconfirmed messages and the calls that carried them."""
    messages = Counter(each.account for each in found)
    calls = {each.name: each.unconfirmed_calls for each in visit.client.accounts()}
    return {name: {"messages": many, "calls": calls.get(name, 0)} for name, many in messages.items()}


def _unsettled(visit: Visit, job: str, groups: Sequence[Group]) -> Unsettled:
    """A verdict reaches all of a job, so all are counted, of whichever account they are."""
    try:
        messages = visit.client.status(job).states.get(State.UNCONFIRMED, 0)
    except NoSuchJob:  # it is removed just now
        messages = 0
    accounts = {each.account: None for each in groups if job in dict(each.jobs)}
    shown = sum(dict(each.jobs).get(job, 0) for each in groups)
    return Unsettled(job, max(shown, messages), shown, list(accounts))


def _job_cli(visit: Visit) -> str:
    state = visit.query.get("state")
    return f"sendmill status {visit.match['job']}" + (f" --messages --state {state}" if state in set(State) else "")


PAGES = (
    Page("jobs", "/jobs", jobs, lambda _: "sendmill jobs"),
    Page("job", "/jobs/{job}", job, _job_cli, numbers=True, menu=False),
    Page(
        "message",
        "/messages/{message}",
        message,
        lambda visit: f"sendmill show {visit.match['message']}",
        numbers=True,
        menu=False,
    ),
    Page("unconfirmed", "/unconfirmed", unconfirmed, lambda _: "sendmill unconfirmed"),
)
