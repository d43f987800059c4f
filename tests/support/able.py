"""A vendor that takes every kind of message, looks for words, fetches files and registers sender IDs.

Its form is as plain as can be: it stands in for those that do some of it, so that the way through sendmill is tested
without any one's own form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from urllib.parse import quote

from providers.base import Message, Request, Response, Upload
from providers.sms467890 import Sms467890, Sms467890Settings
from sendmill.errors import BadCredentials, RequestRefused, SenderNotAllowed
from sendmill.features import Feature
from sendmill.messages import Kind
from tasks.process.runtime import Runtime

KEPT_S = 14 * 86_400


class Able(Sms467890):
    """`url` is where the vendor is: `/words`, `/fetch` and `/sender` below it."""

    features = frozenset(Feature)
    options = frozenset({"dnc"})
    media_kept_s = KEPT_S
    url = ""

    def check(self, message: Message) -> None:
        """It refuses nothing."""

    def words_request(self, text: str) -> Request:
        """The text in the body."""
        return Request("POST", f"{self.url}/words", {}, text.encode())

    def words(self, response: Response) -> Sequence[str]:
        """A word a line; `auth` says that the vendor does not know us."""
        if response.body == b"auth":
            raise BadCredentials("the vendor does not know this user and password", vendor_code="101")
        return response.body.decode().splitlines()

    def upload_name(self, kind: Kind, url: str) -> str:
        """The same for all."""
        return f"{kind.value}1125"

    def upload_request(self, upload: Upload) -> Request:
        """The address in the query."""
        return Request("GET", f"{self.url}/fetch?name={upload.name}&url={quote(upload.url, safe='')}")

    def uploaded(self, upload: Upload, response: Response) -> None:
        """`ok`, or it could not be fetched."""
        if response.body != b"ok":
            raise RequestRefused("the vendor could not fetch the file", vendor_code="111")

    def sender_request(self, sender: str) -> Request:
        """Up to 11 characters."""
        if len(sender) > 11:
            raise SenderNotAllowed("a sender ID has at most 11 characters")
        return Request("GET", f"{self.url}/sender?from={quote(sender)}")

    def sender_added(self, response: Response) -> str:
        """What it says."""
        return response.body.decode()


@contextmanager
def able(runtime: Runtime, account: str, url: str) -> Iterator[None]:
    """Let one of a process's accounts be at such a vendor. Publish the runtime afterwards."""
    known = runtime.accounts[account]
    assert isinstance(known.settings, Sms467890Settings)
    provider = Able(account, known.settings)
    provider.url = url
    accounts = dict(runtime.accounts)
    runtime.accounts = {**accounts, account: replace(known, provider=provider)}
    try:
        yield
    finally:
        runtime.accounts = accounts
