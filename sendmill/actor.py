"""Who acts, and what is written down of it: see `sendmill.ledger.audit`."""

from __future__ import annotations

import getpass
import os
import socket
from dataclasses import dataclass
from datetime import datetime
from typing import Final

ACTOR_VARIABLE: Final = "SENDMILL_ACTOR"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a name, `via` console, cli, api or client, and the address that a request came from."""

    name: str
    via: str = "client"
    address: str = ""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What was done, or (`failed` says why) was not. `target` is an account, a job, a message or a masked number."""

    id: str
    at: datetime
    actor: str
    via: str
    action: str
    target: str
    before: str = ""
    after: str = ""
    reason: str = ""
    address: str = ""
    failed: str = ""


def this_person(via: str) -> Actor:
    """Whoever runs this process: SENDMILL_ACTOR, or the user and the machine."""
    named = os.environ.get(ACTOR_VARIABLE)
    if named:
        return Actor(named, via)
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        user = str(os.getuid())
    return Actor(f"{user}@{socket.gethostname()}", via)
