"""AccessYou's delivery log (p.49 to 53) and account information (p.54, 55).

check_accinfo's answer is not printed; clients in production read <balanceinfo> with account_no,
balance and expiry_date.
"""

import time

from simulator.accessyou_submit import units
from simulator.accessyou_wire import authentication, failure, xml
from simulator.accounts import Account
from simulator.identifiers import accessyou_sequence, local_time
from simulator.journal import ACCEPTED
from simulator.vendor import Answer, Call, Desk, check_names

_BASE = ("accountno", "user", "pwd")
_NO_TIME = "0000-00-00 00:00:00"


def look_up(desk: Desk, call: Call) -> Answer:
    """Both look-ups have credentials of their own."""
    if call.request.method != "GET":
        desk.breach(call, "method", f"{call.request.method} is not supported, use GET")
    log = call.endpoint == "check_msginfo.php"
    # The URL says msgid, the table of p.50 says id: either is known.
    names = frozenset((*_BASE, "msgid", "id") if log else _BASE)
    check_names(desk, call, names, _BASE)
    if log and "msgid" not in call.fields and "id" not in call.fields:
        desk.breach(call, "parameter_missing", "msgid")
    account = call.account
    prefix = "log" if log else "info"
    if not all(call.fields.get(name) for name in _BASE):
        return Answer(failure(call, "101"), "101")
    if (
        account is None
        or call.text("user") != account.text(f"{prefix}_user")
        or call.text("pwd") != account.text(f"{prefix}_password")
    ):
        return Answer(failure(call, "105"), "105")
    if account.state == "ip_forbidden":
        return Answer(failure(call, "104"), "104")
    body = _log(desk, call, account) if log else _information(account)
    return Answer(xml(authentication(call, "100") + body), "100")


def _information(account: Account) -> str:
    return (
        f"<balanceinfo>\n<account_no>{account.name}</account_no>\n"
        f"<balance>{account.balance:.2f}</balance>\n"
        f"<expiry_date>{account.text('expiry_date')}</expiry_date>\n</balanceinfo>\n"
    )


def _log(desk: Desk, call: Call, account: Account) -> str:
    sequence = accessyou_sequence(call.text("msgid") or call.text("id"))
    if not 0 <= sequence < len(desk.journal):
        return "<msginfo>\n</msginfo>\n"
    row = desk.journal.row(sequence)
    mine = row.key.vendor == call.vendor and row.key.account == account.name
    batch = row.key.endpoint == "sendsms-batch.php"
    shown = len(row.numbers)
    if batch:
        shown = {"each": shown, "first": 1}.get(account.text("batch_log"), 0)
    if not mine or not row.flags & ACCEPTED or not shown:
        return "<msginfo>\n</msginfo>\n"
    count = units(row.texts[0])
    now_ns = time.time_ns()
    elements = []
    for position, number in enumerate(row.numbers[:shown]):
        state, at_ns = desk.final_state(sequence, position, now_ns)
        elements.append(
            f"<msginfo>\n<account_no>{account.name}</account_no>\n"
            f"<msgid>{call.text('msgid') or call.text('id')}</msgid>\n<status>finish</status>\n"
            f"<destination>{number}</destination>\n<rate>{account.text('rate')}</rate>\n"
            f"<charge>{float(account.text('rate')) * count:.2f}</charge>\n"
            f"<noofmsg>{count}</noofmsg>\n"
            f"<submissiondate>{local_time(row.arrival_ns)}</submissiondate>\n"
            f"<deliverydate>{local_time(at_ns) if state else _NO_TIME}</deliverydate>\n"
            f"<senderid></senderid>\n<route>HTTP</route>\n"
            f"<receivestatus>{state or 'SENT'}</receivestatus>\n</msginfo>\n"
        )
    return "".join(elements)
