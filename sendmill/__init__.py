"""sendmill: hand SMS jobs over, ask what became of them.

>>> from sendmill import Client, Sms
>>> client = Client("redis://127.0.0.1:6379/0")
>>> job = client.send(Sms("Your code is 1125", to="+85298882844"), lane="otp", key="login-7781")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from sendmill.actor import Actor, AuditEntry
from sendmill.errors import (
    ConfigError,
    EmptyText,
    InvalidMessage,
    InvalidNumber,
    InvalidOption,
    InvalidTemplate,
    KeyConflict,
    NoSuchJob,
    NoSuchKey,
    NotEncodable,
    ProviderError,
    SenderNotAllowed,
    SendmillError,
    StoreError,
    StoreFull,
    TextTooLong,
    UnknownAccount,
    UnsupportedFeature,
)
from sendmill.messages import (
    AccountInfo,
    AlertEvent,
    AlertInfo,
    AnyEvent,
    Balance,
    CancelResult,
    Estimate,
    Eta,
    Event,
    EventBatch,
    Forgotten,
    Job,
    JobEta,
    JobPage,
    JobStatus,
    JobSummary,
    MessageInfo,
    MessagePage,
    Mms,
    Refusal,
    ReplyEvent,
    ReportEvent,
    Settled,
    Sms,
    Sweep,
    TemplateSms,
    Unconfirmed,
    VendorTemplateSms,
    Verdict,
    Voice,
)
from sendmill.optouts import OptOut, OptOutImport
from sendmill.states import State

if TYPE_CHECKING:
    from sendmill.access.apikeys import KeyInfo, NewKey, Scope
    from sendmill.async_client import AsyncClient
    from sendmill.client import Client
    from sendmill.webhooks.info import Webhook, WebhookDelivery

__all__ = [
    "AccountInfo",
    "Actor",
    "AlertEvent",
    "AlertInfo",
    "AnyEvent",
    "AsyncClient",
    "AuditEntry",
    "Balance",
    "CancelResult",
    "Client",
    "ConfigError",
    "EmptyText",
    "Estimate",
    "Eta",
    "Event",
    "EventBatch",
    "Forgotten",
    "InvalidMessage",
    "InvalidNumber",
    "InvalidOption",
    "InvalidTemplate",
    "Job",
    "JobEta",
    "JobPage",
    "JobStatus",
    "JobSummary",
    "KeyConflict",
    "KeyInfo",
    "MessageInfo",
    "MessagePage",
    "Mms",
    "NewKey",
    "NoSuchJob",
    "NoSuchKey",
    "NotEncodable",
    "OptOut",
    "OptOutImport",
    "ProviderError",
    "Refusal",
    "ReplyEvent",
    "ReportEvent",
    "Scope",
    "SenderNotAllowed",
    "SendmillError",
    "Settled",
    "Sms",
    "State",
    "StoreError",
    "StoreFull",
    "Sweep",
    "TemplateSms",
    "TextTooLong",
    "Unconfirmed",
    "UnknownAccount",
    "UnsupportedFeature",
    "VendorTemplateSms",
    "Verdict",
    "Voice",
    "Webhook",
    "WebhookDelivery",
]

_LAZY = {
    "Client": "sendmill.client",
    "AsyncClient": "sendmill.async_client",
    "KeyInfo": "sendmill.access.apikeys",
    "NewKey": "sendmill.access.apikeys",
    "Scope": "sendmill.access.apikeys",
    "Webhook": "sendmill.webhooks.info",
    "WebhookDelivery": "sendmill.webhooks.info",
}
"""redis-py takes longer to import than all the rest: an application that only builds messages need not wait for it."""


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_LAZY[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
