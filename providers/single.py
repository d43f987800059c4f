"""What vendors with one submit address have in common; reports and replies are pushed where there is a push token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from config.settings import AccountSettings
from providers.base import Message, Provider, Response, Service
from providers.content import bracketed_text, refuse_empty, refuse_options, refuse_sender, refuse_unpaired_surrogates
from providers.outcomes import CodeTable, judge, unreadable
from providers.pushes import without_unreachable
from providers.reading import Unreadable, fields_of
from providers.secrets import secrets_of
from sendmill.features import Feature

Settings = TypeVar("Settings", bound=AccountSettings)


class SingleAddress(Provider, Generic[Settings]):
    """A vendor that takes every message at one address, under one user. A subclass names its `service`."""

    service: Service

    def __init__(self, name: str, settings: Settings) -> None:
        super().__init__(name, settings)
        self._settings = settings
        self.reports = Feature.REPORTS_PUSHED in self.offers()

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
        """The text as it goes to the vendor, signature included."""
        return bracketed_text(message, self._settings)

    def check(self, message: Message) -> None:
        """Refuse an empty text, a sender, parameters that the vendor has not, and halves of an emoji."""
        refuse_empty(message)
        refuse_sender(self.name, message)
        refuse_options(self.name, message, self.options)
        refuse_unpaired_surrogates(self.content(message))

    def secrets(self) -> Sequence[str]:
        """Every SecretStr of the settings."""
        return secrets_of(self._settings)

    def read(self, response: Response) -> Mapping[str, str]:
        """The fields of an answer.

        Raises:
            OutcomeUnknown: it cannot be read.
        """
        try:
            return fields_of(response.body)
        except Unreadable as error:
            why = str(error)
        raise unreadable(self.name, why, http_status=response.status)

    def judge(self, code: str, table: CodeTable, response: Response) -> None:
        """Raise what an answer's code means. The account's `treat_as_not_sent` goes before the table."""
        judge(self.name, code, table, not_sent=self._settings.treat_as_not_sent, http_status=response.status)
