"""Every error that sendmill raises, as one tree.

::

    SendmillError
    ├ ConfigError                         names the key and the mend
    ├ InvalidMessage                      InvalidNumber · EmptyText · TextTooLong · NotEncodable · InvalidTemplate
    │                                     · UnsupportedFeature · SenderNotAllowed · InvalidOption · UnknownAccount
    ├ KeyConflict                         the idempotency key names a job with other content
    ├ NoSuchJob                           the id names nothing that is kept
    ├ NoSuchKey                           the id names no key of the HTTP API
    ├ UploadCut                           raised by an iterable of rows: there is no job
    ├ ProviderError                       provider, account, vendor_code, http_status
    │ ├ NotSent        ConnectFailed · Throttled · Busy                       certainly not accepted
    │ ├ Refused        RecipientRefused · ContentRefused · RequestRefused     final
    │ │                TooManyRecipients                                      goes again in smaller calls
    │ ├ AccountBlocked BadCredentials · NoBalance · Frozen · IpForbidden      the account stops, the messages wait
    │ │                WrongAddress                                           the same
    │ └ OutcomeUnknown                                                        never resent blindly
    ├ PushRefused                         wrong token, signature or shape: 4xx, nothing stored
    └ StoreError     StoreFull            Redis away, full, illegal state change

What a caller does about an error is decided by its class, never by its text. Texts carry no password, no message text
and no whole phone number.
"""

from __future__ import annotations


class SendmillError(Exception):
    """Something that sendmill was asked to do cannot be done."""


class ConfigError(SendmillError):
    """The configuration is wrong: the message names the key, the problem and the line."""


class InvalidMessage(SendmillError):
    """The message cannot be sent as it was given.

    `code` is stable and stands in the row's `code` (`invalid_number`, `text_too_long`, …).
    """

    code = "invalid_message"


class InvalidNumber(InvalidMessage):
    """The recipient is not a phone number that can receive messages."""

    code = "invalid_number"


class EmptyText(InvalidMessage):
    """The text is empty or only white space."""

    code = "empty_text"


class TextTooLong(InvalidMessage):
    """The text is longer than the vendor takes in one message."""

    code = "text_too_long"


class NotEncodable(InvalidMessage):
    """The text has a character that the vendor's character set lacks."""

    code = "not_encodable"


class InvalidTemplate(InvalidMessage):
    """The template's braces do not fit, or a row lacks one of its values."""

    code = "invalid_template"


class UnsupportedFeature(InvalidMessage):
    """The account's vendor cannot do what the message asks for.

    `feature` names what is asked for, as in `sendmill.features`, or `vendor:<name>` for a parameter.
    """

    code = "unsupported_feature"

    def __init__(self, message: str, *, feature: str | None = None) -> None:
        super().__init__(message)
        self.feature = feature


class SenderNotAllowed(InvalidMessage):
    """The sender ID does not fit the vendor's rules."""

    code = "sender_not_allowed"


class InvalidOption(InvalidMessage):
    """An option of `send` has a value that cannot be used."""

    code = "invalid_option"


class UnknownAccount(InvalidMessage):
    """No worker has published an account or a route of this name, or no route takes the number."""

    code = "unknown_account"


class KeyConflict(SendmillError):
    """The idempotency key was used for a job with other content."""


class NoSuchJob(SendmillError):
    """No job or message of this id is kept."""


class NoSuchKey(SendmillError):
    """No key of the HTTP API has this id."""


class UploadCut(SendmillError):
    """An application's own iterable of recipients raises this where the rest will never come: there is no job."""


class ProviderError(SendmillError):
    """A vendor did not accept a call.

    Args:
        message: one sentence without secrets, texts or whole numbers.
        vendor_code: the vendor's own code, exactly as it was read.
        http_status: the HTTP status, where an answer was read.
        retry_after_s: the vendor's own wish, seconds from now.
    """

    def __init__(
        self,
        message: str,
        *,
        vendor_code: str | None = None,
        http_status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.vendor_code = vendor_code
        self.http_status = http_status
        self.retry_after_s = retry_after_s

    @property
    def code(self) -> str:
        """The code that a message's row shows: the vendor's own where it gave one, else the class's name."""
        return self.vendor_code or type(self).__name__


class NotSent(ProviderError):
    """The vendor certainly did not accept the call: it is safe to send again."""


class ConnectFailed(NotSent):
    """No connection came about, so nothing was written."""


class Throttled(NotSent):
    """The vendor says that calls come too fast."""


class Busy(NotSent):
    """The vendor says that it takes nothing at the moment."""


class Refused(ProviderError):
    """The vendor refused for good: the same call would be refused again."""


class RecipientRefused(Refused):
    """The vendor refuses this recipient."""


class ContentRefused(Refused):
    """The vendor refuses this content."""


class RequestRefused(Refused):
    """The vendor refuses the shape of the request: a fault of ours."""


class TooManyRecipients(RequestRefused):
    """The vendor takes fewer recipients in a call than this one had.

    `most` is what it takes, None where it does not say.
    """

    def __init__(
        self, message: str, *, most: int | None = None, vendor_code: str | None = None, http_status: int | None = None
    ) -> None:
        super().__init__(message, vendor_code=vendor_code, http_status=http_status)
        self.most = most


class AccountBlocked(ProviderError):
    """The vendor refuses the whole account: it stops, and its messages wait."""


class BadCredentials(AccountBlocked):
    """The vendor does not know this user and password."""


class NoBalance(AccountBlocked):
    """The account's balance is used up."""


class Frozen(AccountBlocked):
    """The vendor has frozen or disabled the account."""


class IpForbidden(AccountBlocked):
    """The vendor does not let this host's address in."""


class WrongAddress(AccountBlocked):
    """The server at the account's address knows no such page, or sends elsewhere: no handler took the call."""


class OutcomeUnknown(ProviderError):
    """The vendor may have accepted the call: it is never resent blindly."""


class PushRefused(SendmillError):
    """A push had a wrong token, signature or shape: answered with 4xx, nothing stored."""


class StoreError(SendmillError):
    """Redis did not take or give what was asked: away, full, or an illegal change of state."""


class StoreFull(StoreError):
    """Redis has no room for what is new; what it has goes on."""
