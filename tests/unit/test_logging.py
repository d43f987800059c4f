"""Nothing secret or personal reaches a log, whoever wrote the line and however it was wrapped."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import aiohttp
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from config.logging import configure_logging
from config.redaction import REMOVED, Redactor, secrets_in
from config.settings import AccountSettings, Settings

SECRET = "canary/pass+wörd"
TEXT = "您的验证码 1125 canary-text"
NUMBER = "+85298882844"


class VendorSettings(AccountSettings):
    """An account with a secret of its own."""

    pwd: SecretStr


SETTINGS = Settings(
    redis_url="redis://user:redis-canary@127.0.0.1:6379/0",
    accounts={"hk": VendorSettings(provider="x", pwd=SecretStr(SECRET), push_token=(SecretStr("token-canary"),))},
)


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


@contextmanager
def logging_to(stream: io.StringIO, level: int) -> Iterator[None]:
    """Logs go to `stream`; what was configured before stands again afterwards."""
    root = logging.getLogger()
    before = (root.handlers[:], root.level, sys.excepthook, threading.excepthook)
    configure_logging(SETTINGS, level, stream)
    try:
        yield
    finally:
        root.handlers[:], old_level, sys.excepthook, threading.excepthook = before
        root.setLevel(old_level)
        logging.captureWarnings(capture=False)
        structlog.reset_defaults()


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where this test's logs go, at DEBUG."""
    stream = io.StringIO()
    with logging_to(stream, logging.DEBUG):
        yield stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    """What was logged, a dictionary a line."""
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def assert_clean(stream: io.StringIO) -> None:
    """Something was logged, and no canary is in it: the time aside, whose microseconds may hold its digits."""
    written = re.sub(r'"at": "[^"]*"', "", stream.getvalue())
    assert written != ""
    for canary in ("canary", "w%C3%B6rd", "98882844", "1125"):
        assert canary not in written


def test_the_parts_of_a_line(stream: io.StringIO) -> None:
    """One JSON object with time, level, logger, what happened, and the bound and given fields."""
    with structlog.contextvars.bound_contextvars(account="hk"):
        structlog.get_logger("tasks.send.drain").info("call ended", took_ms=12_345_678, recipients=100)
    (line,) = lines(stream)
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "tasks.send.drain",
        "account": "hk",
        "event": "call ended",
        "took_ms": 12_345_678,
        "recipients": 100,
    }


def test_fields_with_telling_names_are_removed(stream: io.StringIO) -> None:
    """A text or password under its own name goes, even deep inside."""
    structlog.get_logger().info("sent", text=TEXT, rows=[{"content": TEXT, "to": NUMBER, "Pwd": SECRET}])
    (line,) = lines(stream)
    assert line["text"] == REMOVED
    assert line["rows"] == [{"content": REMOVED, "to": "+852****44", "Pwd": REMOVED}]


def test_secrets_are_found_wherever_they_stand(stream: io.StringIO) -> None:
    """As they are, percent-encoded, in an object's repr, as a part of a word."""
    structlog.get_logger().info(
        f"login with {SECRET}", url="https://h/canary%2Fpass%2Bw%C3%B6rd/x", what=("x" + SECRET,), other={"a": {SECRET}}
    )
    assert_clean(stream)


@pytest.mark.parametrize(
    "logger", ["aiohttp.access", "aiohttp.client", "celery.app.trace", "kombu", "redis", "asyncio"]
)
def test_other_peoples_loggers_are_redacted_at_debug(stream: io.StringIO, logger: str) -> None:
    """Their arguments, the addresses they print and the dictionaries they show."""
    theirs = logging.getLogger(logger)
    theirs.debug("GET %s for %s", f"https://u:{SECRET}@h/send?mobile=85298882844&text=canary", NUMBER)
    theirs.debug("POST body %r", {"pwd": "canary", "content": TEXT, "phone": 85298882844})
    theirs.debug('"POST /push/hk/canary?x=canary HTTP/1.1" 200')
    theirs.debug("%(args)s", {"args": f'msg="{TEXT} \\" canary" password: canary, to=85298882844'})
    assert_clean(stream)


def fail() -> None:
    """An error that tells too much."""
    raise OSError(f"https://h/send?pwd={SECRET}&mobile=85298882844")


def fail_because_of_another() -> None:
    """An error with a cause, both of which tell too much."""
    try:
        fail()
    except OSError as error:
        raise RuntimeError(f"for {NUMBER}, pwd={SECRET!r}") from error


def test_exceptions_are_redacted(stream: io.StringIO) -> None:
    """Messages of exceptions and of their causes, from structlog and from the standard library."""
    try:
        fail_because_of_another()
    except RuntimeError:
        structlog.get_logger().exception("structlog")
        logging.getLogger("celery").exception("standard library")
    assert [("exception" in line) for line in lines(stream)] == [True, True]
    assert "OSError" in lines(stream)[0]["exception"]
    assert_clean(stream)


async def test_the_address_in_an_error_of_aiohttp_loses_its_query(stream: io.StringIO) -> None:
    """The library puts the whole address into what it raises."""
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.InvalidURL) as raised:
            await session.get("http://:0/send?pwd=canary&mobile=85298882844")
    logging.getLogger("workers").error("call failed: %r", raised.value)
    assert_clean(stream)


def test_warnings_and_uncaught_errors_go_the_same_way(stream: io.StringIO) -> None:
    """Nothing writes around the redaction to standard error."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=True)
        warnings.warn(f"about {NUMBER}", stacklevel=1)
    error = ValueError(f"pwd={SECRET}")
    sys.excepthook(ValueError, error, None)
    threading.excepthook(threading.ExceptHookArgs((ValueError, error, None, threading.current_thread())))
    assert len(lines(stream)) == 3
    for canary in ("canary/", "98882844"):
        assert canary not in stream.getvalue()


def test_a_cancelled_task_of_asyncio_is_redacted(stream: io.StringIO) -> None:
    """What nobody awaited is reported by asyncio's own logger."""
    loop = asyncio.new_event_loop()
    loop.call_exception_handler({"message": f"lost {NUMBER}", "exception": ValueError(SECRET)})
    loop.close()
    assert_clean(stream)


def test_a_terminal_gets_lines_for_people() -> None:
    """Colours instead of JSON, and just as clean."""
    terminal = Terminal()
    with logging_to(terminal, logging.INFO):
        structlog.get_logger().info("sent", to=NUMBER, text=TEXT)
    assert "sent" in terminal.getvalue()
    assert_clean(terminal)


@pytest.mark.parametrize(("level", "expected"), [(logging.INFO, ["odd"]), (logging.DEBUG, ["received", "odd"])])
def test_lines_for_every_wake_up_are_left_out(level: int, expected: list[str]) -> None:
    """Celery's own line for each task would drop_silent_processes everything else; at DEBUG they are there."""
    stream = io.StringIO()
    with logging_to(stream, level):
        logging.getLogger("celery.worker.strategy").info("received")
        logging.getLogger("celery.worker.strategy").warning("odd")
    assert [line["event"] for line in lines(stream)] == expected


TEXTS = [
    ("to +85298882844 now", "to +852****44 now"),
    ("8613800138000,8613800138001", "8613****00,8613****01"),
    ("+852 9888 2844", "+852****44"),
    ("phone85298882844x", "phone8529****44x"),
    ("code 112556 and 123456", "code 112556 and 123456"),
    ("id 12345678901234567890", "id 1234****90"),
    ("https://u:p@h:8080/a/b?c=d#e.", "https://h:8080/a/b?…"),
    ("redis://:pw@h/0", "redis://h/0"),
    ("unix:///run/x.sock?db=1", "unix:///run/x.sock?…"),
    ("at 2026-11-22T00:43:34.505752Z", "at 2026-11-22T00:43:34.505752Z"),
    ('{"text": "a \\" b", "x": 1}', f'{{"text": {REMOVED}, "x": 1}}'),
    ("pwd=abc&uid=5", f"pwd={REMOVED}&uid=5"),
]


@pytest.mark.parametrize(("text", "expected"), TEXTS)
def test_what_becomes_of_a_text(text: str, expected: str) -> None:
    """Numbers masked, addresses bare, assigned secrets gone; ids, codes and times stay readable."""
    assert Redactor().text(text) == expected


@given(st.text(), st.text(min_size=3), st.text())
def test_a_secret_never_survives(before: str, secret: str, after: str) -> None:
    """Whatever stands around it, and whatever it is made of."""
    cleaned = Redactor([secret]).text(f"{before}{secret}{after}")
    assert not any(secret in part for part in cleaned.split(REMOVED))


@given(st.from_regex(r"\+?[1-9][0-9]{6,14}", fullmatch=True))
def test_a_whole_number_never_survives(number: str) -> None:
    """As a text, as an integer, under any name but that of an id or a measure."""
    redactor = Redactor()
    assert number not in redactor.text(f"to {number}.")
    assert number.removeprefix("+") not in str(redactor.fields({"to": int(number)}))


def test_the_secrets_of_settings_are_all_found() -> None:
    """Every SecretStr, however deep, and the passwords in URLs."""
    assert sorted(secrets_in(SETTINGS)) == sorted([SECRET, "token-canary", "redis-canary"])


@pytest.mark.parametrize(
    "shown",
    [
        *("138-0013-8000", "138 0013 8000", "(852) 9123 4567", "+852 9123 4567", "9123-4567", "+86-138-0013-8000"),
        *("2026030113800138000", "1380013800020260301101500", "(+852) 9123 4567", "+44 7911 123 456"),
    ],
)
def test_a_number_is_masked_however_it_is_written(shown: str) -> None:
    """In groups, and inside a longer run of digits."""
    cleaned = Redactor().text(f"a reply of {shown}, unread")
    assert shown not in cleaned
    assert "****" in cleaned


@pytest.mark.parametrize(
    "shown",
    [
        *("2026-03-01", "2026-03-01 10:15:00", "2026-03-01T10:15:00.123Z", "127.0.0.1:6379", "HTTP 503", "20 000 rows"),
        *("10:15:00", "1,000 of 20,000", "v9.1.2", "line 12, column 34", "p.106", "calls 10 20 30"),
    ],
)
def test_what_is_no_number_stays(shown: str) -> None:
    """Dates, addresses and counts are what logs are read for."""
    assert f"seen {shown} here" == Redactor().text(f"seen {shown} here")
