"""Addresses that others name and that we post to: which of them may be, and which would lead into a private network."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

from sendmill.errors import InvalidOption

_URL_CHARS = 2000
_EMBEDDING = tuple(map(ip_network, ("64:ff9b::/96", "64:ff9b:1::/48")))
"""IPv6 networks whose last 32 bits are an IPv4 address (RFC 6052, RFC 8215)."""


def checked_url(url: str, *, allow_private: bool) -> str:
    """An address that events may be posted to. Only one of this network may be told without TLS.

    Raises:
        InvalidOption: it cannot be used. The address is not repeated: it may hold a secret.
    """
    try:
        parts = urlsplit(url)
        fit = url.isascii() and url.isprintable() and " " not in url and len(url) <= _URL_CHARS
        fit = fit and bool(parts.hostname) and parts.port != 0 and not parts.fragment
    except ValueError:
        raise InvalidOption("this is no address: write https://host/path") from None
    if not fit or parts.scheme not in {"http", "https"}:
        raise InvalidOption("this is no address: write https://host/path")
    if parts.username is not None:
        raise InvalidOption("the address holds a user: the signature says who posts, so leave it out")
    if not allow_private:
        if parts.scheme != "https":
            raise InvalidOption("events hold numbers and texts: write https://, or allow private addresses")
        if _is_address(parts.hostname or "") and not is_public(parts.hostname or ""):
            raise InvalidOption("the address is one of a private network: allow private addresses if that is meant")
    return url


def is_public(address: str) -> bool:
    """Whether an IP address is one of the Internet: not of this machine, a private network, a link, a group."""
    found = ip_address(address.partition("%")[0])
    if isinstance(found, IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if inner is None and any(found in network for network in _EMBEDDING):
            inner = IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
