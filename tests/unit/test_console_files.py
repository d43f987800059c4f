"""The console's own files: words in three languages, what was brought along from elsewhere, templates."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path

import pytest

import web.console
from config.settings import Web
from web.console import _PARTS
from web.console.send import PAGE
from web.console.words import LANGUAGES, Words, language_of, read_words

CONSOLE = Path(web.console.__file__).parent
VENDOR = CONSOLE / "static" / "vendor"
PAGES = [page for part in _PARTS for page in part.PAGES] + [PAGE]


def test_every_word_is_there_in_every_language() -> None:
    """With the same places to fill in."""
    rows: dict[str, list[str]] = tomllib.loads((CONSOLE / "words.toml").read_text("utf-8"))
    for key, row in rows.items():
        assert len(LANGUAGES) == len(row), key
        assert all(row), key
        places = [sorted(re.findall(r"{\w+}", text)) for text in row]
        assert places == [places[0]] * len(LANGUAGES), key
    assert all(words.by_key.keys() == rows.keys() for words in read_words().values())


def test_what_a_page_says_is_in_the_table_and_nothing_else_is() -> None:
    """Words by their whole key, or by its beginning where the rest is a state, a lane or a page."""
    keys = read_words()["en"].by_key.keys()
    texts = [each.read_text("utf-8") for each in (*CONSOLE.rglob("*.html"), *CONSOLE.rglob("*.py"))]
    said = {key for text in texts for key in re.findall(r'["\']([a-z_0-9]+(?:\.[a-z_0-9]+)*)["\']', text)}
    begun = {key for text in texts for key in re.findall(r'"([a-z_]+\.)"', text)}
    ended = {"pause", "resume"}
    used = {key for key in keys if key in said or any(key.startswith(start) for start in begun)}
    used |= {f"{what}.{rest}" for what in ended for rest in ("what", "confirm")}
    assert set() == keys - used
    called = {key for text in texts for key in re.findall(r'\bt\("([a-z_.0-9]+)"[,)]', text)}
    assert set() == called - keys
    assert {f"page.{page.name}" for page in PAGES} <= keys


def test_a_language_is_chosen_by_hand_or_by_the_browser() -> None:
    """Traditional where a browser asks for Chinese of Taiwan or Hong Kong, simplified for the mainland."""
    table = {"zh-TW,zh;q=0.9": "zh-Hant", "zh-HK": "zh-Hant", "zh-CN,en": "zh-Hans", "zh": "zh-Hans", "fr,en-GB": "en"}
    assert list(table.values()) == [language_of(None, accepted) for accepted in table]
    assert "zh-Hant" == language_of("zh-Hant", "en")
    assert "en" == language_of("xx", "")
    with pytest.raises(KeyError):
        Words("en", {})("nothing")


def test_what_was_brought_along_is_what_npm_gave() -> None:
    """By its digest; each with its licence, and nothing besides."""
    told = tomllib.loads((VENDOR / "vendor.toml").read_text("utf-8"))["package"]
    listed = {name: digest for package in told for name, digest in package["sha256"].items()}
    files = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in VENDOR.iterdir()}
    files.pop("vendor.toml")
    assert files == listed
    for package in told:
        assert any(name.startswith("LICENSE.") for name in package["sha256"])
        assert package["integrity"].startswith("sha512-")


def test_no_template_needs_what_the_policy_forbids() -> None:
    """No script or style inside a page, no handler in an attribute, nothing from another host, nothing marked safe."""
    for file in CONSOLE.rglob("*.html"):
        text = file.read_text("utf-8")
        found = re.findall(r"<script(?! src=)|<style|\sstyle=|\son\w+=|javascript:|https?://|\|\s*safe|hx-on", text)
        assert [] == found, file.name
    for file in (CONSOLE / "static").glob("*"):
        if file.suffix in {".js", ".css"}:
            assert not re.search(r"https?://|innerHTML|\beval\(", file.read_text("utf-8")), file.name


def test_every_page_has_a_template_and_a_right() -> None:
    """And each a command that tells the same."""
    for page in PAGES:
        assert (CONSOLE / "templates" / f"{page.name}.html").is_file(), page.name
        assert page.twin.endswith(".json")
        assert page.right in {"view", "send", "admin"}


def test_a_console_has_what_its_logins_need() -> None:
    """Else the process does not start, and says what is missing."""
    for wrong in ({"auth": "basic"}, {"auth": "proxy"}, {"users": {"ann": {"password": "plain"}}}, {"prefix": "sms/"}):
        with pytest.raises(ValueError, match=r"web|basic|proxy|password|pattern|networks"):
            Web.model_validate(wrong)
