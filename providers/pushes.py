"""What an account offers its vendor to push to, and what keeps others from pushing there."""

from __future__ import annotations

from typing import Final

from config.settings import AccountSettings
from providers.base import Provider
from sendmill.features import Feature

SHORTEST_TOKEN_CHARS: Final = 16
"""A token of so many random characters is not guessed."""

_PUSHED = frozenset({Feature.REPORTS_PUSHED, Feature.REPLIES_PUSHED})


def without_unreachable(features: frozenset[Feature], settings: AccountSettings) -> frozenset[Feature]:
    """The features, without what is pushed where nothing can be."""
    return features if settings.push_token else features - _PUSHED


def push_warning(provider: Provider, settings: AccountSettings) -> str:
    """Why somebody else than the vendor might push to this account, and the mend; empty where nobody could.

    Without a token an account has no address, so nobody can push to it at all.
    """
    if not settings.push_token:
        return ""
    why = []
    if any(len(token.get_secret_value()) < SHORTEST_TOKEN_CHARS for token in settings.push_token):
        why.append(f"push_token has fewer than {SHORTEST_TOKEN_CHARS} characters and might be guessed")
    if provider.unproven_pushes:
        why.append(f"nothing but the address proves a push: set {provider.unproven_pushes}")
    return "; ".join(why)
