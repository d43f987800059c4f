"""Figures computed when somebody asks: counters, breaches, duplicates, what is pending."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict
from typing import Any

from simulator.facts import Facts
from simulator.journal import ACCEPTED, Journal
from simulator.world import World

_DUPLICATES_SHOWN = 1000


def counters(world: World) -> dict[str, Any]:
    """Per vendor and account, and of all; rates per second, spans in seconds."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    places = {*world.accounts, *((key.vendor, key.account) for key in world.journal.keys.items)}
    facts = world.ledger.facts()
    for place in sorted(places):
        found[place[0]][place[1]] = _account_counters(world, place, facts.get(place, Facts()))
    total = Counter[str]()
    for vendor in found.values():
        for account in vendor.values():
            for name in ("requests", "calls_accepted", "messages_accepted"):
                total[name] += account[name]
    total["breaches"] = sum(world.breaches.counts.values())
    return {"vendors": found, "total": total}


def _account_counters(world: World, place: tuple[str, str], facts: Facts) -> dict[str, Any]:
    tally, pusher = world.dispatch.tallies[place], world.pusher
    span_s = facts.span_s
    account = world.accounts.get(place)
    return {
        "requests": sum(facts.requests.values()),
        "requests_by_endpoint": facts.requests,
        "kernel_stamps": facts.kernel_stamps,
        "outcomes": facts.outcomes,
        "calls_accepted": facts.calls_accepted,
        "messages_accepted": facts.messages_accepted,
        "numbers_refused": world.refused[place],
        "numbers_swallowed": world.swallowed[place],
        "largest_call": world.largest.get(place, 0),
        "breaches": world.breaches.count(*place),
        "balance": account.balance if account else None,
        "max_calls_in_a_second": facts.most_submits_in_a_second(),
        "span_s": span_s,
        "calls_per_s": (len(facts.submits_ns) - 1) / span_s if span_s else None,
        "messages_per_s": facts.messages_accepted / span_s if span_s else None,
        "reports_pushed": pusher.delivered[*place, "report"],
        "reports_push_posts": pusher.posts[*place, "report"],
        "reports_push_failed": pusher.failed[*place, "report"],
        "reports_repeated": pusher.delivered[*place, "repeat"],
        "reports_polled": tally.reports_polled,
        "reports_unclaimed": tally.unclaimed,
        "replies_pushed": pusher.delivered[*place, "reply"],
        "replies_push_failed": pusher.failed[*place, "reply"],
        "replies_polled": tally.replies_polled,
        "reports_pending": sum(_pending_reports(world, place).values()),
    }


def _pending_reports(world: World, place: tuple[str, str]) -> dict[str, int]:
    return {
        "not_due": world.dispatch.wheel.waiting(place)[0],
        "to_push": sum(world.pusher.waiting[*place, kind] for kind in ("report", "repeat", "interim")),
        "to_poll": len(world.dispatch.queues[place].reports),
    }


def pending(world: World) -> dict[str, Any]:
    """Reports and replies still to deliver, per vendor and account; `total` of all."""
    found: dict[str, dict[str, Any]] = defaultdict(dict)
    total = 0
    for place in world.accounts:
        replies = {
            "not_due": world.dispatch.wheel.waiting(place)[1],
            "to_push": world.pusher.waiting[*place, "reply"],
            "to_poll": len(world.dispatch.queues[place].replies),
        }
        reports = _pending_reports(world, place)
        total += sum(reports.values()) + sum(replies.values())
        found[place[0]][place[1]] = {"reports": reports, "replies": replies}
    return {"vendors": found, "total": total}


def breaches(world: World) -> dict[str, Any]:
    """The count, by vendor, account and kind, and the newest ones."""
    counts = [
        {"vendor": vendor, "account": account, "kind": kind, "count": count}
        for (vendor, account, kind), count in sorted(world.breaches.counts.items())
    ]
    return {
        "total": sum(world.breaches.counts.values()),
        "counts": counts,
        "newest": [breach._asdict() for breach in world.breaches.newest],
    }


def duplicates(world: World) -> dict[str, Any]:
    """Messages (number and text) accepted more than once, within an account and over all.

    Reads the whole journal: about a second for a million messages, when nothing else is answered.
    """
    seen: Counter[tuple[str, str, int, int]] = Counter()
    journal = world.journal
    texts: dict[bytes, int] = {}
    same = [texts.setdefault(text, index) for index, text in enumerate(journal.texts)]
    contents: dict[tuple[object, ...], int] = {}
    del texts
    everywhere: set[int] = set()
    by_account: dict[int, set[int]] = defaultdict(set)
    extra = extra_in_account = 0
    for sequence, flags in enumerate(journal.flags):
        if not flags & ACCEPTED:
            continue
        key = journal.key_of[sequence]
        place = (journal.keys.items[key].vendor, journal.keys.items[key].account)
        mine = by_account[hash(place)]
        first = journal.first_number(sequence)
        parts = tuple(sorted(item for item in journal.parts.get(sequence, {}).items() if item[0] != "swallowed"))
        for at in range(first, journal.ends[sequence]):
            text = same[journal.text_index(sequence, at - first)]
            if parts:
                # An MMS is its subject and image too, a call its recording.
                text = contents.setdefault((text, *parts), len(same) + len(contents))
            packed = text << 50 | journal.numbers[at]
            if packed in everywhere:
                extra += 1
                extra_in_account += packed in mine
                if len(seen) < _DUPLICATES_SHOWN:
                    seen[*place, journal.numbers[at], text] += 1
            everywhere.add(packed)
            mine.add(packed)
    return {
        "total": extra,
        "within_accounts": extra_in_account,
        "examples": [
            {"vendor": vendor, "account": account, "number": str(number), "again": count}
            for (vendor, account, number, _text), count in seen.items()
        ],
    }


def push_failures(world: World) -> list[dict[str, Any]]:
    """The newest pushes that did not arrive."""
    return [failure._asdict() for failure in world.pusher.failures]


def faults(world: World) -> list[dict[str, Any]]:
    """The orders in force."""
    return [asdict(fault) for fault in world.faults.orders]


def accounts(world: World) -> list[dict[str, Any]]:
    """The accounts with all their settings."""
    return [asdict(account) for account in world.accounts.values()]


def newest_call_to(journal: Journal, place: tuple[str, str], number: int) -> int:
    """The last accepted call of an account to a number, -1 when there is none. Walks backwards."""
    for sequence in range(len(journal) - 1, -1, -1):
        key = journal.keys.items[journal.key_of[sequence]]
        if (key.vendor, key.account) == place and journal.flags[sequence] & ACCEPTED:
            first, end = journal.first_number(sequence), journal.ends[sequence]
            if number in journal.numbers[first:end]:
                return sequence
    return -1
