"""The delivery log, check_msginfo.php (accessyou.txt p.49 to 53, again p.91 to 95): what became of an id.

The table of fields on p.51 has slipped by a row (msgid "Sent", status "Account Balance"), so the sample on p.53 is
followed. Records go back three months (p.49, Note 2).
"""

from __future__ import annotations

import re
from decimal import Decimal

from providers.accessyou.codes import SENT, STATES
from providers.accessyou.query import authenticated, query
from providers.accessyou.settings import AccessYouSettings
from providers.base import Bill, Received, Report, Request, Response
from providers.clock import parse_wall_clock
from providers.reading import Unreadable, local_name, xml_fields
from sendmill.states import State

_NUMBER = re.compile(r"[1-9][0-9]{6,14}", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)
_UNITS = re.compile(r"[1-9][0-9]{0,2}", re.ASCII)
_CHARGE = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,6})?", re.ASCII)


def log_request(settings: AccessYouSettings, vendor_message_id: str) -> Request:
    """GET `accountno`, `user`, `pwd`, `msgid`."""
    check = settings.check
    ids = [(name, vendor_message_id) for name in check.msginfo_id_names]
    return query(check.msginfo_url, settings.accountno, check.msginfo_user, check.msginfo_pwd, ids, check.cookie)


def read_log(settings: AccessYouSettings, vendor_message_id: str, response: Response) -> Received:
    """The final states that an answer tells; `more` where there is none yet: not in the log, or SENT.

    For the id of a batch there is a record for each number, or one for the first (both inferred). Among several, a
    record whose destination is masked is nobody's, and counts as not final yet. A word that is not in the table gives a
    report whose state is None. The destination of a single one is left out where the vendor masks it, as in its sample.
    An empty date is no time. `noofmsg` and `charge` are what is billed: "solely based on our system calculation" (p.6).

    Raises:
        AccountBlocked: see `authenticated`.
        Unreadable: no such XML, or it speaks of another message.
    """
    records = _records(vendor_message_id, response)
    reports = [report for record in records if (report := _report(settings, vendor_message_id, record)) is not None]
    if len(records) > 1:
        reports = [report for report in reports if report.number is not None]
    return Received(reports=reports, more=not records or len(reports) < len(records))


def _records(vendor_message_id: str, response: Response) -> list[dict[str, str]]:
    root = authenticated(response)
    records = [xml_fields(element) for element in root.iter() if local_name(element) == "msginfo"]
    for record in records:
        about = record.get("msgid", "")
        if _DIGITS.fullmatch(about) and about != vendor_message_id:
            raise Unreadable("speaks of another message")
    return records


def _report(settings: AccessYouSettings, vendor_message_id: str, record: dict[str, str]) -> Report | None:
    word = record.get("receivestatus", "")
    if not word or word.upper() == SENT:
        return None
    state = STATES.get(word.upper())
    destination = record.get("destination", "")
    return Report(
        state=state,
        raw_state=word,
        number=f"+{destination}" if _NUMBER.fullmatch(destination) else None,
        vendor_message_id=vendor_message_id,
        code=None if state is State.DELIVERED else word,
        occurred_at=parse_wall_clock(record.get("deliverydate", "")),
        bill=_bill(settings, record),
    )


def _bill(settings: AccessYouSettings, record: dict[str, str]) -> Bill | None:
    """Some plans leave out either (p.51)."""
    units, charge = record.get("noofmsg", ""), record.get("charge", "")
    if not _UNITS.fullmatch(units):
        return None
    return Bill(int(units), Decimal(charge) if _CHARGE.fullmatch(charge) else None, settings.check.accinfo_unit)
