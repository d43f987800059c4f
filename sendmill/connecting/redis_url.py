"""One URL of Redis for redis-py, kombu and redbeat: read here, and handed to all three as arguments.

=============================================================== =====================================================
`redis://[user:password@]host[:6379][/0]`                       one server; `valkey://` is the same
`rediss://…`                                                    over TLS, its certificate checked; `valkeys://`
`unix://[user:password@]/path/to/socket[?db=0]`                 a socket of this machine
`redis+sentinel://[user:password@]s1[:26379],s2,s3/master[/0]`  the master that Sentinels name; `rediss+sentinel://`
=============================================================== =====================================================

User and password are the server's; the Sentinels' own are parameters. Parameters: `db`, `socket_timeout` and
`socket_connect_timeout` (s), `health_check_interval` (s), `client_name`, `protocol` (2 or 3: RESP2 is spoken anyway),
`ssl_ca_certs`, `ssl_certfile`, `ssl_keyfile` (paths), `ssl_cert_reqs` (`required` or `none`), `ssl_check_hostname`,
`sentinel_username`, `sentinel_password`.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

import redis
import redis.asyncio
import redis.asyncio.sentinel
import redis.sentinel

from sendmill.connecting.packed_commands import packed
from sendmill.errors import ConfigError

_TCP: Final = {"redis": False, "valkey": False, "rediss": True, "valkeys": True}
_SENTINEL: Final = {f"{scheme}+sentinel": tls for scheme, tls in _TCP.items()}
_SCHEMES: Final = frozenset({*_TCP, *_SENTINEL, "unix"})

_ASK_EVERY_S: Final = 1.0

_PORT: Final = 6379
_SENTINEL_PORT: Final = 26379
_LARGEST_PORT: Final = 65535

_SECONDS: Final = ("socket_timeout", "socket_connect_timeout", "health_check_interval")
_TEXTS: Final = ("client_name", "sentinel_username", "sentinel_password")
_FILES: Final = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_WORDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "protocol": {"2": 2, "3": 2},
    "ssl_cert_reqs": {"required": "required", "none": "none"},
    "ssl_check_hostname": {"true": True, "false": False, "True": True, "False": False, "1": True, "0": False},
}


@dataclass(frozen=True, slots=True, repr=False)
class RedisUrl:
    """Where a Redis is, and how it is spoken to.

    `hosts` are one server, or the Sentinels that know the `master`; `path` is a socket's. `options` and
    `sentinel_options` are redis-py's arguments of a connection.
    """

    hosts: tuple[tuple[str, int], ...]
    path: str
    master: str
    db: int
    tls: bool
    options: Mapping[str, Any]
    sentinel_options: Mapping[str, Any]

    @classmethod
    def parse(cls, url: str) -> RedisUrl:
        """Read a URL.

        Raises:
            ConfigError: one line that names the part that cannot be used, and never a password.
        """
        scheme = url.partition("://")[0].lower()
        if scheme not in _SCHEMES:
            raise ConfigError(_refused(scheme, url))
        try:
            parts = urlsplit(url)
        except ValueError:
            raise ConfigError("the Redis URL cannot be read: write redis://host:6379/0") from None
        given = _parameters(parts, sentinel=scheme in _SENTINEL, tls=(_TCP | _SENTINEL).get(scheme, False))
        sentinel_options = {
            name.removeprefix("sentinel_"): given.pop(name) for name in _TEXTS if name in given and "sentinel" in name
        }
        given_db = given.pop("db", None)
        userinfo, _, netloc = parts.netloc.rpartition("@")
        given |= _credentials(userinfo)
        if scheme == "unix":
            if not parts.path.strip("/"):
                raise ConfigError("the Redis URL names no socket: write unix:///path/to/socket")
            return cls((), unquote(parts.path), "", _database(given_db or "0"), False, given, {})
        path = [unquote(part) for part in parts.path.strip("/").split("/") if part]
        hosts = tuple(_host(each, _SENTINEL_PORT if scheme in _SENTINEL else _PORT) for each in netloc.split(","))
        master = ""
        if scheme in _SENTINEL:
            if not path:
                raise ConfigError("the Redis URL names no master: write redis+sentinel://s1,s2,s3/mymaster/0")
            master = path.pop(0)
        elif len(hosts) > 1:
            raise ConfigError(
                "the Redis URL names several servers: for Sentinels write redis+sentinel://s1,s2/mymaster/0"
            )
        if len(path) > 1:
            raise ConfigError("the Redis URL has too many parts: write redis://host:6379/0")
        db = _database(given_db or (path[0] if path else "0"))
        return cls(hosts, "", master, db, (_TCP | _SENTINEL)[scheme], given, sentinel_options)

    @property
    def place(self) -> tuple[Any, ...]:
        """What tells one server and database from another."""
        return (frozenset(self.hosts), self.path, self.master, self.db)

    @property
    def shown(self) -> str:
        """One name for it without user, password and parameters: a plain URL, as kombu wants one for its log."""
        host, port = ("socket", 0) if self.path else (self.master, 0) if self.master else self.hosts[0]
        bracketed = f"[{host}]" if ":" in host else host
        return f"redis://{bracketed}{f':{port}' if port else ''}/{self.db}"

    def __repr__(self) -> str:
        return f"RedisUrl({self.shown})"

    def arguments(self, **defaults: Any) -> dict[str, Any]:
        """redis-py's arguments of one connection; what the URL says goes before the defaults."""
        # RESP2 needs no HELLO, so a new connection costs a round trip less, and every answer has the shape we read.
        arguments = {**defaults, **self.options, "db": self.db, "protocol": 2}
        if self.path:
            arguments["path"] = self.path
            arguments.pop("socket_keepalive", None)  # a socket of this machine has none
        elif not self.master:
            arguments["host"], arguments["port"] = self.hosts[0]
        return arguments

    def pool(self, kind: type[Any] = redis.ConnectionPool, **defaults: Any) -> Any:
        """A pool for threads: of the one server, or of whatever the Sentinels call the master."""
        if self.master:
            sentinels = redis.sentinel.Sentinel(  # type: ignore[no-untyped-call]
                list(self.hosts), sentinel_kwargs=self._of_sentinels(defaults), **self._timeouts(defaults)
            )
            pool = _of_sentinels(_Following, redis.sentinel.SentinelConnectionPool, kind)
            defaults.setdefault(
                "connection_class",
                redis.sentinel.SentinelManagedSSLConnection if self.tls else redis.sentinel.SentinelManagedConnection,
            )
            return pool(self.master, sentinels, **self.arguments(**defaults))
        one = redis.UnixDomainSocketConnection if self.path else redis.SSLConnection if self.tls else redis.Connection
        defaults.setdefault("connection_class", one)
        return kind(**self.arguments(**defaults))

    def apool(self, kind: type[Any] = redis.asyncio.ConnectionPool, **defaults: Any) -> Any:
        """The same for coroutines."""
        sentinel = redis.asyncio.sentinel
        if self.master:
            sentinels = sentinel.Sentinel(  # type: ignore[no-untyped-call]
                list(self.hosts), sentinel_kwargs=self._of_sentinels(defaults), **self._timeouts(defaults)
            )
            managed = sentinel.SentinelManagedSSLConnection if self.tls else sentinel.SentinelManagedConnection
            defaults.setdefault("connection_class", packed(managed))
            pool = _of_sentinels(_AsyncFollowing, sentinel.SentinelConnectionPool, kind)
            return pool(self.master, sentinels, **self.arguments(**defaults))
        of = redis.asyncio
        one = of.UnixDomainSocketConnection if self.path else of.SSLConnection if self.tls else of.Connection
        defaults.setdefault("connection_class", packed(one))
        return kind(**self.arguments(**defaults))

    def _timeouts(self, defaults: Mapping[str, Any]) -> dict[str, Any]:
        found = {**defaults, **self.options}
        return {name: found[name] for name in _SECONDS[:2] if name in found}

    def _of_sentinels(self, defaults: Mapping[str, Any]) -> dict[str, Any]:
        tls = {name: value for name, value in self.options.items() if name.startswith("ssl_")}
        return {**self._timeouts(defaults), **self.sentinel_options, **({"ssl": True, **tls} if self.tls else {})}


class _Following:
    """A pool that asks the Sentinels each second who the master is, and leaves idle connections to another one.

    A master that they replaced takes commands until it hears of that, for ten seconds and more: what it takes is lost.
    """

    _ask_at = 0.0

    def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        if self._must_ask():
            with contextlib.suppress(redis.RedisError, OSError):  # who cannot be asked changes nothing
                self.get_master_address()  # type: ignore[attr-defined]
        return super().get_connection(*args, **kwargs)  # type: ignore[misc]

    def _must_ask(self) -> bool:
        now = time.monotonic()
        if now < self._ask_at:
            return False
        self._ask_at = now + _ASK_EVERY_S
        return True


class _AsyncFollowing(_Following):
    async def get_connection(self, *args: Any, **kwargs: Any) -> Any:
        if self._must_ask():
            with contextlib.suppress(redis.RedisError, OSError):
                await self.get_master_address()  # type: ignore[attr-defined]
        return await super(_Following, self).get_connection(*args, **kwargs)  # type: ignore[misc]


def _of_sentinels(following: type[Any], sentinel: type[Any], kind: type[Any]) -> type[Any]:
    """A pool that asks Sentinels, and waits or fails at its limit as another kind does."""
    kinds = (following, sentinel) if issubclass(sentinel, kind) else (following, sentinel, kind)
    return type(f"Sentinel{kind.__name__}", kinds, {})


def _refused(scheme: str, url: str) -> str:
    if "cluster" in scheme:
        return (
            "Redis Cluster is not supported: every account's keys lie on one shard, but Celery's broker cannot; "
            "use a single master with replicas (redis+sentinel://)"
        )
    begins = f"begins with {scheme}://" if "://" in url else "names no protocol"
    return f"the Redis URL {begins}: write redis://, rediss://, valkey://, unix:// or redis+sentinel://"


def _parameters(parts: SplitResult, *, sentinel: bool, tls: bool) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name == "db":
            found[name] = value
        elif name in _SECONDS:
            found[name] = _seconds(name, value)
        elif (name in _TEXTS and (sentinel or not name.startswith("sentinel"))) or (name in _FILES and tls):
            found[name] = value
        elif name in _WORDS and (tls or not name.startswith("ssl")):
            if value not in _WORDS[name]:
                raise ConfigError(f"the Redis URL's {name} is none of {', '.join(dict.fromkeys(_WORDS[name]))}")
            found[name] = _WORDS[name][value]
        else:
            known = ["db", *_SECONDS, "client_name", "protocol"]
            known += [*_FILES, "ssl_cert_reqs", "ssl_check_hostname"] if tls else []
            known += ["sentinel_username", "sentinel_password"] if sentinel else []
            raise ConfigError(f"the Redis URL has a parameter that is not known: {name}; known: {', '.join(known)}")
    return found


def _seconds(name: str, value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < float("inf"):
        raise ConfigError(f"the Redis URL's {name} is no number of seconds")
    return seconds


def _database(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ConfigError("the Redis URL's database is no number: write redis://host:6379/0")
    return int(text)


def _credentials(userinfo: str) -> dict[str, str]:
    user, _, password = userinfo.partition(":")
    found = {"username": unquote(user), "password": unquote(password)}
    return {name: value for name, value in found.items() if value}


def _host(text: str, port: int) -> tuple[str, int]:
    host, bracket, rest = text.rpartition("]")
    host, _, given = (host + bracket, "", rest.removeprefix(":")) if bracket else text.partition(":")
    host = unquote(host.removeprefix("[").removesuffix("]"))
    if given and not (given.isascii() and given.isdigit() and 0 < int(given) <= _LARGEST_PORT):
        raise ConfigError("the Redis URL's port is no number up to 65535: write redis://host:6379/0")
    return host or "localhost", int(given) if given else port
