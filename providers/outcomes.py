"""From a vendor's code to the outcome of a call."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from sendmill.errors import NotSent, OutcomeUnknown, ProviderError

CodeTable = Mapping[str, type[ProviderError] | None]
"""What a documented code means: a class of error, or None where the vendor accepted.

Codes are compared whole: `4072` is not `40722`.
"""

# An undocumented code is shown where it cannot be anything else. A longer run of digits may be somebody's number, and
# words may be the message: an answer that echoes the request must not carry it into an error.
_SHOWN = re.compile(r"-?[0-9]{1,6}", re.ASCII)


def judge(
    vendor: str, code: str, table: CodeTable, *, not_sent: Collection[str] = (), http_status: int | None = None
) -> None:
    """Raise what the code stands for; return where it means accepted.

    `not_sent` are the codes that the account takes as certainly not sent (`treat_as_not_sent`). They count only where
    the table leaves the outcome open, so that no setting turns an acceptance into a second message.

    Raises:
        ProviderError: of the table's class, with the code; OutcomeUnknown for a code that is not in the table.
    """
    outcome = table.get(code, OutcomeUnknown)
    if outcome is None:
        return
    if outcome is OutcomeUnknown and code in not_sent:
        outcome = NotSent
    if code not in table and not _SHOWN.fullmatch(code):
        raise outcome(f"{vendor} answered with a code that its document does not list", http_status=http_status)
    meaning = (outcome.__doc__ or "").partition("\n")[0]
    raise outcome(f"{vendor} answered {code}: {meaning}", vendor_code=code, http_status=http_status)


def unreadable(vendor: str, why: str, *, http_status: int | None = None) -> OutcomeUnknown:
    """The error for an answer that the vendor's document does not explain. `why` quotes nothing of the answer."""
    return OutcomeUnknown(f"{vendor}'s answer {why}", http_status=http_status)
