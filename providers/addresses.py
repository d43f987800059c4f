"""Vendors' addresses as they stand in the configuration."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator


def _checked(url: str) -> str:
    # What is refused is not repeated: people paste addresses with the password in the query.
    if not url.isascii() or any(character <= " " or character == "\x7f" for character in url):
        raise ValueError("an address is ASCII without spaces: percent-encode the rest")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("not an address: write https://host/path") from None
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError("not an address: write https://host/path")
    if parts.query or parts.fragment or parts.username is not None or url.endswith(("?", "#")):
        raise ValueError("an address without user, query and fragment: parameters have keys of their own")
    return url


VendorUrl = Annotated[str, AfterValidator(_checked)]
"""`http://…` or `https://…` with a path and nothing behind it."""
