"""Logs: one JSON object a line (coloured lines on a terminal), from our code and everybody else's, always redacted."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from config.redaction import Redactor, secrets_in
from config.settings import Settings
from sendmill.errors import ConfigError

_SAYS_EVERY_WAKE_UP: Final = ("celery.worker.strategy", "celery.app.trace", "celery.beat")
"""These write a line for each task; at four wake-ups a second nobody finds anything else any more."""

LEVEL_VARIABLE: Final = "SENDMILL_LOG_LEVEL"

_log = logging.getLogger(__name__)


def level_from(environ: Mapping[str, str]) -> int:
    """The lowest level that is written, by the environment; INFO where it names none.

    Raises:
        ConfigError: there is no such level.
    """
    name = environ.get(LEVEL_VARIABLE) or "INFO"
    level = logging.getLevelNamesMapping().get(name.upper())
    if level is None:
        raise ConfigError(f"environment: {LEVEL_VARIABLE} is no level: DEBUG, INFO, WARNING or ERROR")
    return level


def configure_logging(settings: Settings, level: int | str = logging.INFO, stream: TextIO | None = None) -> None:
    """Send every log of the process, redacted, to `stream`.

    structlog's, the standard library's, warnings, and exceptions that nobody caught go the same way.

    Args:
        settings: their secrets and the passwords in their URLs are removed from every line.
        level: the lowest level that is written, as `logging` names it.
        stream: standard error where None; JSON unless it is a terminal.
    """
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_formatter(Redactor(secrets_in(settings)), terminal=stream.isatty()))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _SAYS_EVERY_WAKE_UP:
        logging.getLogger(name).setLevel(logging.NOTSET if root.level <= logging.DEBUG else logging.WARNING)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_COMMON,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


_COMMON: Final[Sequence[Processor]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.add_logger_name,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
)


def _formatter(redactor: Redactor, *, terminal: bool) -> structlog.stdlib.ProcessorFormatter:
    def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        kept = {key: event.pop(key) for key in ("at", "level", "logger") if key in event}
        return {**kept, **redactor.fields(event)}

    last: Processor
    if terminal:
        last = structlog.dev.ConsoleRenderer(
            timestamp_key="at", exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        )
    else:
        last = structlog.processors.JSONRenderer(ensure_ascii=False)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=list(_COMMON),
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info,
            redact,
            last,
        ],
    )


def _uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
    else:
        _log.critical("an error that nobody caught ends the process", exc_info=(kind, error, trace))


def _uncaught_in_thread(what: threading.ExceptHookArgs) -> None:
    if what.exc_value is not None:
        name = what.thread.name if what.thread else "?"
        _log.critical(
            "an error that nobody caught ends the thread %s",
            name,
            exc_info=(what.exc_type, what.exc_value, what.exc_traceback),
        )
