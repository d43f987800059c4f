"""Addresses that others name: those of private networks are known in every shape that a socket may be given."""

from __future__ import annotations

import pytest

from sendmill import InvalidOption
from sendmill.webhooks.signing import new_secret, secret_bytes
from sendmill.webhooks.targets import checked_url, is_public

PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "0.0.0.0",  # noqa: S104 - it is refused
    "10.0.0.1",
    "100.64.0.1",
    "169.254.169.254",
    "172.16.0.1",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "2002:7f00:1::",
    "fc00::1",
    "fe80::1",
    "fe80::1%eth0",
    "ff02::1",
    "2001:db8::1",
]
PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"]


@pytest.mark.parametrize("address", PRIVATE)
def test_private_addresses(address: str) -> None:
    """This machine, private networks, links, groups, what is reserved; those inside IPv6 too."""
    assert not is_public(address)


@pytest.mark.parametrize("address", PUBLIC)
def test_public_addresses(address: str) -> None:
    """All others."""
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/hook",
        "ftp://example.com/hook",
        "http://example.com/hook",
        "https:///hook",
        "https://user:pw@example.com/hook",
        "https://example.com/hook#here",
        "https://example.com/a hook",
        "https://example.com/鉤",
        "https://example.com:0/hook",
        "https://example.com:99999/hook",
        "https://127.0.0.1/hook",
        "https://[::1]/hook",
        "https://169.254.169.254/latest",
        "https://example.com/" + "a" * 2000,
    ],
)
def test_an_address_that_may_not_be_told(url: str) -> None:
    """Where it may be private is said; it is not repeated, because it may hold a secret."""
    with pytest.raises(InvalidOption) as refused:
        checked_url(url, allow_private=False)
    assert not url or url not in str(refused.value)


def test_a_private_address_is_taken_where_it_is_allowed() -> None:
    """Without TLS too: it does not leave the network."""
    for url in ("http://10.0.0.7:8080/hook?a=b", "http://crm.internal/hook", "https://example.com/hook"):
        assert url == checked_url(url, allow_private=True)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "whsec_c2hvcnQ=",
        "whsec_no base64",
        "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=",
        "whsec_" + "A" * 90,
    ],
)
def test_what_is_no_secret(secret: str) -> None:
    """24 to 64 bytes, as Standard Webhooks has it; it is not repeated."""
    with pytest.raises(InvalidOption) as refused:
        secret_bytes(secret)
    assert not secret.removeprefix("whsec_") or secret not in str(refused.value)


def test_a_new_secret_is_one() -> None:
    """32 bytes that nobody knows."""
    assert 32 == len(secret_bytes(new_secret()))
    assert new_secret() != new_secret()
