"""Reports and replies that xioo pushes (xioo.txt §3 and §4), and the proof that they come from it.

A reply push packs records into one field: `mobile#@#content#@#time#@#extno`, joined by `#@@#`. An empty extno before
the joint reads `#@##@@#`, and a handset may write `#@#` itself: so a record begins at the start or behind a joint that
is followed by a number and `#@#`, its first field and its last two are cut off, and what is between is the content.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from providers.base import Proof, Push, Received, Reply, Report
from providers.clock import parse_moment, parse_wall_clock
from providers.forms import push_fields
from providers.mainland import sender_of_reply, state_of, to_e164
from providers.xioo.codes import STATES
from providers.xioo.settings import XiooSettings
from sendmill.errors import PushRefused
from sendmill.states import State

CHARSET = "utf-8"
"""§1.4."""

_SEPARATOR = "#@#"
_JOINT = re.compile(r"#@@#(?=\s*(?:\+?[0-9]{3,20}#@#|\Z))")
_PWD = re.compile(rb"((?:^|&)pwd=)[^&]*", re.IGNORECASE)
_ENDS = 2
_DAY_S = 86_400.0


def fields_of(push: Push) -> Mapping[str, str]:
    """The fields of a push."""
    return push_fields(push, CHARSET)


def authenticate(fields: Mapping[str, str], settings: XiooSettings, now: datetime) -> None:
    """Check name and pwd of a push.

    §3.1: the name of a report push is MD5(AccessSecret + random + timestamp) where the account has an AccessSecret;
    that random and timestamp are form fields of these names is inferred. The name of a reply push is a constant (§4.1).

    Raises:
        PushRefused: says which of them does not fit, and no value.
    """
    if settings.access_secret is not None and "args" not in fields:
        _check_signature(fields, settings.access_secret.get_secret_value(), settings.push_window_s, now)
    elif settings.push_name is not None and not _same(fields.get("name", ""), settings.push_name):
        raise PushRefused("name is not the push_name of this account")
    own, pwd = "push_pwd", settings.push_pwd
    if "args" in fields and settings.reply_pwd is not None:
        own, pwd = "reply_pwd", settings.reply_pwd
    if pwd is not None and not _same(fields.get("pwd", ""), pwd.get_secret_value()):
        raise PushRefused(f"pwd is not the {own} of this account")


def proof(fields: Mapping[str, str], settings: XiooSettings) -> Proof | None:
    """Random and timestamp of a signed push. They sign nothing else of it: who overhears one could put it under
    reports of his own.

    A timestamp in a form that cannot be read has no end of its own, so its proof is remembered for a day.
    """
    if settings.access_secret is None or "args" in fields:
        return None
    dice, timestamp = fields.get("random", ""), fields.get("timestamp", "")
    digest = hashlib.blake2b(f"{dice}\0{timestamp}".encode(), digest_size=16).hexdigest()
    return Proof(digest, _DAY_S if parse_moment(timestamp) is None else 2 * settings.push_window_s)


def without_pwd(push: Push) -> Push:
    """The push with an empty pwd, in the body and in the address."""
    return replace(push, query=_PWD.sub(rb"\1", push.query), body=_PWD.sub(rb"\1", push.body))


def read(fields: Mapping[str, str], extno_prefix_chars: int) -> Received:
    """Read a push of either kind: `args` holds replies, `state` makes it a report.

    Raises:
        PushRefused: it is neither, or nothing in it can be read.
    """
    if "args" in fields:
        return _replies(fields["args"], extno_prefix_chars)
    word = fields.get("state", "").strip()
    mobiles = [mobile for mobile in fields.get("mobile", "").split(",") if mobile.strip()]
    if not word or not mobiles:
        raise PushRefused("neither a report (mobile, state) nor replies (args)")
    state = state_of(word, STATES)
    occurred_at = parse_wall_clock(fields.get("time", ""))  # §3.1: of the first number; taken for all
    reports = tuple(
        Report(
            state=state,
            raw_state=word,
            number=to_e164(mobile),
            vendor_message_id=fields.get("sendid", "").strip() or None,
            code=None if state is State.DELIVERED else word,
            occurred_at=occurred_at,
        )
        for mobile in mobiles
    )
    return Received(reports=reports)


def _replies(args: str, extno_prefix_chars: int) -> Received:
    records = [record for record in _JOINT.split(args) if record.strip()]
    read_ones = [_reply(record, extno_prefix_chars) for record in records]
    replies = tuple(reply for reply in read_ones if reply is not None)
    if not replies:
        raise PushRefused("args holds no record of mobile#@#content#@#time#@#extno")
    unread = tuple(
        Report(state=None, raw_state="unreadable", detail=f"{len(record)} characters of args fit no record")
        for record, reply in zip(records, read_ones, strict=True)
        if reply is None
    )
    return Received(reports=unread, replies=replies)


def _reply(record: str, extno_prefix_chars: int) -> Reply | None:
    mobile, _, rest = record.partition(_SEPARATOR)
    number = sender_of_reply(mobile)
    content, *ends = rest.rsplit(_SEPARATOR, _ENDS)
    if number is None or len(ends) != _ENDS:
        return None
    time, extno = ends
    return Reply(
        number=number,
        text=content,
        extno=extno.strip()[extno_prefix_chars:] or None,
        occurred_at=parse_wall_clock(time),
    )


def _check_signature(fields: Mapping[str, str], access_secret: str, window_s: float, now: datetime) -> None:
    dice, timestamp = fields.get("random", ""), fields.get("timestamp", "")
    if not dice or not timestamp:
        raise PushRefused("a signed push carries random and timestamp")
    signed = hashlib.md5(f"{access_secret}{dice}{timestamp}".encode(), usedforsecurity=False).hexdigest()
    if not _same(fields.get("name", "").strip().lower(), signed):
        raise PushRefused("name is not the MD5 of this account's access_secret, random and timestamp")
    pushed_at = parse_moment(timestamp)
    if pushed_at is not None and abs(now - pushed_at) > timedelta(seconds=window_s):
        raise PushRefused(f"the timestamp is more than {window_s:g} s from now")


def _same(given: str, expected: str) -> bool:
    """Compared in a time that tells nothing of where they differ."""
    return hmac.compare_digest(given.encode(), expected.encode())
