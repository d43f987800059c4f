"""The account's data, check_accinfo.php (accessyou.txt p.54, p.55).

The document prints the request and no answer. Clients read `<auth>` as in the delivery log, then `<balanceinfo>` with
`account_no`, `balance`, `expiry_date`.
"""

from __future__ import annotations

import re

from providers.accessyou.query import authenticated, query
from providers.accessyou.settings import AccessYouSettings
from providers.base import Balance, Request, Response
from providers.reading import Unreadable, xml_fields

_AMOUNT = re.compile(r"-?[0-9][0-9,]{0,18}(?:\.[0-9]{1,6})?", re.ASCII)


def balance_request(settings: AccessYouSettings) -> Request:
    """GET `accountno`, `user`, `pwd`, the query's own."""
    check = settings.check
    return query(check.accinfo_url, settings.accountno, check.accinfo_user, check.accinfo_pwd, cookie=check.cookie)


def read_balance(settings: AccessYouSettings, response: Response) -> Balance:
    """`balance` as it is printed, in the currency of the settings.

    Raises:
        AccountBlocked: see `authenticated`.
        Unreadable: no such XML, or none with a balance.
    """
    amount = xml_fields(authenticated(response)).get("balance", "")
    if not _AMOUNT.fullmatch(amount):
        raise Unreadable("has no balance")
    return Balance(amount, settings.check.accinfo_unit)
