"""A row's content as a provider sees it, from what the ledger holds of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from providers.base import Message
from sendmill.ledger.jobs import JobMeta
from sendmill.ledger.slices import SliceBody
from sendmill.messages import Kind
from sendmill.preparing.template import Template

HasContent = JobMeta | SliceBody
"""What has a content: a job's record, or a slice's body."""


def message_of(
    source: HasContent,
    text: str,
    values: tuple[str, ...] = (),
    *,
    signature: str | None = None,
) -> Message:
    """The message of one row, or of all where they share one content.

    Args:
        source: a job's record or a slice's body.
        text: the row's text, its values filled in.
        values: of a vendor's template, in the order of its fields.
        signature: the account's own, where the job names none.
    """
    parts: Mapping[str, str] = source.parts
    kind = Kind.SMS if source.kind == Kind.TEMPLATE else Kind(source.kind)
    at_ms = getattr(source, "send_at_ms", None)
    return Message(
        text=text,
        signature=source.signature or signature,
        sender=source.sender,
        options=source.options,
        kind=kind,
        subject=parts.get("subject", ""),
        image=parts.get("image"),
        audio=parts.get("audio", ""),
        template_id=parts.get("template_id", ""),
        values=dict(zip(source.fields or (), values, strict=True)) if kind is Kind.VENDOR_TEMPLATE else {},
        send_at=datetime.fromtimestamp(at_ms / 1000, UTC) if at_ms else None,
    )


def shared_text(source: HasContent) -> str:
    """The text of all rows, where they share one: a template without fields is the same for everybody."""
    return Template(source.text).fill(()) if source.kind == Kind.TEMPLATE else source.text


def personal_message(source: HasContent) -> Message | None:
    """The template as a message whose recipients have values of their own; None where the content is none."""
    if source.kind != Kind.TEMPLATE or not source.fields:
        return None
    at_ms = getattr(source, "send_at_ms", None)
    return Message(
        text=source.text,
        signature=source.signature,
        sender=source.sender,
        options=source.options,
        kind=Kind.TEMPLATE,
        fields=source.fields,
        send_at=datetime.fromtimestamp(at_ms / 1000, UTC) if at_ms else None,
    )


def content_of(meta: JobMeta, body: SliceBody) -> JobMeta:
    """What a job asked for, with what stands only in its slice where that is in a page (`bare_meta`)."""
    return msgspec.structs.replace(meta, text=body.text, sender=body.sender, options=body.options)
