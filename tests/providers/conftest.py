"""The loop on which workers send: transports differ in when they write, and how they tell of an end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """uvloop's alone."""
    return {"uvloop": uvloop.new_event_loop}
