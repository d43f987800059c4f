"""The part of `FakeClient` that answers as vendors would; see `sendmill.testing`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sendmill.features import Feature, refuse_missing
from sendmill.media import UPLOADS, MediaName, read_source
from sendmill.messages import Kind
from sendmill.preparing.prepare import check_text


class FakeVendor:
    """Answers at once.

    Args:
        accounts: what workers would have published of accounts; of others everything is believed.
    """

    def __init__(self, accounts: Mapping[str, Mapping[str, Any]]) -> None:
        self._accounts = accounts
        self.sensitive_words: list[str] = []
        """What `check_words` finds where a text has it: for the test to fill."""
        self.uploads: list[MediaName] = []
        """Every file that a vendor would have fetched, by the name that it got."""
        self.senders: list[str] = []
        """Every sender ID that would have been registered."""

    def check_words(self, account: str, text: str, *, timeout_s: float = 15.0) -> list[str]:
        """Those of `sensitive_words` that a text has. Raises InvalidMessage, as `Client.check_words`."""
        del timeout_s
        check_text(text)
        refuse_missing(account, [Feature.CHECK_WORDS], (), self._accounts)
        return [word for word in self.sensitive_words if word in text]

    def upload(
        self, account: str, source: str | Path, *, kind: Kind | str | None = None, timeout_s: float = 30.0
    ) -> MediaName:
        """A name for a picture or a recording. Files are read and refused as `Client.upload` does."""
        del timeout_s
        told = self._accounts.get(account, {})
        wanted = read_source(source, kind, told.get("features", ()))
        refuse_missing(account, [UPLOADS[wanted.kind]], (), self._accounts)
        self.uploads.append(MediaName(f"upload{len(self.uploads) + 1}", wanted.kind, None))
        return self.uploads[-1]

    def add_sender(self, account: str, name: str, *, timeout_s: float = 15.0) -> str:
        """Note a sender ID. Raises UnsupportedFeature, as `Client.add_sender`."""
        del timeout_s
        refuse_missing(account, [Feature.ADD_SENDER], (), self._accounts)
        self.senders.append(name)
        return f"{name} is registered"
