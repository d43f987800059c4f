"""The process's logs as they are configured, for a while, in a stream of the test's own."""

from __future__ import annotations

import io
import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from config.logging import configure_logging
from config.settings import Settings


@contextmanager
def logs_of(settings: Settings) -> Iterator[io.StringIO]:
    """What is logged within the block, at every level; what was configured before stands again afterwards."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, sys.excepthook, threading.excepthook)
    stream = io.StringIO()
    configure_logging(settings, logging.DEBUG, stream)
    try:
        yield stream
    finally:
        root.handlers[:], level, sys.excepthook, threading.excepthook = before
        root.setLevel(level)
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()
