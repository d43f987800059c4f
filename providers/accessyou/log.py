"""The delivery log, check_msginfo.php (accessyou.txt p.49 to 53, again p.91 to 95): one message by its id.

The table of fields on p.51 has slipped by a row (msgid "Sent", status "Account Balance"), so the sample on p.53 is
followed. Records go back three months (p.49, Note 2).
"""

from __future__ import annotations

import re

from providers.accessyou.codes import SENT, STATES
from providers.accessyou.query import authenticated, query
from providers.accessyou.settings import AccessYouSettings
from providers.base import Report, Request, Response
from providers.clock import parse_wall_clock
from providers.reading import Unreadable, local_name, xml_fields

_NUMBER = re.compile(r"[1-9][0-9]{6,14}", re.ASCII)
_DIGITS = re.compile(r"[0-9]+", re.ASCII)


def log_request(settings: AccessYouSettings, vendor_message_id: str) -> Request:
    """GET `accountno`, `user`, `pwd`, `msgid`."""
    check = settings.check
    ids = [(name, vendor_message_id) for name in check.msginfo_id_names]
    return query(check.msginfo_url, settings.accountno, check.msginfo_user, check.msginfo_pwd, ids)


def read_log(vendor_message_id: str, response: Response) -> Report | None:
    """The final state of a message, or None while there is none: not yet in the log, or SENT.

    A word that is not in the table gives a report whose state is None. The destination is left out where the vendor
    masks it, as in its sample. An empty date is no time.

    Raises:
        AccountBlocked: see `authenticated`.
        Unreadable: no such XML, or it speaks of another message or of several.
    """
    root = authenticated(response)
    records = [element for element in root.iter() if local_name(element) == "msginfo"]
    if not records:
        return None
    if len(records) > 1:
        raise Unreadable("speaks of several messages")
    fields = xml_fields(records[0])
    about = fields.get("msgid", "")
    if _DIGITS.fullmatch(about) and about != vendor_message_id:
        raise Unreadable("speaks of another message")
    word = fields.get("receivestatus", "")
    if not word or word.upper() == SENT:
        return None
    destination = fields.get("destination", "")
    return Report(
        state=STATES.get(word.upper()),
        raw_state=word,
        number=f"+{destination}" if _NUMBER.fullmatch(destination) else None,
        vendor_message_id=vendor_message_id,
        code=None if word.upper() == "DELIVERED" else word,
        occurred_at=parse_wall_clock(fields.get("deliverydate", "")),
    )
