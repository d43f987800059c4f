"""Vendors' answers as flat fields, whatever form they come in.

Content types are not reliable, so the body itself says what it is. XML is read with defusedxml:
document types and entities are refused. Nothing here raises anything but `Unreadable`.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from typing import Final
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*\?>")
_DECLARED_CHARSET = re.compile(rb"^[^<]{0,16}<\?xml\b[^>]{0,100}?encoding=[\"']([A-Za-z0-9._-]{1,20})[\"']")

# What the five vendors' family of servers is known to declare. GB18030 reads GB2312 and GBK too.
_CHARSETS = {"gbk": "gb18030", "gb2312": "gb18030", "gb18030": "gb18030"}

_JSON = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
_BLANK = "\ufeff \t\r\n\0"


MOST_LEVELS: Final = 10_000
"""Vendors nest three deep. A megabyte of elements in each other would hold the process's loop for half a second."""


class Unreadable(Exception):
    """The body is not what it seems to be. The text is fit for an error: it quotes nothing."""


def text_of(body: bytes) -> str:
    """The body as text, without the byte order marks (one or more), white space and zeros around it."""
    declared = _DECLARED_CHARSET.match(body)
    charset = _CHARSETS.get(declared.group(1).decode("ascii").lower(), "utf-8") if declared else "utf-8"
    return body.decode(charset, "replace").strip(_BLANK)


def json_fields(text: str) -> dict[str, str]:
    """The fields of a JSON object that hold a string or a number, as text.

    Numbers stay as they are written: an id of 20 digits must not pass through a double.

    Raises:
        Unreadable: no JSON, or not an object.
    """
    read = read_json(text)
    if not isinstance(read, dict):
        raise Unreadable("is JSON but not an object")
    return {name.strip(): value for name, value in read.items() if isinstance(value, str)}


def read_json(text: str) -> object:
    """The JSON value, in which every number is its own text. There is no blank around `text` (see `text_of`).

    Raises:
        Unreadable: it is none, or nested beyond reason.
    """
    value: object = None
    end = -1
    # raw_decode looks for no blanks, which costs as much as a short answer.
    with contextlib.suppress(ValueError, RecursionError):
        value, end = _JSON.raw_decode(text)
    if end != len(text):
        # Raised out here: the decoder's error holds the whole answer and would ride along as the context.
        raise Unreadable("begins like JSON and is none")
    return value


class _Shallow(TreeBuilder):
    """Elements no deeper than `MOST_LEVELS`."""

    def __init__(self) -> None:
        super().__init__()
        self._levels = 0

    def start(self, tag: str, attrs: dict[str, str], /) -> Element:
        self._levels += 1
        if self._levels > MOST_LEVELS:
            raise Unreadable("is XML that is nested beyond reason")
        return super().start(tag, attrs)

    def end(self, tag: str, /) -> Element:
        self._levels -= 1
        return super().end(tag)


def xml_root(text: str) -> Element:
    """One root over everything: AccessYou's delivery log answers with two roots side by side.

    Raises:
        Unreadable: no well-formed XML, nested beyond reason, or a document type, entity or other trap in it.
    """
    with contextlib.suppress(ParseError, DefusedXmlException, ValueError):
        # Matched where it may stand, at the start: a search would begin again at every blank of a long answer.
        declared = _DECLARATION.match(text)
        body = text[declared.end() :] if declared else text
        parser = DefusedXMLParser(target=_Shallow(), forbid_dtd=True)
        parser.feed(f"<answer>{body}</answer>")
        root: Element = parser.close()
        return root
    raise Unreadable("begins like XML and is none")


def xml_fields(element: Element) -> dict[str, str]:
    """The text of every element below that has no elements of its own, by local name; the first of two wins.

    Namespaces are left out: ihuyi's varies from host to host.
    """
    fields: dict[str, str] = {}
    for child in element.iter():
        if child is not element and len(child) == 0:
            fields.setdefault(local_name(child), (child.text or "").strip())
    return fields


def local_name(element: Element) -> str:
    """The element's name without its namespace."""
    return str(element.tag).rpartition("}")[2]


def fields_of(body: bytes) -> Mapping[str, str]:
    """The fields of an answer that is JSON or XML.

    Raises:
        Unreadable: it is neither.
    """
    text = text_of(body)
    if text.startswith("{"):
        return {name: value.strip() for name, value in json_fields(text).items()}
    if text.startswith("<"):
        return xml_fields(xml_root(text))
    raise Unreadable("is neither JSON nor XML" if text else "is empty")
