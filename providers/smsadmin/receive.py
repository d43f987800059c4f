r"""Reports and replies of smsadmin.cn: polled lines and pushed forms (smsadmin.txt §7 to §10).

A polled line is `mobile/time/linkid/content/sub-code`. The document does not escape the slash, so a line is read from
both ends: mobile, time and linkid from the left, the sub-code from the right, and what is between is the content. Times
come with `-` or `/`. A record begins at a line's start with `mobile/date`, hence a reply may hold line breaks. The
document prints the line break as `\n`; both that and a real one are read.

A poll is destructive: what cannot be read is reported as such (a report without a state) and never dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from providers.base import Push, Received, Reply, Report
from providers.clock import parse_wall_clock
from providers.forms import push_fields
from providers.mainland import sender_of_reply, state_of, to_e164
from providers.smsadmin.answers import CHARSET
from providers.smsadmin.codes import CARRIER_CODE, STATES
from sendmill.errors import PushRefused
from sendmill.states import State

RECORDS_PER_POLL = 20
"""§7, §8: an answer holds at most so many; where there are as many, more may wait."""

# §7: without our linkid the platform makes one up; clients of the live service see these.
_NO_LINKID = frozenset({"0", "1"})
# §2: 数字、字母、数字字母组合，最大长度为 32 位.
_LINKID = re.compile(r"[0-9A-Za-z]{1,32}")

_RECORD = re.compile(
    rb"(?:^|[\r\n]|\\n)[ \t]*"
    rb"(?P<mobile>\+?[0-9]{3,20})[ \t]*/"
    rb"[ \t]*(?P<time>[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}(?:[ T][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2})?)[ \t]*/"
)
_LINE_BREAK = re.compile(rb"[\r\n]+|\\n")


class Record(NamedTuple):
    """One line of a poll, its fields still as bytes."""

    mobile: str
    time: str
    linkid: bytes
    content: bytes
    sub_code: bytes


def polled_reports(body: bytes, carrier_codes: State | None) -> Received | None:
    """Read the records of `report`; None where the body has none at all.

    `carrier_codes` is the state that a carrier's own code such as `MK:0012` means; None where it means none.
    """
    reports = tuple(
        _unreadable(len(record))
        if isinstance(record, bytes)
        else report_of(
            _text(record.content), record.mobile, _text(record.linkid), record.time, carrier_codes=carrier_codes
        )
        for record in _records(body, one_line=True)
    )
    return Received(reports=reports, more=len(reports) >= RECORDS_PER_POLL) if reports else None


def polled_replies(body: bytes, *, urlencoded: bool) -> Received | None:
    """Read the records of `reve` or `reve_urlencode`; None where the body has none at all."""
    reports: list[Report] = []
    replies: list[Reply] = []
    for record in _records(body, one_line=False):
        if isinstance(record, bytes):
            reports.append(_unreadable(len(record)))
            continue
        content = unquote_to_bytes(record.content.replace(b"+", b" ")) if urlencoded else record.content
        replies.append(
            Reply(
                number=sender_of_reply(record.mobile) or record.mobile,
                text=content.decode(CHARSET, "replace"),
                extno=_text(record.sub_code) or None,
                reference=_reference(_text(record.linkid)),
                occurred_at=parse_wall_clock(record.time),
            )
        )
    more = len(reports) + len(replies) >= RECORDS_PER_POLL
    return Received(tuple(reports), tuple(replies), more) if reports or replies else None


def pushed(push: Push, carrier_codes: State | None) -> Received:
    """Read a push of §9 (Class=mo) or §10 (Class=rpt), which carries one record. Names are compared without case.

    LinkId and the time are missing before 1.0.5 of the document.

    Raises:
        PushRefused: it is neither, or it lacks what both must have.
    """
    fields = lower_fields(push)
    kind = fields.get("class", "").strip().lower()
    mobile = fields.get("mobile", "")
    linkid = fields.get("linkid", "")
    if kind == "rpt" and mobile and (word := fields.get("report", "").strip()):
        report = report_of(word, mobile, linkid, fields.get("reporttime", ""), carrier_codes=carrier_codes)
        return Received(reports=(report,))
    sender = sender_of_reply(mobile)
    if kind == "mo" and sender and "message" in fields:
        reply = Reply(
            number=sender,
            text=fields["message"],
            reference=_reference(linkid),
            occurred_at=parse_wall_clock(fields.get("reverttime", "")),
        )
        return Received(replies=(reply,))
    raise PushRefused("neither Class=mo with Mobile and Message, nor Class=rpt with Mobile and Report")


def lower_fields(push: Push) -> dict[str, str]:
    """The fields of a push by their names in lower case."""
    return {name.lower(): value for name, value in push_fields(push, CHARSET).items()}


def report_of(word: str, mobile: str, linkid: str, time: str, *, carrier_codes: State | None) -> Report:
    """One report from its fields."""
    upper = word.upper()
    state = carrier_codes if CARRIER_CODE.fullmatch(upper) else state_of(word, STATES)
    return Report(
        state=state,
        raw_state=word,
        number=to_e164(mobile),
        reference=_reference(linkid),
        code=None if state is State.DELIVERED else word,
        occurred_at=parse_wall_clock(time),
    )


def _records(body: bytes, *, one_line: bool) -> Iterator[Record | bytes]:
    """The records of a poll, and as bare bytes what stands between them and is none."""
    starts = list(_RECORD.finditer(body))
    if not starts:
        return
    ends = [start.start() for start in starts[1:]] + [len(body)]
    if before := body[: starts[0].start()].strip():
        yield before
    for start, end in zip(starts, ends, strict=True):
        rest = body[start.end() : end]
        after: list[bytes] = []
        if one_line:
            rest, *after = _LINE_BREAK.split(rest)
        elif rest.endswith(b"\\n"):
            rest = rest[:-2]
        yield _record(start, rest.strip())
        yield from (line for line in after if line.strip())


def _record(start: re.Match[bytes], rest: bytes) -> Record | bytes:
    linkid, slash, tail = rest.partition(b"/")
    if not slash:
        return start[0] + rest
    content, slash, sub_code = tail.rpartition(b"/")
    if not slash:
        content, sub_code = tail, b""
    return Record(start["mobile"].decode(), start["time"].decode(), linkid.strip(), content.strip(), sub_code.strip())


def _text(raw: bytes) -> str:
    return raw.decode(CHARSET, "replace").strip()


def _reference(linkid: str) -> str | None:
    stripped = linkid.strip()
    return stripped if _LINKID.fullmatch(stripped) and stripped not in _NO_LINKID else None


def _unreadable(size_bytes: int) -> Report:
    return Report(state=None, raw_state="unreadable", detail=f"{size_bytes} bytes of the answer fit no record")
