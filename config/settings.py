"""The settings of a site, typed and checked. `config.load` reads them from the configuration file.

Only workers read it. Vendors' own fields are models that the providers bring, so this package knows no vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import time
from decimal import Decimal
from ipaddress import ip_address, ip_network
from typing import Annotated, Final, Literal, Self
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    SerializeAsAny,
    StringConstraints,
    model_validator,
)

from sendmill.access.passwords import is_hash
from sendmill.broker import broker_at
from sendmill.connecting.redis_url import RedisUrl
from sendmill.errors import ConfigError, InvalidOption
from sendmill.ledger.webhooks import StoredWebhook
from sendmill.numbers import NumberCheck
from sendmill.options import DEFAULT_ROUTE
from sendmill.optouts import OPT_IN_WORDS, OPT_OUT_WORDS
from sendmill.webhooks.client import made_webhook
from sendmill.webhooks.signing import secret_bytes

DEFAULT_REDIS_URL: Final = "redis://127.0.0.1:6379/0"
DEFAULT_NAMESPACE: Final = "sendmill"

Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]


def _readable_by(read: Callable[[str], object]) -> AfterValidator:
    """Refuse a URL that its reader refuses, in the reader's words."""

    def checked(url: str) -> str:
        try:
            read(url)
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return url

    return AfterValidator(checked)


Namespace = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,32}$")]


def _not_jobs(name: str) -> str:
    if name == "jobs":
        raise ValueError("an account cannot have this name: Redis keys of jobs have it")
    return name


AccountName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$"), AfterValidator(_not_jobs)]
"""Account names stand in Redis keys and in the addresses that vendors push to."""


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Strict(BaseModel):
    """A table of the file: an unknown key is an error, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Limits(Strict):
    """`[accounts.x.limits]`: every limit that may be set. All hold together; None is no limit of this kind."""

    calls_per_s: int | None = Field(default=None, gt=0)
    calls_per_min: int | None = Field(default=None, gt=0)
    calls_per_h: int | None = Field(default=None, gt=0)
    recipients_per_s: int | None = Field(default=None, gt=0)
    recipients_per_min: int | None = Field(default=None, gt=0)
    recipients_per_h: int | None = Field(default=None, gt=0)
    max_in_flight: int | None = Field(default=None, gt=0)


Lanes = Sequence[Literal["otp", "normal", "bulk"]]


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("this is no time zone: write one such as Asia/Shanghai") from None
    return name


class QuietHours(Strict):
    """`[accounts.x.quiet_hours]`: from `start` to `end`, which may be the next morning, rows of these lanes wait.

    Mainland China allows no marketing at night; which hours are meant is the operator's to say.
    """

    start: time
    end: time
    zone: Annotated[str, AfterValidator(_zone)] = "Asia/Shanghai"
    lanes: Lanes = ("bulk",)

    @model_validator(mode="after")
    def _some_time_left(self) -> Self:
        if self.start.tzinfo is not None or self.end.tzinfo is not None:
            raise ValueError("start and end are times of the zone: write them as 21:00")
        if self.start == self.end:
            raise ValueError("start and end are the same: nothing could ever be sent")
        return self


class NumberCap(Strict):
    """`[[accounts.x.number_caps]]`: at most so many messages to one number in any window of so many seconds.

    What is over it waits for its turn, until it expires, or with `over = "suppress"` is never sent.
    """

    messages: int = Field(gt=0, le=1000)
    per_s: int = Field(gt=0, le=31 * 86_400)
    lanes: Lanes = ("normal", "bulk")
    over: Literal["wait", "suppress"] = "wait"


Price = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=6)]
Prefix = Annotated[str, StringConstraints(pattern=r"^(\+[0-9]{0,15})?$")]


def _http_proxy(proxy: SecretStr) -> SecretStr:
    # What is refused is not repeated: it may hold the password.
    url = proxy.get_secret_value()
    try:
        parts = urlsplit(url)
        fit = url.isascii() and parts.scheme == "http" and parts.hostname and parts.port != 0
        if fit and parts.path in {"", "/"} and not parts.query and not parts.fragment:
            return proxy
    except ValueError:
        pass
    raise ValueError("not a proxy's address: write http://user:password@host:3128")


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        raise ValueError("not an IP address of this machine") from None


def _network(text: str) -> str:
    try:
        return str(ip_network(text))
    except ValueError:
        raise ValueError("not a network: write one such as 10.0.0.0/8") from None


Network = Annotated[str, AfterValidator(_network)]
LocalAddress = Annotated[str, AfterValidator(_address)]
"""An IP address of this machine."""


class AccountSettings(Strict):
    """What every account has, whatever its vendor. Each provider adds its own fields in a subclass."""

    provider: str
    push_token: Annotated[Sequence[SecretStr], BeforeValidator(_one_or_many)] = ()
    signature: str | None = None
    limits: Limits = Limits()
    timeout_s: float = Field(default=30.0, gt=0)
    low_balance: Decimal | None = Field(default=None, ge=0)
    """Less than this, in the vendor's own unit, opens an alert."""
    linger_ms: int = Field(default=0, ge=0, le=10_000)
    treat_as_not_sent: Sequence[str] = ()
    """Vendor codes that only say "failed": those listed here are taken as certainly not sent."""
    unknown_statuses: Sequence[Literal[301, 302, 307, 308, 401, 403, 404, 405, 410, 413, 414]] = ()
    """HTTP statuses of a refusal at the door that this vendor may give for messages that it took."""
    schedule: Literal["sendmill", "vendor"] = "sendmill"
    """Who waits for a message's `at`: our clock, or the vendor's where it keeps times."""
    proxy: Annotated[SecretStr, AfterValidator(_http_proxy)] | None = None
    """`http://user:pw@host:3128`: all requests to the vendor go by it, https through a tunnel."""
    source_address: LocalAddress | None = None
    """An IP address of this machine that all connections to the vendor, or to the proxy, come from."""
    simulated: bool = False
    """Nothing of it goes to the vendor: each call is taken at once (`providers.simulated`). For test keys."""
    check_words: bool = False
    """Ask the vendor for sensitive words before a bulk job, where it tells."""
    quiet_hours: QuietHours | None = None
    number_caps: Sequence[NumberCap] = ()
    price_per_segment: Mapping[Prefix, Price] = Field(default_factory=dict)
    """By the longest prefix of the number; "" is for all others. Without a price a segment costs nothing known."""
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")] = "CNY"


class Route(Strict):
    """`[[routes]]`: which accounts take numbers that begin with `prefix`, in order of preference."""

    name: str = Field(default=DEFAULT_ROUTE, min_length=1)
    prefix: Prefix = ""
    """E.164 with the plus sign; empty takes every number."""
    accounts: Sequence[AccountName] = Field(min_length=1)


Right = Literal["view", "reveal", "send", "operate", "admin"]
Rights = Sequence[Right]
"""What somebody may do in the console; `admin` may do all of it."""


def _password_line(secret: SecretStr) -> SecretStr:
    if not is_hash(secret.get_secret_value()):
        raise ValueError("not a line that `sendmill web-password` printed")
    return secret


class WebUser(Strict):
    """`[web.users.NAME]`: somebody who logs in with a password."""

    password: Annotated[SecretStr, AfterValidator(_password_line)]
    """What `sendmill web-password` printed."""
    rights: Rights = ("view",)


class WebProxy(Strict):
    """`[web.proxy]`: a proxy before us says who somebody is. Its address and its secret both have to be right."""

    networks: Sequence[Network] = Field(min_length=1)
    secret: Annotated[SecretStr, Field(min_length=16)]
    secret_header: str = "X-Sendmill-Secret"
    user_header: str = "X-Forwarded-User"
    groups_header: str = "X-Forwarded-Groups"
    groups: Mapping[str, Rights] = Field(default_factory=dict)
    """What a group may do; who is in none of them sees nothing."""


class Web(Strict):
    """`[web]`: the process `web`, and who may come into the console."""

    bind: LocalAddress = "127.0.0.1"
    """The address that it listens on; `SENDMILL_WEB_HOST` goes before it."""
    proxies: Sequence[Network] = ()
    """Networks of proxies before it, such as 10.0.0.0/8: their X-Forwarded-For is believed."""
    auth: Literal["loopback", "basic", "proxy", "off"] | None = None
    """`loopback`: whoever is on this machine; `off`: no console. None is what SENDMILL_WEB_AUTH says, or `loopback`."""
    prefix: Annotated[str, StringConstraints(pattern=r"^(/[A-Za-z0-9._~-]+)*$")] = ""
    """The path under which a proxy serves it, such as /sms; `X-Forwarded-Prefix` goes before it."""
    users: Mapping[Annotated[str, StringConstraints(pattern=r"^[^:\s]{1,64}$")], WebUser] = Field(default_factory=dict)
    proxy: WebProxy | None = None
    private_callbacks: bool = False
    """Whether callbacks that senders name may lead to this machine or a private network, and be http."""

    @model_validator(mode="after")
    def _has_what_its_auth_needs(self) -> Self:
        if self.auth == "basic" and not self.users:
            raise ValueError('auth = "basic" needs somebody: add [web.users.NAME] with password and rights')
        if self.auth == "proxy" and self.proxy is None:
            raise ValueError('auth = "proxy" needs [web.proxy] with networks, secret and groups')
        return self


WebhookName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]


class WebhookSettings(Strict):
    """`[webhooks.x]`: an address that the process `web` tells of events; `sendmill webhooks add` makes others."""

    url: str = Field(repr=False)
    """https; http too where private addresses are allowed."""
    secrets: Annotated[Sequence[SecretStr], BeforeValidator(_one_or_many)] = Field(min_length=1)
    """One or several (rotation): `whsec_` and 24 to 64 bytes in base64."""
    kinds: Sequence[str] = ()
    """Some of report, reply, alert; all where none is named."""
    states: Sequence[str] = ()
    """Of reports only these final states; all where none is named."""
    allow_private: bool = False
    """Whether it may be an address of this machine or of a private network."""

    @model_validator(mode="after")
    def _fit(self) -> Self:
        try:
            self.made()
            for secret in self.secrets:
                secret_bytes(secret.get_secret_value())
        except InvalidOption as error:
            raise ValueError(str(error)) from None
        return self

    def made(self) -> StoredWebhook:
        """What is kept of it in Redis: not its secrets."""
        return made_webhook(self.url, kinds=self.kinds, states=self.states, allow_private=self.allow_private)


class Site(Strict):
    """What the file says once. URLs are kept out of the repr because they may hold passwords."""

    redis_url: Annotated[str, _readable_by(RedisUrl.parse)] = Field(default=DEFAULT_REDIS_URL, repr=False)
    """Ledger, outbox, events and requests: see `sendmill.connecting.redis_url`."""
    broker_url: Annotated[str, _readable_by(broker_at)] | None = Field(default=None, repr=False)
    """Celery's broker, as `redis_url` or as kombu writes another one; None is `redis_url`."""
    replicas: int = Field(default=0, ge=0, le=5)
    """How many replicas of Redis have to confirm that a job is stored, that a call may go and what became of it."""
    namespace: Namespace = DEFAULT_NAMESPACE
    """Stands before every key."""
    retention_days: int = Field(default=7, gt=0)
    """How long a job is kept after its last message became final."""
    report_horizon_h: int = Field(default=72, gt=0)
    """How long a report is waited for before a message becomes `unknown`."""
    alert_url: Annotated[str, StringConstraints(pattern=r"^https?://")] | None = Field(default=None, repr=False)
    """Receives JSON once when an alert opens and once when it is resolved."""
    optout_words: Sequence[Word] = OPT_OUT_WORDS
    """A reply that is one of these, and nothing else: its number gets no normal or bulk message from any account."""
    optin_words: Sequence[Word] = OPT_IN_WORDS
    """A reply that is one of these takes that back."""
    check_numbers: NumberCheck = NumberCheck.ASSIGNED
    """What a job's numbers have to be where it does not say it; `possible` takes blocks that no plan assigns yet."""
    public_url: Annotated[str, StringConstraints(pattern=r"^https?://")] | None = None
    """The push server as vendors reach it: from there they fetch files that `sendmill upload` was given."""
    web: Web = Web()
    webhooks: Mapping[WebhookName, WebhookSettings] = Field(default_factory=dict)


class Settings(Site):
    """The whole configuration: the site, its accounts by name, and the routes to them."""

    accounts: Mapping[AccountName, SerializeAsAny[AccountSettings]] = Field(default_factory=dict)
    """Each as its provider's own subclass."""
    routes: Sequence[Route] = ()
