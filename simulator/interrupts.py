"""Ctrl-C, SIGTERM and SIGHUP for a program that has started others: never in the middle of something."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any, Final

_INTERRUPTS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """For programs: SIGTERM and SIGHUP end the block as Ctrl-C does, so that everything is taken down."""

    def interrupt(number: int, _: object) -> None:
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = {number: signal.signal(number, interrupt) for number in _INTERRUPTS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def interrupts_put_off() -> Iterator[None]:
    """Ctrl-C, SIGTERM and SIGHUP wait until the block has ended; the first of them is then handled.

    Also where the block fails: it may have failed because a child got the signal too.

    Children are not touched: they are started with the signals' default actions. Off the main thread, where Python
    handles no signals, the block is simply run.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    arrived: list[tuple[int, FrameType | None]] = []
    before: dict[int, Any] = {}
    for number in _INTERRUPTS:
        handler = signal.getsignal(number)
        if callable(handler):  # what is ignored, or ends us at once, stays as it is
            before[number] = handler
            signal.signal(number, lambda number, frame: arrived.append((number, frame)))
    try:
        yield
    finally:
        for held, handler in before.items():
            signal.signal(held, handler)
        if arrived:
            first, frame = arrived[0]
            before[first](first, frame)
