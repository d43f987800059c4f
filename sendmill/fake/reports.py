"""The part of `FakeClient` with which a test says what vendors and handsets do; see `sendmill.testing`."""

from __future__ import annotations

from datetime import timedelta

from sendmill.errors import StoreError
from sendmill.fake.store import FAKE_ACCOUNT, FakeStore, SentMessage
from sendmill.messages import (
    ReplyEvent,
    ReportEvent,
)
from sendmill.numbers import normalise
from sendmill.states import FINAL, LATE_TRUTH, State

_REPLY_WINDOW = timedelta(days=7)


class FakeReports(FakeStore):
    """Reports and replies, as they move states and are matched in earnest."""

    def report(
        self,
        message: SentMessage | str,
        state: State | str = State.DELIVERED,
        *,
        code: str | None = None,
        detail: str | None = None,
    ) -> ReportEvent | None:
        """Let the vendor report on a message. States move as they do in earnest: a final state stays.

        Args:
            message: one of `sent`, or a message id.
            state: a final state.
            code: the vendor's code.
            detail: the vendor's words.

        Returns:
            The event, or None where the report changes nothing.

        Raises:
            StoreError: the state is not final, so no report can bring it.
        """
        new = State(state)
        if new not in FINAL:
            raise StoreError(f"a report cannot bring the state {new}: it is not final")
        message_id = message if isinstance(message, str) else message.message_id
        known = self._message(message_id)
        if known.state in FINAL and known.state not in LATE_TRUTH:
            return None
        fake = self._job(message_id.rpartition("-")[0])
        self._move(fake, known, new, code=code, detail=detail)
        return self._report_event(fake, fake.messages[message_id], known.state)

    def reply(self, number: str, text: str, *, account: str | None = None, extno: str | None = None) -> ReplyEvent:
        """Let a handset answer: matched to the latest message to it within 7 days, as in earnest.

        A reply that is an opt-out or opt-in word of `sendmill.optouts` is heeded, as where a site configures none.
        """
        from_ = normalise(number)
        now = self._now()
        sent = [
            (message, str(fake.options.vendor.get("extno", "")))
            for fake in reversed(list(self._jobs.values()))
            for message in reversed(list(fake.messages.values()))
            if message.to == from_
            and message.submitted_at is not None
            and now - message.submitted_at <= _REPLY_WINDOW
            and account in (None, message.account)
        ]
        by_extno = next((message for message, sent_with in sent if extno and sent_with == extno), None)
        answered = by_extno or next((message for message, _ in sent), None)
        event = ReplyEvent(
            id=f"{next(self._numbers)}-0",
            account=account or (answered.account if answered else FAKE_ACCOUNT),
            occurred_at=now,
            received_at=now,
            from_=from_,
            text=text,
            extno=extno,
            message_id=answered.message_id if answered else None,
            matched_by="extno" if by_extno else "number" if answered else None,
        )
        self._events.append(event)
        self._heed(from_, text, event.account or FAKE_ACCOUNT)
        return event
