"""The configuration file: read as a whole, or refused with one line that says where and what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest
from pydantic import Field, SecretStr

from config.load import load
from config.settings import AccountSettings, Route, Settings, Strict
from providers import registry
from sendmill.errors import ConfigError

CANARY = "canary-7f3a"


class Endpoint(Strict):
    """A table inside an account, as AccessYou has them."""

    url: str
    pwd: SecretStr


class PostSettings(AccountSettings):
    """An imaginary vendor."""

    base_url: str = Field(min_length=1)
    pwd: SecretStr
    method: Literal["post", "get"] = "post"
    sms: Endpoint | None = None


MODELS: Mapping[str, type[AccountSettings]] = {"post": PostSettings, "plain": AccountSettings}

GOOD = """\
redis_url = "redis://127.0.0.1:6379/0"
retention_days = 3

[accounts.hk]
provider = "post"
base_url = "https://sms.example/"
pwd = "env:HK_PWD"
push_token = ["one", "two"]

[accounts.hk.limits]
calls_per_s = 20

[accounts.cn]
provider = "plain"

[[routes]]
prefix = "+852"
accounts = ["hk", "cn"]
"""


def read(tmp_path: Path, text: str, **environ: str) -> Settings:
    """Load `text` as the configuration file."""
    path = tmp_path / "sendmill.toml"
    path.write_text(text, encoding="utf-8")
    return load(path, MODELS, environ)


def refusal(tmp_path: Path, text: str, **environ: str) -> str:
    """The line with which `text` is refused, without the folder."""
    with pytest.raises(ConfigError) as refused:
        read(tmp_path, text, **environ)
    return str(refused.value).replace(f"{tmp_path}/", "")


def test_a_good_file_is_read_as_it_stands(tmp_path: Path) -> None:
    """Values, nested tables, defaults, routes and the provider's own fields arrive typed."""
    settings = read(tmp_path, GOOD, HK_PWD="s3cret")
    hongkong = settings.accounts["hk"]
    assert isinstance(hongkong, PostSettings)
    assert hongkong.pwd.get_secret_value() == "s3cret"
    assert [token.get_secret_value() for token in hongkong.push_token] == ["one", "two"]
    assert hongkong.limits.calls_per_s == 20
    assert settings.retention_days == 3
    assert settings.report_horizon_h == 72
    assert list(settings.routes) == [Route(name="default", prefix="+852", accounts=["hk", "cn"])]


def test_the_example_that_is_shipped_is_valid_and_has_every_vendor() -> None:
    """Copying it and setting the variables that it names is enough to start."""
    example = Path("config/sendmill.example.toml")
    variables = dict.fromkeys(re.findall(r'"env:(\w+)"', example.read_text(encoding="utf-8")), "x")
    settings = load(example, registry.models(), variables)
    assert {account.provider for account in settings.accounts.values()} == set(registry.PROVIDERS)
    assert {route.prefix for route in settings.routes} == {"+852", "+86", ""}


def test_a_secret_may_lie_in_a_file_beside_the_configuration(tmp_path: Path) -> None:
    """file:PATH counts from the configuration's own folder, and the line end at its end is no part of the secret."""
    (tmp_path / "hk.pwd").write_text("s3cret\n", encoding="utf-8")
    settings = read(tmp_path, GOOD.replace("env:HK_PWD", "file:hk.pwd"))
    assert isinstance(settings.accounts["hk"], PostSettings)
    assert settings.accounts["hk"].pwd.get_secret_value() == "s3cret"


def test_accounts_and_routes_may_stand_in_files_of_their_own(tmp_path: Path) -> None:
    """accounts.d/*.toml adds to the main file, in the order of the names."""
    folder = tmp_path / "accounts.d"
    folder.mkdir()
    (folder / "b.toml").write_text('[[routes]]\nprefix = "+44"\naccounts = ["uk"]\n', encoding="utf-8")
    (folder / "a.toml").write_text('[accounts.uk]\nprovider = "plain"\n', encoding="utf-8")
    settings = read(tmp_path, GOOD, HK_PWD="x")
    assert list(settings.accounts) == ["hk", "cn", "uk"]
    assert [route.prefix for route in settings.routes] == ["+852", "+44"]


def test_the_environment_goes_before_the_file(tmp_path: Path) -> None:
    """Naming one server moves everything to it: the file's broker is set aside with the file's Redis."""
    text = 'broker_url = "redis://other/1"\n' + GOOD
    settings = read(tmp_path, text, HK_PWD="x", SENDMILL_REDIS_URL="unix:///run/r.sock?db=2", SENDMILL_NAMESPACE="mill")
    assert (settings.redis_url, settings.broker_url, settings.namespace) == ("unix:///run/r.sock?db=2", None, "mill")
    settings = read(tmp_path, text, HK_PWD="x", SENDMILL_BROKER_URL="redis://third/0")
    assert settings.broker_url == "redis://third/0"


def test_the_file_is_found_by_its_variable(tmp_path: Path) -> None:
    """SENDMILL_CONFIG names the file where no path is given."""
    path = tmp_path / "site.toml"
    path.write_text(GOOD, encoding="utf-8")
    assert list(load(None, MODELS, {"SENDMILL_CONFIG": str(path), "HK_PWD": "x"}).accounts) == ["hk", "cn"]


def test_urls_with_passwords_are_no_part_of_the_repr(tmp_path: Path) -> None:
    """Settings that end up in a log or a traceback show no password."""
    text = GOOD.replace("redis://127.0.0.1", f"redis://:{CANARY}@127.0.0.1")
    assert CANARY not in repr(read(tmp_path, text, HK_PWD=CANARY))


WRONG_FILES = [
    (
        "an unknown key of an account names the nearest known one",
        ("base_url", "basse_url"),
        "sendmill.toml:6: accounts.hk.basse_url: unknown key: did you mean base_url? (and 1 more)",
    ),
    (
        "an unknown key in a table inside an account",
        ("calls_per_s", "calls_per_second"),
        "sendmill.toml:11: accounts.hk.limits.calls_per_second: unknown key: did you mean calls_per_s?",
    ),
    (
        "an unknown key at the top",
        ("retention_days", "retension_days"),
        "sendmill.toml:2: retension_days: unknown key: did you mean retention_days?",
    ),
    (
        "an unknown key that resembles nothing lists what is known",
        ("prefix =", "zzz ="),
        "sendmill.toml:17: routes[1].zzz: unknown key: known are accounts, name, prefix",
    ),
    (
        "a missing key of an account",
        ('base_url = "https://sms.example/"\n', ""),
        "sendmill.toml:4: accounts.hk.base_url: missing: add it here",
    ),
    (
        "a wrong type",
        ("calls_per_s = 20", f'calls_per_s = "{CANARY}"'),
        "sendmill.toml:11: accounts.hk.limits.calls_per_s: should be a whole number",
    ),
    (
        "a value out of range",
        ("calls_per_s = 20", "calls_per_s = 0"),
        "sendmill.toml:11: accounts.hk.limits.calls_per_s: should be greater than 0",
    ),
    (
        "a word that is none of those allowed",
        ('pwd = "env:HK_PWD"', f'pwd = "x"\nmethod = "{CANARY}"'),
        "sendmill.toml:8: accounts.hk.method: should be 'post' or 'get'",
    ),
    (
        "a table where a value belongs",
        ('pwd = "env:HK_PWD"', f'pwd = {{ a = "{CANARY}" }}'),
        "sendmill.toml:7: accounts.hk.pwd: should be a text in quotes",
    ),
    (
        "a key missing in an optional table",
        ("[accounts.cn]", f'[accounts.hk.sms]\npwd = "{CANARY}"\n[accounts.cn]'),
        "sendmill.toml:13: accounts.hk.sms.url: missing: add it here",
    ),
    (
        "an unknown key in an optional table",
        ("[accounts.cn]", f'[accounts.hk.sms]\npwd = "{CANARY}"\nurl = "u"\nurll = "v"\n[accounts.cn]'),
        "sendmill.toml:16: accounts.hk.sms.urll: unknown key: did you mean url?",
    ),
    (
        "an unknown provider lists the known ones",
        ('provider = "post"', 'provider = "pots"'),
        "sendmill.toml:5: accounts.hk.provider: unknown provider: one of plain, post",
    ),
    (
        "an account without a provider",
        ('provider = "plain"\n', ""),
        "sendmill.toml:13: accounts.cn.provider: missing: one of plain, post",
    ),
    (
        "a variable that is not set",
        ("env:HK_PWD", "env:HK_PWDD"),
        "sendmill.toml:7: accounts.hk.pwd: the environment has no HK_PWDD: set it, or name another variable",
    ),
    (
        "a secret's file that is not there",
        ("env:HK_PWD", "file:gone"),
        "sendmill.toml:7: accounts.hk.pwd: gone cannot be read (No such file or directory)",
    ),
    (
        "TOML that is none",
        ("retention_days = 3", "retention_days 3"),
        "sendmill.toml:2: not TOML: Expected '=' after a key in a key/value pair",
    ),
    (
        "TOML that ends too early",
        ('accounts = ["hk", "cn"]', 'accounts = ["hk", '),
        "sendmill.toml:18: not TOML: Invalid value",
    ),
    (
        "a key that stands twice",
        ("retention_days = 3", "retention_days = 3\nretention_days = 4"),
        "sendmill.toml:3: not TOML: Cannot overwrite a value",
    ),
    (
        "a route to an account that is not there",
        ('accounts = ["hk", "cn"]', 'accounts = [\n  "hk",\n  "cm",\n]'),
        "sendmill.toml:18: routes[1].accounts: no account cm: did you mean cn?",
    ),
    (
        "a route without accounts",
        ('accounts = ["hk", "cn"]', "accounts = []"),
        "sendmill.toml:18: routes[1].accounts: should not be empty",
    ),
    (
        "the same prefix twice in one route",
        ("[[routes]]", '[[routes]]\nprefix = "+852"\naccounts = ["cn"]\n\n[[routes]]'),
        "sendmill.toml:21: routes[2].prefix: the route default has this prefix at sendmill.toml:16 too: keep one",
    ),
    (
        "a prefix without its plus sign",
        ('"+852"', '"852"'),
        "sendmill.toml:17: routes[1].prefix: should match pattern '^(\\+[0-9]{0,15})?$'",
    ),
    (
        "an account's name that no Redis key or address may hold",
        ("[accounts.cn]", '[accounts."c n"]'),
        "sendmill.toml:13: accounts.c n: should match pattern '^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$'",
    ),
    (
        "an account that is called like the keys of jobs",
        ("[accounts.cn]", "[accounts.jobs]"),
        "sendmill.toml:13: accounts.jobs: an account cannot have this name: Redis keys of jobs have it",
    ),
    (
        "accounts that are no tables",
        ('[accounts.cn]\nprovider = "plain"', "[accounts]\ncn = 3"),
        "sendmill.toml:14: accounts.cn: should be a table",
    ),
    (
        "a Redis URL of no kind that we speak",
        ("redis://127", f"http://{CANARY}:x@127"),
        (
            "sendmill.toml:1: redis_url: the Redis URL begins with http://: "
            "write redis://, rediss://, valkey://, unix:// or redis+sentinel://"
        ),
    ),
]


@pytest.mark.parametrize(("change", "expected"), [wrong[1:] for wrong in WRONG_FILES], ids=[w[0] for w in WRONG_FILES])
def test_a_wrong_file_is_refused_with_one_line(tmp_path: Path, change: tuple[str, str], expected: str) -> None:
    """File, line, key, problem and mend, and never the value."""
    assert GOOD.count(change[0]) >= 1
    line = refusal(tmp_path, GOOD.replace(*change, 1), HK_PWD=CANARY)
    assert line == expected
    assert CANARY not in line


def test_a_missing_file_says_how_to_get_one(tmp_path: Path) -> None:
    """The first start of a new site ends with what to do next."""
    with pytest.raises(ConfigError) as refused:
        load(tmp_path / "none.toml", MODELS, {})
    assert str(refused.value) == (
        f"{tmp_path}/none.toml: no such file: copy config/sendmill.example.toml to it, or set SENDMILL_CONFIG"
    )


def test_a_file_without_accounts_is_refused(tmp_path: Path) -> None:
    """Workers that can send nothing do not start."""
    assert refusal(tmp_path, "retention_days = 3\n") == (
        "sendmill.toml:1: accounts: there is none: add [accounts.NAME] with a provider"
    )


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """Editors in China still save GB18030."""
    path = tmp_path / "sendmill.toml"
    path.write_bytes('signature = "【好】"'.encode("gb18030"))
    with pytest.raises(ConfigError, match="not UTF-8: save the file in UTF-8"):
        load(path, MODELS, {})


def test_an_account_in_two_files_is_refused(tmp_path: Path) -> None:
    """Which of the two would count is nobody's guess."""
    folder = tmp_path / "accounts.d"
    folder.mkdir()
    (folder / "a.toml").write_text('\n[accounts.hk]\nprovider = "plain"\n', encoding="utf-8")
    assert refusal(tmp_path, GOOD, HK_PWD="x") == (
        "accounts.d/a.toml:2: accounts.hk: stands in sendmill.toml too: keep one of them"
    )


def test_a_file_of_accounts_holds_nothing_else(tmp_path: Path) -> None:
    """What concerns the whole site stands in one place."""
    folder = tmp_path / "accounts.d"
    folder.mkdir()
    (folder / "a.toml").write_text("retention_days = 1\n", encoding="utf-8")
    assert refusal(tmp_path, GOOD, HK_PWD="x") == (
        "accounts.d/a.toml:1: retention_days: unknown key: known are accounts, routes"
    )


@pytest.mark.parametrize("variable", ["SENDMILL_REDIS_URL", "SENDMILL_NAMESPACE"])
def test_a_wrong_variable_is_named(tmp_path: Path, variable: str) -> None:
    """Where the environment is wrong, the file is not blamed."""
    line = refusal(tmp_path, GOOD, HK_PWD="x", **{variable: f"{CANARY} !"})
    assert line.startswith(f"environment: {variable}: ")
    assert CANARY not in line


@pytest.mark.parametrize(
    ("stored", "problem"),
    [
        (b"secret", None),
        (b"secret\n", None),
        (b"secret\r\n", None),
        (b" secret ", None),
        (b"secret\n\n", "several line ends"),
        (b"secret\r\n\r\n", "several line ends"),
        (b"\xef\xbb\xbfsecret", "byte order mark"),
    ],
)
@pytest.mark.parametrize("kind", ["file", "env"])
def test_what_editors_put_around_a_secret(tmp_path: Path, kind: str, stored: bytes, problem: str | None) -> None:
    """One line end is cut off, of a file as of a variable; what nobody would see is refused."""
    (tmp_path / "hk.pwd").write_bytes(stored)
    text = GOOD if kind == "env" else GOOD.replace("env:HK_PWD", "file:hk.pwd")
    if problem is not None:
        with pytest.raises(ConfigError, match=problem):
            read(tmp_path, text, HK_PWD=stored.decode())
        return
    hongkong = read(tmp_path, text, HK_PWD=stored.decode()).accounts["hk"]
    assert isinstance(hongkong, PostSettings)
    assert stored.decode().rstrip("\r\n") == hongkong.pwd.get_secret_value()
