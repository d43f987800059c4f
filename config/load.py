"""The configuration file, read as a whole or refused as a whole: nothing starts on half a file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from config.problems import first_problem, nearest
from config.secret_values import resolve
from config.settings import AccountName, AccountSettings, Route, Settings, Site, Strict
from config.source import Source
from sendmill.errors import ConfigError

DEFAULT_PATH: Final = Path("config/sendmill.toml")
ACCOUNTS_FOLDER: Final = "accounts.d"

_FROM_ENVIRONMENT: Final = {
    "redis_url": "SENDMILL_REDIS_URL",
    "broker_url": "SENDMILL_BROKER_URL",
    "namespace": "SENDMILL_NAMESPACE",
}

Models = Mapping[str, type[AccountSettings]]
_Content = TypeVar("_Content", bound="_Fragment")


class _Fragment(Strict):
    """What a file of `accounts.d` may hold; the accounts are checked by their providers' models afterwards."""

    accounts: Mapping[AccountName, Mapping[str, Any]] = {}
    routes: Sequence[Route] = ()


class _MainFile(Site, _Fragment):
    """What the configuration file itself may hold."""


@dataclass(frozen=True, slots=True)
class _Part:
    source: Source
    content: _Fragment

    def accounts(self) -> Iterator[tuple[Source, str, Mapping[str, Any]]]:
        for name, values in self.content.accounts.items():
            yield self.source, name, values

    def routes(self) -> Iterator[tuple[Source, int, Route]]:
        for index, route in enumerate(self.content.routes):
            yield self.source, index, route


def load(path: Path | None, models: Models, environ: Mapping[str, str]) -> Settings:
    """The settings of the file and of `accounts.d/*.toml` beside it.

    `SENDMILL_REDIS_URL`, `SENDMILL_BROKER_URL` and `SENDMILL_NAMESPACE` go before the file; the first of them also
    sets aside the file's `broker_url`, so that naming one server is enough to move everything to it.

    Args:
        path: the file; None is `SENDMILL_CONFIG`, else `config/sendmill.toml`.
        models: the settings of an account by provider name.
        environ: the environment.

    Raises:
        ConfigError: one line that names file, line, key, problem and mend, and never a value. Nothing is half-read.
    """
    path = path or Path(environ.get("SENDMILL_CONFIG") or DEFAULT_PATH)
    main = Source.read(path)
    head = _checked(main, _MainFile, environ)
    files = sorted((path.parent / ACCOUNTS_FOLDER).glob("*.toml"))
    parts = [_Part(main, head)]
    for file in files:
        source = Source.read(file)
        parts.append(_Part(source, _checked(source, _Fragment, environ)))
    accounts = _accounts([account for part in parts for account in part.accounts()], models)
    if not accounts:
        raise main.error(("accounts",), "there is none: add [accounts.NAME] with a provider")
    routes = _routes([route for part in parts for route in part.routes()], accounts)
    site = {name: getattr(head, name) for name in Site.model_fields} | _overrides(environ)
    return Settings(**site, accounts=accounts, routes=routes)


def _checked(source: Source, model: type[_Content], environ: Mapping[str, str]) -> _Content:
    values = resolve(source, environ)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise first_problem(error, source, (), values, model) from None


def _accounts(found: Sequence[tuple[Source, str, Mapping[str, Any]]], models: Models) -> dict[str, AccountSettings]:
    accounts: dict[str, AccountSettings] = {}
    place: dict[str, Source] = {}
    for source, name, values in found:
        keys = ("accounts", name)
        if name in place:
            raise source.error(keys, f"stands in {place[name].path} too: keep one of them")
        place[name] = source
        accounts[name] = _account(source, keys, values, models)
    return accounts


def _account(source: Source, keys: tuple[str, str], values: Mapping[str, Any], models: Models) -> AccountSettings:
    provider = values.get("provider")
    if not isinstance(provider, str):
        raise source.error((*keys, "provider"), f"missing: one of {', '.join(sorted(models))}")
    if provider not in models:
        raise source.error((*keys, "provider"), f"unknown provider: one of {', '.join(sorted(models))}")
    model = models[provider]
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise first_problem(error, source, keys, values, model) from None


def _routes(found: Sequence[tuple[Source, int, Route]], accounts: Mapping[str, AccountSettings]) -> list[Route]:
    places: dict[tuple[str, str], str] = {}
    for source, index, route in found:
        keys = ("routes", index)
        for name in route.accounts:
            if name not in accounts:
                raise source.error((*keys, "accounts"), f"no account {name}: {nearest(name, list(accounts))}")
        place = f"{source.path}:{source.line_of(keys)}"
        first = places.setdefault((route.name, route.prefix), place)
        if first != place:
            raise source.error((*keys, "prefix"), f"the route {route.name} has this prefix at {first} too: keep one")
    return [route for _, _, route in found]


def _overrides(environ: Mapping[str, str]) -> dict[str, str | None]:
    """What the environment says instead of the file."""
    overrides: dict[str, str | None] = {
        key: environ[variable] for key, variable in _FROM_ENVIRONMENT.items() if environ.get(variable)
    }
    if "redis_url" in overrides:
        overrides.setdefault("broker_url", None)
    try:
        Site.model_validate(overrides)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_context=False, include_input=False)[0]
        raise ConfigError(f"environment: {_FROM_ENVIRONMENT[str(detail['loc'][0])]}: {detail['msg']}") from None
    return overrides
