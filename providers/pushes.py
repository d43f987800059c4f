"""What an account without a push token does not offer: its vendor knows no address of ours."""

from __future__ import annotations

from config.settings import AccountSettings
from sendmill.features import Feature

_PUSHED = frozenset({Feature.REPORTS_PUSHED, Feature.REPLIES_PUSHED})


def without_unreachable(features: frozenset[Feature], settings: AccountSettings) -> frozenset[Feature]:
    """The features, without what is pushed where nothing can be."""
    return features if settings.push_token else features - _PUSHED
