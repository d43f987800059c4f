"""The journal as text: one JSON object a call."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

from simulator.identifiers import vendor_message_id
from simulator.journal import ACCEPTED, KERNEL_STAMP, Journal, Row

_LINES_A_CHUNK = 200
# What each address of the documents is for; the names are those of the journal's endpoints.
_KINDS = {
    "sms": (
        "sendsms.php", "sendsms-batch.php", "sendsms-vercode.php", "send", "Submit", "get_send", "get_send_md5",
        "get_send_urldecode", "post_send", "post_send_md5", "post_send_urldecode",
    ),
    "template": ("sendsms-otp.php", "post_send_ddt"),
    "mms": ("sendmms.php",),
    "voice": ("send.php",),
    "email": ("email",),
    "upload": ("upload_img.php", "upload_wav.php"),
    "sender_id": ("add_senderid.php",),
    "reports": ("check_msginfo.php", "report"),
    "replies": ("reve", "reve_urlencode"),
    "balance": ("check_accinfo.php", "balance", "user_info", "user_info_urldecode", "GetNum"),
    "words": ("mgz",),
}  # fmt: skip
Reports = Callable[[int], tuple[list[str], str]]
"""Of a call's messages the states that they end in, in the vendor's words, and a digit each: 0 was not told yet, 1 was
pushed, 2 could not be pushed, 3 was fetched."""

_KIND_OF = {endpoint: kind for kind, endpoints in _KINDS.items() for endpoint in endpoints}


def as_line(row: Row, reports: Reports | None = None) -> str:
    """One call; numbers in E.164 digits, `text` one, or `texts` one a number; `reports` where they are asked for."""
    accepted = bool(row.flags & ACCEPTED)
    line: dict[str, object] = {
        "call": row.sequence,
        "arrival_ns": row.arrival_ns,
        "answered_ns": row.answered_ns,
        "stamp": "kernel" if row.flags & KERNEL_STAMP else "user",
        "vendor": row.key.vendor,
        "account": row.key.account,
        "endpoint": row.key.endpoint,
        "kind": _KIND_OF.get(row.key.endpoint, "other"),
        "accepted": accepted,
        "outcome": row.outcome,
        "numbers": [str(number) for number in row.numbers],
        "reference": row.reference,
        "start_ns": row.start_ns,
        "vendor_id": vendor_message_id(row.key.vendor, row.sequence, row.arrival_ns) if accepted else "",
    }
    if len(row.texts) > 1:
        line["texts"] = row.texts
    else:
        line["text"] = row.texts[0]
    if row.parts:
        line["parts"] = row.parts
    if row.fault:
        line["fault"] = row.fault
    if reports is not None and accepted:
        line["states"], line["told"] = reports(row.sequence)
    return json.dumps(line, ensure_ascii=False, separators=(",", ":"))


def chunks(
    journal: Journal, account: str, after: int, endpoint: str = "", reports: Reports | None = None
) -> Iterator[bytes]:
    """NDJSON of the calls after a sequence number, of one account and endpoint or (empty) of all."""
    lines: list[str] = []
    for row in journal.rows(after):
        if account in ("", row.key.account) and endpoint in ("", row.key.endpoint):
            lines.append(as_line(row, reports))
        if len(lines) >= _LINES_A_CHUNK:
            yield ("\n".join(lines) + "\n").encode()
            lines.clear()
    if lines:
        yield ("\n".join(lines) + "\n").encode()


class JournalFile:
    """A file that follows the journal; started anew with each process and each reset."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = 0
        path.write_bytes(b"")

    def write(self, journal: Journal) -> None:
        """Append the calls that are not in the file yet."""
        if len(journal) < self._written:
            self._path.write_bytes(b"")
            self._written = 0
        if len(journal) == self._written:
            return
        with self._path.open("ab") as file:
            for chunk in chunks(journal, "", self._written - 1):
                file.write(chunk)
        self._written = len(journal)
