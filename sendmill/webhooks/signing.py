"""Signatures of webhooks as Standard Webhooks writes them: `v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence

from sendmill.errors import InvalidOption

SECRET_PREFIX = "whsec_"
_SECRET_BYTES = 32
_SECRETS_BYTES = range(24, 65)  # as Standard Webhooks has it


def signed_headers(keys: Sequence[str], message_id: str, at_s: int, body: bytes) -> dict[str, str]:
    """The headers of one POST, with a signature for each secret.

    Raises:
        InvalidOption: a secret is none.
    """
    signed = b"%s.%d." % (message_id.encode(), at_s) + body
    digests = [hmac.digest(secret_bytes(key), signed, hashlib.sha256) for key in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests),
    }


def secret_bytes(secret: str) -> bytes:
    """What is signed with.

    Raises:
        InvalidOption: it is none.
    """
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        key = b""
    if not secret.startswith(SECRET_PREFIX) or len(key) not in _SECRETS_BYTES:
        raise InvalidOption("a webhook's secret is whsec_ and 24 to 64 bytes in base64")
    return key


def new_secret() -> str:
    """A secret that nobody knows."""
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def new_id() -> str:
    """An id that no other POST has."""
    return f"msg_{secrets.token_hex(12)}"
