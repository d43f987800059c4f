"""What has to be asked of a vendor before a job's rows are cut into slices for it: files to fetch, words to check."""

from __future__ import annotations

import structlog

from config.redaction import Redactor
from sendmill.errors import AccountBlocked, InvalidMessage, NotSent, OutcomeUnknown, ProviderError, Refused
from sendmill.features import Feature
from sendmill.ledger.jobs import JobMeta
from sendmill.media import is_address
from sendmill.messages import Kind
from sendmill.moment import clock_ms
from sendmill.preparing.template import Template
from tasks.account.vendor_errors import alert_or_suspend
from tasks.ask.media import name_at_vendor
from tasks.ask.words import words_in
from tasks.process.account import Account
from tasks.process.runtime import Runtime

AGAIN_MS = 5_000
"""A vendor that could not be asked is asked again after this."""

SENSITIVE_WORDS = "sensitive_words"

log = structlog.get_logger(__name__)


class NotYetError(Exception):
    """The vendor could not be asked: the job is to be planned again later."""


class NotPossible(InvalidMessage):
    """The vendor refuses the content. `code` is the vendor's own or ours."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


async def prepare(runtime: Runtime, account: Account, meta: JobMeta) -> dict[str, str]:
    """Ask an account's vendor for what a job needs; returns the job's parts as they are called there.

    A job whose time is up is not held back any more: the gate will find it expired.

    Raises:
        NotYetError: try again after AGAIN_MS.
        InvalidMessage: the vendor refuses the content.
        redis.RedisError: Redis is away.
    """
    error: ProviderError
    try:
        await _check_words(account, meta)
        return await _with_names(runtime, account, meta)
    except Refused as refusal:
        raise NotPossible(str(refusal), refusal.code) from None
    except (NotSent, OutcomeUnknown, AccountBlocked) as trouble:
        error = trouble
    if clock_ms() >= meta.expires_ms:
        return meta.parts
    log.warning("a vendor could not be asked", account=account.name, job=meta.job, error=type(error).__name__)
    await alert_or_suspend(account, error)
    raise NotYetError


async def _with_names(runtime: Runtime, account: Account, meta: JobMeta) -> dict[str, str]:
    part = {Kind.MMS: "image", Kind.VOICE: "audio"}.get(Kind(meta.kind))
    if part is None or not is_address(meta.parts.get(part, "")):
        return meta.parts
    return {**meta.parts, part: await name_at_vendor(runtime, account, Kind(meta.kind), meta.parts[part])}


async def _check_words(account: Account, meta: JobMeta) -> None:
    """Refuse a bulk text that the vendor would stop. Of a template the fixed part is asked about."""
    wanted = account.settings.check_words and meta.lane == "bulk" and meta.text
    if not wanted or Feature.CHECK_WORDS not in account.provider.offers():
        return
    text = meta.text
    if meta.kind == Kind.TEMPLATE:
        template = Template(meta.text)
        text = template.fill([""] * len(template.fields))
    found = await words_in(account, text)
    if found:
        shown = Redactor().text(", ".join(found))[:200]
        raise NotPossible(f"{account.name} finds sensitive words in the text: {shown}", SENSITIVE_WORDS)
