"""One meaning of "Redis is away", for everything of this project that speaks to it.

A server that cannot be reached, one that does not answer in time, a connection that somebody reset, and a server that
answers and takes nothing for now (a demoted master, one without its replicas, one that loads, whose disk is full, whose
script runs for long, whose rights were changed): all of it passes, or is mended by a person, and whoever asked may ask
again. What is not here, such as an error inside a script, is final: to ask again would give the same answer.
"""

from __future__ import annotations

from typing import Final

from redis.exceptions import AuthenticationError, AuthorizationError, ResponseError, WatchError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

GONE: Final = "gone"
"""There is no connection, or none any more."""

TIMEOUT: Final = "timeout"

FULL: Final = "OOM"

DENIED: Final = frozenset({"NOAUTH", "WRONGPASS", "NOPERM"})
"""A person has to mend the user, the password or the rights; until then it is as away as any other."""

REFUSALS: Final = DENIED | {
    *("READONLY", "UNBLOCKED", "MASTERDOWN", "NOREPLICAS", "LOADING"),
    *("CLUSTERDOWN", "TRYAGAIN", "MISCONF", "BUSY", FULL),
}
"""First words of a server that takes nothing for now. Source: valkey, src/server.c, createSharedObjects."""

_CLOSED = ("the handler is closed", "closing transport", "TCPTransport closed", "UnixTransport closed")
"""What uvloop says in a bare RuntimeError where a connection is written to that its other end has reset."""


_SAID = {GONE: "there is no connection", TIMEOUT: "it does not answer in time"}


class RedisAway(RedisConnectionError):
    """Redis does not do what it was asked, and may do it later; nobody knows whether it did it.

    Args:
        code: GONE, TIMEOUT, or the server's own word, one of REFUSALS.
    """

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message or _SAID.get(code, f"it answers {code}"))
        self.code = code

    @property
    def denied(self) -> bool:
        """Whether a person has to mend user, password or rights."""
        return self.code in DENIED


def away_from(error: BaseException) -> RedisAway | None:
    """The one error for whatever redis-py, the event loop or the server says; None where it is final.

    Its message never quotes the server, which may quote arguments.
    """
    if isinstance(error, RedisAway):
        return error
    code = _code_of(error)
    return RedisAway(code) if code else None


def _code_of(error: BaseException) -> str:
    if isinstance(error, WatchError) and error.__context__ is not None:
        # The connection died while keys were watched; redis-py would try again for ever, where it led before.
        return _code_of(error.__context__)
    word = first_word(error)
    if word in REFUSALS:
        return word
    if isinstance(error, AuthenticationError | AuthorizationError):
        return "NOAUTH"
    if isinstance(error, RedisTimeoutError | TimeoutError):
        return TIMEOUT
    closed = isinstance(error, RuntimeError) and any(words in str(error) for words in _CLOSED)
    return GONE if closed or isinstance(error, RedisConnectionError | OSError) else ""


def first_word(error: BaseException) -> str:
    """The word that the server's answer began with, "" where it was none."""
    if not isinstance(error, ResponseError | RedisConnectionError):
        return ""
    # redis-py takes it off the message where it has a type for it.
    return str(getattr(error, "status_code", None) or str(error).partition(" ")[0])
