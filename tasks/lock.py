"""The lock lies in the ledger, because the process `web` takes it too."""

from sendmill.ledger.lock import Held, kept, taken

__all__ = ["Held", "kept", "taken"]
