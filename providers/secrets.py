"""Which values of an account's settings may never be shown."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, SecretStr

from providers.egress import basic_token
from providers.forms import percent_encode


def secrets_of(settings: BaseModel) -> list[str]:
    """The value of every SecretStr in the settings and their sub-tables, as it is and as it stands in an address.

    Longest first, each once, so that replacing one after the other leaves no rest of a secret that contains another.
    """
    plain = {secret for secret in _secrets(settings) if secret}
    return sorted(plain | {percent_encode(secret) for secret in plain}, key=lambda secret: (-len(secret), secret))


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        secret = value.get_secret_value()
        yield secret
        if "://" in secret:  # a proxy with its login, which goes out in other forms
            password = urlsplit(secret).password or ""
            yield from (password, unquote(password), basic_token(secret))
    elif isinstance(value, BaseModel):
        for field in type(value).model_fields:
            yield from _secrets(getattr(value, field))
    elif isinstance(value, (list, tuple)):
        for one in value:
            yield from _secrets(one)
