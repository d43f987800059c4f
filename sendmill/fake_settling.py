"""The part of `FakeClient` that has unconfirmed messages; see `sendmill.testing`."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from sendmill.errors import InvalidOption, NoSuchJob, UnknownAccount
from sendmill.messages import MessageInfo, Settled, Sweep, Unconfirmed, Verdict
from sendmill.states import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

NO_ANSWER = "no_answer"
"""The code of a message whose vendor said nothing."""

_BECOMES = {Verdict.SENT: State.SUBMITTED, Verdict.RESEND: State.SUBMITTED, Verdict.GIVE_UP: State.UNKNOWN}
"""What is sent again is submitted at once, as everything is here."""


class FakeSettling:
    """Lets answers be lost, and a person settle what became of them."""

    _now: Callable[[], datetime]

    @abstractmethod
    def _all_messages(self) -> Iterable[MessageInfo]:
        """Every message, in order."""

    @abstractmethod
    def _become(self, message: MessageInfo, state: State, code: str | None = None) -> None:
        """Move a message; a final state is an event."""

    def lose_answer(self, message_id: str) -> None:
        """Let the vendor's answer to a message be lost: it is unconfirmed. Raises NoSuchJob."""
        found = self._named(message_id)
        if not found:
            raise NoSuchJob(f"no message {message_id} is kept")
        self._become(found[0], State.UNCONFIRMED, NO_ANSWER)

    def unconfirmed(self, account: str | None = None) -> Iterator[Unconfirmed]:
        """The messages that `lose_answer` named and nobody settled."""
        known = {message.account for message in self._all_messages()}
        if account is not None and account not in known:
            raise UnknownAccount(f"no account {account} has messages here")
        for message in list(self._all_messages()):
            if message.state is State.UNCONFIRMED and account in (None, message.account):
                yield Unconfirmed(
                    message.message_id,
                    message.to,
                    message.account or "",
                    message.updated_at or self._now(),
                    message.code,
                    message.detail,
                )

    def sweeps(self) -> list[Sweep]:
        """None: nothing is left lying here."""
        return []

    def settle(self, message_or_job: str, verdict: Verdict | str, *, reason: str = "") -> Settled:
        """Settle as `Client.settle` does; what goes again is submitted at once. Raises NoSuchJob, InvalidOption."""
        del reason
        if verdict not in set(Verdict):
            raise InvalidOption(f"there is no verdict {str(verdict)[:40]!r}: there are {', '.join(Verdict)}")
        found = self._named(message_or_job)
        if not found:
            raise NoSuchJob(f"no job or message {message_or_job} is kept")
        waiting = [message for message in found if message.state is State.UNCONFIRMED]
        for message in waiting:
            chosen = Verdict(verdict)
            self._become(message, _BECOMES[chosen], f"settled_{chosen}" if chosen is Verdict.GIVE_UP else None)
        return Settled(len(waiting))

    def _named(self, message_or_job: str) -> list[MessageInfo]:
        return [
            message
            for message in self._all_messages()
            if message_or_job in (message.message_id, message.message_id.rpartition("-")[0])
        ]
