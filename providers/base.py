"""What every vendor's module offers, and the values that pass between it and the flow.

A provider is pure: it turns typed messages into HTTP requests and bytes into typed outcomes. It knows nothing of Redis,
Celery, retry or throttle; it raises the errors of `sendmill.errors`, whose class decides what the flow does. Numbers
are E.164 with the plus sign everywhere outside a vendor's own bytes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar, Literal

import msgspec

from config.settings import AccountSettings
from sendmill.errors import PushRefused, UnsupportedFeature
from sendmill.features import PHRASES, Feature
from sendmill.messages import Kind
from sendmill.segments import Segments, count_segments
from sendmill.states import State


class Message(msgspec.Struct, frozen=True):
    """What all recipients of one call share.

    `text` has every value put in and does not yet hold the signature; `options` are the `vendor={…}` of `send`.
    `send_at` (aware) is when the vendor is to send it; None is at once.

    `kind` is SMS, VENDOR_TEMPLATE (`template_id`, and `values` by the vendor's names; no text), MMS (`subject`, `text`,
    which may be empty, `image`) or VOICE (`audio`; no text). Image and audio are names at the vendor, or None for no
    image; `check` may meet them as http(s) addresses still. For a call in which each recipient has values of his own,
    kind is TEMPLATE: `text` is the template with its `{name}` places and `fields` are these names; the values stand in
    the call.
    """

    text: str
    signature: str | None = None
    sender: str | None = None
    options: Mapping[str, Any] = {}
    kind: Kind = Kind.SMS
    subject: str = ""
    image: str | None = None
    audio: str = ""
    template_id: str = ""
    values: Mapping[str, str] = {}
    fields: tuple[str, ...] = ()
    send_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Service:
    """One of a vendor's submit endpoints, with what the vendor publishes about it.

    `max_numbers` is the most recipients in a call. `max_in_flight` is the most calls that may be open at once, over
    all machines; None where the vendor says nothing. `reports` is False where the vendor says nothing later about the
    messages of this endpoint: then `submitted` is their end. `by_mail` ones are reached by SMTP.
    """

    name: str
    max_numbers: int
    max_in_flight: int | None = None
    reports: bool = True
    by_mail: bool = False


class Call(msgspec.Struct, frozen=True):
    """One request to come: up to `service.max_numbers` recipients of one message.

    `reference` is ours: at most 32 of `[0-9a-z]`, never used twice. `made_at` is aware; dynamic passwords hash it.
    `values` are there where the message's kind is TEMPLATE: for each recipient his values, in the order of
    `message.fields`.
    """

    service: Service
    message: Message
    numbers: Sequence[str]
    reference: str
    made_at: datetime
    values: Sequence[tuple[str, ...]] = ()


class Request(msgspec.Struct, frozen=True):
    """An HTTP request, ready for the wire. `url` is already percent-encoded and is sent as it stands."""

    method: str
    url: str
    headers: Mapping[str, str] = {}
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Mail:
    """A message that goes by SMTP instead of HTTP (`providers.mail` delivers it). `raw` is the mail as it is sent."""

    host: str
    port: int
    encryption: Literal["none", "starttls", "tls"]
    user: str | None
    pwd: str | None = field(repr=False)
    sender: str
    recipient: str = field(repr=False)
    raw: bytes = field(repr=False)


class Nowhere(msgspec.Struct, frozen=True):
    """What a simulated account would send: it holds no address and is sent nowhere."""


class Response(msgspec.Struct, frozen=True):
    """An HTTP answer that was read to its end. `headers` have lower-case names."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Accepted(msgspec.Struct, frozen=True):
    """The vendor took the call.

    `vendor_message_id` names the whole call. `answer` is a short redacted form of what the vendor said, for
    `sendmill show`.
    """

    vendor_message_id: str | None = None
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Bill:
    """What the vendor says that a message came to; `charge` is None where it names the segments alone."""

    segments: int
    charge: Decimal | None
    currency: str


@dataclass(frozen=True, slots=True)
class Report:
    """A vendor's later word on one message.

    `state` is None where the vendor's word is not in its table: kept raw, it changes nothing. `vendor_message_id` or
    `reference` (ours, as the vendor gives it back) name the call; `number` the recipient (None where the vendor leaves
    it out). `occurred_at` is aware, or None where the vendor gave no time.
    """

    state: State | None
    raw_state: str
    number: str | None = None
    vendor_message_id: str | None = None
    reference: str | None = None
    code: str | None = None
    detail: str | None = None
    occurred_at: datetime | None = None
    bill: Bill | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A text from a handset. `extno` is the customer's own extension that it was sent to."""

    number: str
    text: str
    extno: str | None = None
    reference: str | None = None
    vendor_message_id: str | None = None
    occurred_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """What one poll or push brought. `more` says that another poll would bring more at once."""

    reports: Sequence[Report] = ()
    replies: Sequence[Reply] = ()
    more: bool = False


@dataclass(frozen=True, slots=True)
class Poll:
    """An address that is asked for reports or replies. The vendor gives each record once, so the raw body is stored
    before it is parsed. `interval_s` is the vendor's least distance between two polls of this address."""

    name: str
    interval_s: float


@dataclass(frozen=True, slots=True)
class Push:
    """What a vendor sent to our address: `query` and `form` pairs are undecoded bytes, because charsets differ."""

    method: str
    query: bytes
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Proof:
    """What a push carries that its vendor makes anew, and that covers nothing else of it: the same push under the same
    one again is a repetition; another push under it may be the vendor's too.

    `mark` tells it from others and holds no secret. After `valid_s` it is refused as too old.
    """

    mark: str
    valid_s: float


@dataclass(frozen=True, slots=True)
class Ack:
    """The answer that ends a push for the vendor."""

    body: bytes
    status: int = 200
    content_type: str = "text/plain"


@dataclass(frozen=True, slots=True)
class Balance:
    """What is left on an account, in the vendor's own unit (`messages`, `HKD`, …). `amount` is the vendor's text."""

    amount: str
    unit: str


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that the vendor is to fetch and keep: an image for MMS or a recording for voice messages.

    `name` is what messages will call it, as `upload_name` gave it; `url` is where the vendor fetches it.
    """

    kind: Kind
    name: str
    url: str


@dataclass(frozen=True, slots=True)
class PublishedLimit:
    """A number from the vendor's document: `name` as in `[accounts.x.limits]`, its value, and where it stands.

    `may_be_raised` marks defaults of ours: a plan may allow more than the smallest published figure, up to `at_most`
    where the vendor names the largest. `services` are those that it holds for, together; None is all of them. A second
    limit of a name, for other services, has a colon and a word of its own behind it: no setting changes that one.
    """

    name: str
    value: int
    source: str
    may_be_raised: bool = False
    at_most: int | None = None
    services: tuple[str, ...] | None = None


class Provider(ABC):
    """One vendor, spoken to with one account's settings."""

    name: ClassVar[str]
    """The word that stands in `provider = "…"`."""

    settings_model: ClassVar[type[AccountSettings]]
    """What `[accounts.x]` may hold for this vendor."""

    limits: ClassVar[Sequence[PublishedLimit]] = ()
    """Every limit of calls or recipients in time that the vendor publishes."""

    features: ClassVar[frozenset[Feature]] = frozenset({Feature.SMS})
    """What the vendor's document offers and this provider speaks."""

    options: ClassVar[frozenset[str]] = frozenset()
    """The names that `vendor={…}` of `send` may hold."""

    counting: ClassVar[str] = "gsm"
    """How the vendor bills a text: a name in `sendmill.segments.COUNTERS`."""

    media_kept_s: ClassVar[int] = 0
    """How long the vendor keeps an uploaded file; 0 is for good."""

    largest_media: ClassVar[Mapping[Kind, Mapping[str, int]]] = {}
    """The bytes that a file may have, by what it is for and by the prefix of the numbers that it may go to."""

    reports: bool = True
    """False where the vendor, or this account of it, never says what became of a message: `submitted` is the end."""

    polls: Sequence[Poll] = ()
    """The addresses that are asked for reports and replies."""

    repeat_window_s: float = 0.0
    """The vendor removes a repeat of a text to the same number by itself, without a word, for about so long; 0 where it
    does not."""

    repeats: Literal["suppress", "send"] = "suppress"
    """What becomes of a repeat within that window: it is not sent, or it is sent and marked as one."""

    balance_shows_login: bool = True
    """Whether the balance query takes the same user and password as sending: a good answer then proves them."""

    queries_at_once: int = 1
    """How many queries about single messages may be open at once."""

    def __init__(self, name: str, settings: AccountSettings) -> None:
        self.account = name

    def offers(self) -> frozenset[Feature]:
        """Those of `features` that this account is configured for."""
        return self.features

    # --- before a message is taken -------------------------------------------------------------------------------

    @abstractmethod
    def services(self) -> Sequence[Service]:
        """The submit endpoints that this account may use, as its settings say."""

    @abstractmethod
    def service_for(self, message: Message, recipients: int) -> Service:
        """The endpoint for a call of this message to that many waiting recipients (1 or more)."""

    def keeps_time(self, kind: Kind, options: Mapping[str, Any]) -> bool:
        """Whether the vendor would wait for the `send_at` of such a message, where it keeps times at all."""
        del kind, options
        return True

    def largest_call(self, message: Message) -> int:
        """The most recipients that any endpoint of this account takes of this message in one call."""
        del message
        return max([service.max_numbers for service in self.services()])

    def personal_service(self, message: Message) -> Service | None:
        """The endpoint that takes rows of one template with values of their own in one call; None where there is none.

        `message.kind` is TEMPLATE. Rows that it cannot carry, and a row alone, go filled, as any text does.
        """
        del message
        return None

    def fits_personal(self, message: Message, number: str, values: tuple[str, ...]) -> bool:
        """Whether that endpoint can carry a row as it is: nothing in it that the vendor takes for a separator."""
        return False

    @abstractmethod
    def check(self, message: Message) -> None:
        """Refuse what the vendor would refuse, before it costs a call.

        Raises:
            InvalidMessage: TextTooLong, NotEncodable, UnsupportedFeature, SenderNotAllowed, ….
        """

    @abstractmethod
    def check_number(self, number: str) -> None:
        """Refuse an E.164 number that this vendor does not reach.

        Raises:
            InvalidNumber: with one sentence that says what the vendor takes.
        """

    def segments(self, message: Message) -> Segments:
        """How the vendor bills this message, signature included."""
        return count_segments((message.signature or "") + message.text)

    # --- submitting ----------------------------------------------------------------------------------------------

    @abstractmethod
    def submit_request(self, call: Call) -> Request:
        """The request for this call. Pure: the same call gives the same bytes."""

    def mail_request(self, call: Call) -> Mail:
        """The same for a service that is reached by mail."""
        raise self._cannot(Feature.EMAIL)

    @abstractmethod
    def submitted(self, call: Call, response: Response) -> Accepted:
        """Read the answer to a submit.

        Raises:
            NotSent, Refused, AccountBlocked, OutcomeUnknown: as the vendor's code tables say. An answer that is not
                in them is OutcomeUnknown, never a success. No bytes raise anything else.
        """

    # --- asking --------------------------------------------------------------------------------------------------

    @abstractmethod
    def balance_request(self, made_at: datetime) -> Request:
        """The request that asks what is left."""

    @abstractmethod
    def balance(self, response: Response) -> Balance:
        """Read the answer to it; raises like `submitted`."""

    def words_request(self, text: str) -> Request:
        """The request that asks for sensitive words in a text."""
        raise self._cannot(Feature.CHECK_WORDS)

    def words(self, response: Response) -> Sequence[str]:
        """Read the answer to it: the words that were found, none where the text is clean. Raises like `submitted`."""
        raise self._cannot(Feature.CHECK_WORDS)

    def upload_name(self, kind: Kind, url: str) -> str:
        """A name for a file at an address, by the vendor's rules; the same address gets the same name.

        Raises:
            InvalidOption: the vendor cannot fetch from there (port, scheme, type).
        """
        raise self._cannot(Feature.UPLOAD_IMAGE if kind is Kind.MMS else Feature.UPLOAD_AUDIO)

    def upload_request(self, upload: Upload) -> Request:
        """The request that has the vendor fetch a file."""
        raise self._cannot(Feature.UPLOAD_IMAGE if upload.kind is Kind.MMS else Feature.UPLOAD_AUDIO)

    def uploaded(self, upload: Upload, response: Response) -> None:
        """Read the answer to it. Raises like `submitted`; to repeat an upload does no harm."""
        raise self._cannot(Feature.UPLOAD_IMAGE if upload.kind is Kind.MMS else Feature.UPLOAD_AUDIO)

    def sender_request(self, sender: str) -> Request:
        """The request that registers a sender ID.

        Raises:
            SenderNotAllowed: it breaks the vendor's rules.
        """
        raise self._cannot(Feature.ADD_SENDER)

    def sender_added(self, response: Response) -> str:
        """Read the answer to it: one sentence for the person who asked. Raises like `submitted`."""
        raise self._cannot(Feature.ADD_SENDER)

    def poll_request(self, poll: Poll) -> Request:
        """The request of one of `polls`."""
        raise UnsupportedFeature(f"{self.name} has no address {poll.name} to poll")

    def polled(self, poll: Poll, response: Response) -> Received:
        """Read what a poll brought. An answer that cannot be read raises OutcomeUnknown: it is never "nothing"."""
        raise UnsupportedFeature(f"{self.name} has no address {poll.name} to poll")

    @property
    def queries(self) -> bool:
        """True where a single message can be asked about by its vendor id."""
        return False

    def query_request(self, vendor_message_id: str) -> Request:
        """The request that asks what became of one message."""
        raise UnsupportedFeature(f"{self.name} cannot be asked about one message")

    def queried(self, vendor_message_id: str, response: Response) -> Received:
        """Read the answer: every final report that it brings, of the call's only message or of many.

        `more` says that some have nothing final yet. A report without a number speaks for a call of one alone. Raises
        like `submitted`.
        """
        raise UnsupportedFeature(f"{self.name} cannot be asked about one message")

    # --- being told ----------------------------------------------------------------------------------------------

    def authenticate_push(self, push: Push, now: datetime) -> None:
        """Check what the push carries to prove its sender, beyond the token in its address. Raises PushRefused."""

    def proof(self, push: Push) -> Proof | None:
        """The proof that `authenticate_push` has found good, where the vendor makes one for each push."""
        del push
        return None

    def without_secrets(self, push: Push) -> Push:
        """A push as it may be stored, once it was authenticated: without the secrets that it carries as its proof."""
        return push

    @property
    def unproven_pushes(self) -> str:
        """Settings that would prove this account's pushes, where none is set; empty where there is none to set."""
        return ""

    def pushed(self, push: Push) -> Received:
        """Read a push. Raises PushRefused where its shape is not one that the vendor documents."""
        raise PushRefused(f"{self.name} pushes nothing")

    def ack(self, push: Push) -> Ack:
        """What the vendor expects to hear once the push is stored."""
        del push
        return Ack(b"OK")

    # --- secrets -------------------------------------------------------------------------------------------------

    @abstractmethod
    def secrets(self) -> Sequence[str]:
        """Every secret of this account, so that logs and stored answers can be cleaned of them."""

    def _cannot(self, feature: Feature) -> UnsupportedFeature:
        return UnsupportedFeature(f"{self.account} ({self.name}) cannot {PHRASES[feature]}", feature=feature.value)
