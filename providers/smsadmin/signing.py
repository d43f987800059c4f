"""The signature of a smsadmin.cn text: 【…】, which the vendor wants in every one."""

from __future__ import annotations

from typing import NamedTuple

from providers.signatures import bracketed, is_signed


class Signing(NamedTuple):
    """How an account signs: with what where a message names nothing, and at which end."""

    default: str | None
    prefixed: bool

    def signed(self, text: str, signature: str | None) -> str:
        """A text with the message's signature. The account's own stays away from a text that brings one."""
        if signature is None and is_signed(text):
            return text
        wanted = self.bracketed(signature)
        if not wanted or text.startswith(wanted) or text.endswith(wanted):
            return text
        return wanted + text if self.prefixed else text + wanted

    def bracketed(self, signature: str | None) -> str:
        """The signature that is wanted, in its brackets; empty for none."""
        return bracketed((self.default if signature is None else signature) or "")
