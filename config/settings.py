"""The settings of a site, typed and checked. `config.load` reads them from the configuration file.

Only workers read it. Vendors' own fields are models that the providers bring, so this package knows no vendor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    SerializeAsAny,
    StringConstraints,
)

DEFAULT_REDIS_URL: Final = "redis://127.0.0.1:6379/0"
DEFAULT_NAMESPACE: Final = "sendmill"
DEFAULT_ROUTE: Final = "default"

RedisUrl = Annotated[str, StringConstraints(pattern=r"^(redis|rediss|unix)://")]
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


class AccountSettings(Strict):
    """What every account has, whatever its vendor. Each provider adds its own fields in a subclass."""

    provider: str
    push_token: Annotated[Sequence[SecretStr], BeforeValidator(_one_or_many)] = ()
    signature: str | None = None
    limits: Limits = Limits()
    timeout_s: float = Field(default=30.0, gt=0)
    linger_ms: int = Field(default=0, ge=0)
    treat_as_not_sent: Sequence[str] = ()
    """Vendor codes that only say "failed": those listed here are taken as certainly not sent."""


class Route(Strict):
    """`[[routes]]`: which accounts take numbers that begin with `prefix`, in order of preference."""

    name: str = Field(default=DEFAULT_ROUTE, min_length=1)
    prefix: str = Field(default="", pattern=r"^(\+[0-9]{0,15})?$")
    """E.164 with the plus sign; empty takes every number."""
    accounts: Sequence[AccountName] = Field(min_length=1)


class Site(Strict):
    """What the file says once. URLs are kept out of the repr because they may hold passwords."""

    redis_url: RedisUrl = Field(default=DEFAULT_REDIS_URL, repr=False)
    """Ledger, outbox, events and requests, as redis-py writes it."""
    broker_url: str | None = Field(default=None, repr=False)
    """Celery's broker, as redis-py or kombu writes it; None is `redis_url`."""
    namespace: Namespace = DEFAULT_NAMESPACE
    """Stands before every key."""
    retention_days: int = Field(default=7, gt=0)
    """How long a job is kept after its last message became final."""
    report_horizon_h: int = Field(default=72, gt=0)
    """How long a report is waited for before a message becomes `unknown`."""
    alert_url: Annotated[str, StringConstraints(pattern=r"^https?://")] | None = Field(default=None, repr=False)
    """Receives JSON once when an alert opens and once when it is resolved."""


class Settings(Site):
    """The whole configuration: the site, its accounts by name, and the routes to them."""

    accounts: Mapping[AccountName, SerializeAsAny[AccountSettings]] = Field(default_factory=dict)
    """Each as its provider's own subclass."""
    routes: Sequence[Route] = ()
