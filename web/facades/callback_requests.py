"""What senders of other systems' requests want to be told, and how their own system would say it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Final, NamedTuple
from urllib.parse import quote_plus, urlencode

import msgspec

from sendmill.messages import FORGOTTEN, ReportEvent
from sendmill.states import State
from web.facades.sids import sid_of

API_VERSION: Final = "2010-04-01"

TWILIO_STATUS: Final[Mapping[State, str]] = {
    State.ACCEPTED: "queued",
    State.SCHEDULED: "scheduled",
    State.QUEUED: "queued",
    State.SUBMITTING: "sending",
    State.UNCONFIRMED: "sending",
    State.SUBMITTED: "sent",
    State.DELIVERED: "delivered",
    State.UNDELIVERED: "undelivered",
    State.REJECTED: "undelivered",
    State.EXPIRED: "failed",
    State.FAILED: "failed",
    State.SUPPRESSED: "failed",
    State.CANCELLED: "canceled",
    State.UNKNOWN: "sent",
}
"""Twilio's words for ours."""

_UNKNOWN_ERROR: Final = 30008
_BLOCKED: Final = 21610
_TOO_LATE: Final = 30036
_TWILIO_CODE: Final[Mapping[State, int]] = {
    State.UNDELIVERED: _UNKNOWN_ERROR,
    State.REJECTED: _UNKNOWN_ERROR,
    State.FAILED: _UNKNOWN_ERROR,
    State.SUPPRESSED: _BLOCKED,
    State.EXPIRED: _TOO_LATE,
}

KANNEL_SUCCESS, KANNEL_FAIL, KANNEL_SMSC_SUCCESS, KANNEL_SMSC_FAIL = 1, 2, 8, 16
_KANNEL_TYPE: Final[Mapping[State, int]] = {
    State.SUBMITTED: KANNEL_SMSC_SUCCESS,
    State.DELIVERED: KANNEL_SUCCESS,
    State.UNDELIVERED: KANNEL_FAIL,
    State.EXPIRED: KANNEL_FAIL,
    State.REJECTED: KANNEL_SMSC_FAIL,
    State.FAILED: KANNEL_SMSC_FAIL,
    State.SUPPRESSED: KANNEL_SMSC_FAIL,
    State.CANCELLED: KANNEL_SMSC_FAIL,
}
"""dlr-type of Kannel's user guide. Type 4 is a message that waits at its SMSC, of which vendors here do not tell."""

_ESCAPE: Final = re.compile(r"%([a-zA-Z%])")


class CallbackRequest(NamedTuple):
    """What is to be sent to whoever wants to be told."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None


def twilio_code(state: State) -> int | None:
    """Twilio's error code of a state, None where it is no failure."""
    return _TWILIO_CODE.get(state)


class TwilioCallback(msgspec.Struct, frozen=True, tag="twilio"):
    """A StatusCallback. `signatures` are those of every form that it may have, by its state: they are made when the
    message is, so that nobody keeps the token.

    A repr does not show them.
    """

    url: str
    account_sid: str
    sender: str
    signatures: dict[str, str] = {}
    begins_ms: int = 0
    """When its messages may go to the vendor."""

    @property
    def tells_accepted(self) -> bool:
        """Whether it tells that the vendor has taken a message."""
        return True

    @property
    def tells_late(self) -> bool:
        """Whether it still does when the message has ended: Twilio's users take the last status for the latest."""
        return False

    def signed(self, token: str, message_id: str, to: str) -> TwilioCallback:
        """The same with its signatures."""
        signatures = {
            state.value: twilio_signature(token, self.url, self._form(state, message_id, to))
            for state in TWILIO_STATUS
            if _is_told(state)
        }
        return msgspec.structs.replace(self, signatures=signatures)

    def request(self, event: ReportEvent) -> CallbackRequest | None:
        """What to send for an event; None where Twilio would say nothing."""
        signature = self.signatures.get(event.state.value)
        if signature is None or event.to == FORGOTTEN:
            return None
        body = urlencode(self._form(event.state, event.message_id, event.to)).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "X-Twilio-Signature": signature}
        return CallbackRequest("POST", self.url, headers, body)

    def _form(self, state: State, message_id: str, to: str) -> dict[str, str]:
        sid, status = sid_of(message_id), TWILIO_STATUS[state]
        form = {"MessageSid": sid, "SmsSid": sid, "AccountSid": self.account_sid, "To": to}
        form |= {"MessageStatus": status, "SmsStatus": status, "ApiVersion": API_VERSION}
        if self.sender:
            form["From"] = self.sender
        if (code := twilio_code(state)) is not None:
            form["ErrorCode"] = str(code)
        return form

    def __repr__(self) -> str:
        return "TwilioCallback()"


class KannelCallback(msgspec.Struct, frozen=True, tag="kannel"):
    """A dlr-url with a dlr-mask. A repr does not show it."""

    url: str
    mask: int
    sender: str
    begins_ms: int = 0
    """When its messages may go to the vendor."""

    @property
    def tells_accepted(self) -> bool:
        """Whether it tells that the vendor has taken a message."""
        return bool(self.mask & KANNEL_SMSC_SUCCESS)

    @property
    def tells_late(self) -> bool:
        """Whether it still does when the message has ended."""
        return True

    def request(self, event: ReportEvent) -> CallbackRequest | None:
        """What to ask for an event; None where the mask leaves it out."""
        kind = _KANNEL_TYPE.get(event.state, 0)
        if not kind & self.mask or event.to == FORGOTTEN:
            return None
        at = event.occurred_at or event.received_at
        # In a delivery report Kannel's %P is the handset and %p who it was sent by: gw/urltrans.c.
        values = {
            "d": str(kind),
            "P": event.to,
            "p": self.sender,
            "t": f"{at:%Y-%m-%d} {at:%H:%M:%S}",
            "T": str(int(at.timestamp())),
            "F": event.vendor_message_id or "",
            "I": event.message_id,
            "i": event.account or "",
            "A": " ".join(part for part in (event.state.value, event.code, event.detail) if part),
            "%": "%",
        }
        url = _ESCAPE.sub(lambda found: quote_plus(values[found[1]]) if found[1] in values else found[0], self.url)
        return CallbackRequest("GET", url, {}, None)

    def __repr__(self) -> str:
        return "KannelCallback()"


Callback = TwilioCallback | KannelCallback


def twilio_signature(token: str, url: str, form: Mapping[str, str]) -> str:
    """X-Twilio-Signature: base64 of HMAC-SHA1 over the address and the form's fields in order.

    https://www.twilio.com/docs/usage/security#validating-requests
    """
    signed = url + "".join(name + form[name] for name in sorted(form))
    return base64.b64encode(hmac.digest(token.encode(), signed.encode(), hashlib.sha1)).decode()


def _is_told(state: State) -> bool:
    """Of an unknown end Twilio says nothing: its last word is `sent`."""
    return state is State.SUBMITTED or (state.final and state is not State.UNKNOWN)
