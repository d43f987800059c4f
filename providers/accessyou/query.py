"""What check_msginfo.php and check_accinfo.php have in common (accessyou.txt p.49 to 55): GET, and `<auth>` first."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element

from pydantic import SecretStr

from providers.accessyou.answers import read, without_debug
from providers.accessyou.codes import AUTH, SENDSMS
from providers.base import Request, Response
from providers.forms import encode_form
from providers.outcomes import judge
from providers.reading import Unreadable, text_of, xml_fields, xml_root
from sendmill.errors import UnsupportedFeature

VENDOR = "accessyou"


def query(  # noqa: PLR0917 - the parameters of a query, in the order of the document
    url: str | None,
    accountno: str,
    user: str | None,
    pwd: SecretStr | None,
    extra: Sequence[tuple[str, str]] = (),
    cookie: str | None = None,
) -> Request:
    """GET with the query's own user and password.

    Raises:
        UnsupportedFeature: the account's settings have no such query.
    """
    if url is None or user is None or pwd is None:
        raise UnsupportedFeature("this account of accessyou has no such query: fill in [accounts.….check]")
    fields = [("accountno", accountno), ("user", user), ("pwd", pwd.get_secret_value()), *extra]
    return Request("GET", f"{url}?{encode_form(fields)}", {} if cookie is None else {"Cookie": cookie})


def authenticated(response: Response) -> Element:
    """The XML of an answer whose `auth_status` is 100, under one root: the sample on p.53 has two side by side.

    Raises:
        AccountBlocked: the query's login or address is refused. It says nothing about the login for submits.
        Unreadable: no XML, or none with an `auth_status`.
    """
    body = without_debug(response.body)
    text = text_of(body)
    if not text.startswith("<"):
        # A refused address or login is answered in the forms of a submit too (p.20, p.71).
        judge(VENDOR, read(body).code, SENDSMS, http_status=response.status)
        raise Unreadable("is not the XML that the query is answered in")
    root = xml_root(text)
    fields = xml_fields(root)
    status = fields.get("auth_status") or fields.get("msg_status")
    if not status:
        raise Unreadable("has no auth_status")
    judge(VENDOR, status, AUTH, http_status=response.status)
    return root
