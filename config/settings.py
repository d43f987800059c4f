"""The configuration file: read, checked and refused as a whole.

Only workers read it. Vendors' own fields are models that the providers bring; `load` gets them by provider name, so that
this module knows no vendor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr


def _one_or_many(value: object) -> object:
    return [value] if isinstance(value, str) else value


class Strict(BaseModel):
    """A table of the file: an unknown key is an error, values never change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


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
