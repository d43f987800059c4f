"""The one parser of everything that AccessYou answers to a submit (accessyou.txt p.7, 43, 44, 83).

The document contradicts itself about the form, and servers differ: JSON behind one or more byte order marks, XML, the
bare id, or a word. So the body itself says what it is. A failed answer repeats the whole request, password included,
between `[debug]` and `[/debug]`: that is cut off before anything is read.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from providers.accessyou.codes import IP_WORD, STATUS, WORDS
from providers.reading import Unreadable, json_fields, text_of, xml_fields, xml_root

# To the end and not to `[/debug]`: the echoed message may hold that very word, and an id behind it.
_DEBUG_TAIL = re.compile(rb"\[debug\].*", re.IGNORECASE | re.DOTALL)

# The visitor's address stands in front and begins with digits.
_IP_REFUSAL = re.compile(rf"[0-9a-fA-F.:]{{2,45}}[\s-]+{IP_WORD}", re.IGNORECASE)

MESSAGE_ID = re.compile(r"[0-9]{1,32}", re.ASCII)
"""An id is a number (p.43): a string for us, because it must not pass through a double."""

_WORDS = {word.lower(): word for word in WORDS}
ACCEPTED = "100"


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer says: a code of the endpoint's table, and what it gave as the id (`msg_id`), if anything."""

    code: str
    message_id: str | None = None


def without_debug(body: bytes) -> bytes:
    """The body up to the vendor's echo of the request."""
    return _DEBUG_TAIL.sub(b"", body)


def read(body: bytes) -> Answer:
    """Read an answer to a submit.

    Raises:
        Unreadable: it has none of the known forms, or contradicts itself: an id beside a failure, or a bare number
            that could be a code as well as an id.
    """
    text = text_of(without_debug(body))
    if text.startswith("{"):
        return _from_fields(json_fields(text))
    if text.startswith("<"):
        return _from_fields(xml_fields(xml_root(text)))
    if MESSAGE_ID.fullmatch(text):
        if text in STATUS or not text.strip("0"):
            raise Unreadable("is a bare number that is no message id")
        return Answer(ACCEPTED, text)
    return Answer(_word(text))


def _from_fields(fields: dict[str, str]) -> Answer:
    # `{"msg_status":"104",…}`: strings in the document, numbers elsewhere.
    status = fields.get("msg_status", "").strip()
    message_id = fields.get("msg_id", "").strip()
    if not status:
        raise Unreadable("has no msg_status")
    code = _WORDS.get(status.lower(), status)
    if message_id in {"", "0"}:
        return Answer(code)
    if code in STATUS and code != ACCEPTED:
        raise Unreadable("has a message id beside a failure")
    return Answer(code, message_id)


def _word(text: str) -> str:
    if _IP_REFUSAL.fullmatch(text):
        return IP_WORD
    word = _WORDS.get(text.lower())
    if word is None:
        raise Unreadable("is no answer that the document describes" if text else "is empty")
    return word
