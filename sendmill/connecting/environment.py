"""What the environment says of the ledger that a client is to use."""

from __future__ import annotations

import os
from typing import Any

from sendmill.errors import ConfigError

REDIS_URL = "SENDMILL_REDIS_URL"
BROKER_URL = "SENDMILL_BROKER_URL"
NAMESPACE = "SENDMILL_NAMESPACE"


def environment() -> dict[str, Any]:
    """The arguments of a client as the environment gives them.

    Raises:
        ConfigError: SENDMILL_REDIS_URL is not set.
    """
    url = os.environ.get(REDIS_URL)
    if not url:
        raise ConfigError(f"{REDIS_URL} is not set: give the URL of the workers' Redis, such as redis://host:6379/0")
    return {
        "url": url,
        "namespace": os.environ.get(NAMESPACE) or "sendmill",
        "broker_url": os.environ.get(BROKER_URL) or None,
    }
