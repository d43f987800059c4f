"""A vendor that takes every text at one address: what such vendors share, and the base of most new ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

from config.settings import AccountSettings
from providers.base import Message, Provider, Response, Service
from providers.content import (
    bracketed_text,
    refuse_empty,
    refuse_options,
    refuse_sender,
    refuse_unpaired_surrogates,
    utf16_units,
)
from providers.outcomes import CodeTable, judge, unreadable
from providers.pushes import without_unreachable
from providers.reading import Unreadable, fields_of
from providers.secrets import secrets_of
from sendmill.errors import OutcomeUnknown, TextTooLong
from sendmill.features import Feature
from sendmill.segments import COUNTERS, Segments

Settings = TypeVar("Settings", bound=AccountSettings)

_REPORTS = frozenset({Feature.REPORTS_PUSHED, Feature.REPORTS_POLLED, Feature.REPORTS_QUERIED})


class SingleAddress(Provider, Generic[Settings]):
    """One account at a vendor with one address for texts.

    A subclass sets `name`, `settings_model`, `features` and `service`, and writes its requests, how answers and pushes
    are read, and `check_number`. It has no sender IDs: `check` refuses them. What is otherwise at a vendor, its class
    overrides: a signature elsewhere (`content`), one address more (`services`).
    """

    service: Service
    """The address. Where settings choose it, `__init__` sets it."""

    max_content_chars: ClassVar[int | None] = None
    """The longest content, signature included, in 16-bit words; None where the vendor prints no length."""

    def __init__(self, name: str, settings: Settings) -> None:
        super().__init__(name, settings)
        self._settings = settings
        self.reports = not _REPORTS.isdisjoint(self.offers())

    def offers(self) -> frozenset[Feature]:
        """Everything, but nothing pushed without a push token."""
        return without_unreachable(self.features, self._settings)

    def services(self) -> Sequence[Service]:
        """The one address."""
        return (self.service,)

    def service_for(self, message: Message, recipients: int) -> Service:
        """The one address."""
        return self.service

    def content(self, message: Message) -> str:
        """The text as it goes to the vendor: the signature in 【】, then the text."""
        return bracketed_text(message, self._settings)

    def check(self, message: Message) -> None:
        """Refuse what is unsupported, halves of an emoji, and a content over `max_content_chars`."""
        self.refuse_unsupported(message)
        content = self.content(message)
        refuse_unpaired_surrogates(content)
        if self.max_content_chars is not None and (length := utf16_units(content)) > self.max_content_chars:
            vendor = self._settings.provider  # a simulated account has another name
            raise TextTooLong(f"{length} characters with the signature: {vendor} takes {self.max_content_chars}")

    def segments(self, message: Message) -> Segments:
        """The content as `counting` says."""
        return COUNTERS[self.counting](self.content(message))

    def secrets(self) -> Sequence[str]:
        """Every SecretStr of the settings."""
        return secrets_of(self._settings)

    # --- for a subclass's own methods ----------------------------------------------------------------------------

    def refuse_unsupported(self, message: Message) -> None:
        """Raises EmptyText for an empty text, UnsupportedFeature for a sender and for what is not in `options`."""
        refuse_empty(message)
        refuse_sender(self.name, message)
        refuse_options(self.name, message, self.options)

    def read(self, response: Response) -> Mapping[str, str]:
        """The fields of an answer that is JSON or XML.

        Raises:
            OutcomeUnknown: it is neither.
        """
        try:
            return fields_of(response.body)
        except Unreadable as error:
            why = str(error)
        # Raised out here, so that nothing that the reader knew of the answer rides along as the context.
        raise self.unreadable(why, response)

    def judge(self, code: str, table: CodeTable, response: Response) -> None:
        """Raise what an answer's code means; return where it means accepted.

        `treat_as_not_sent` of the account counts where the table leaves the outcome open.
        """
        judge(self.name, code, table, not_sent=self._settings.treat_as_not_sent, http_status=response.status)

    def unreadable(self, why: str, response: Response) -> OutcomeUnknown:
        """The error for an answer that the document does not explain. `why` quotes nothing of it."""
        return unreadable(self.name, why, http_status=response.status)
