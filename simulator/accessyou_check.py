"""AccessYou's delivery log (p.49 to 53) and account information (p.54, 55).

check_accinfo's answer is not printed; clients in production read <balanceinfo> with account_no,
balance and expiry_date.
"""

import re
import time
from xml.sax.saxutils import escape

from simulator.accessyou_answers import authentication, failure, rules_of, xml
from simulator.accessyou_login import check_request, login_error
from simulator.accessyou_submit import units
from simulator.accounts import Account
from simulator.identifiers import accessyou_sequence, local_time
from simulator.journal import ACCEPTED, Row
from simulator.vendor import Answer, Call, Desk

_NO_TIME = "0000-00-00 00:00:00"
_NS_PER_MS = 1_000_000
_NOTHING = "<msginfo>\n</msginfo>\n"


def look_up(desk: Desk, call: Call) -> Answer:
    """Both look-ups have credentials of their own."""
    rules = rules_of(call)
    log = rules.service == "log"
    code = check_request(desk, call, rules) or login_error(desk, call, rules)
    account = call.account
    # The URL says msgid, the table of p.50 says id: either is known.
    if log and "msgid" not in call.fields and "id" not in call.fields:
        desk.breach(call, "parameter_missing", "msgid")
    if code or account is None:
        return Answer(failure(call, code), code)
    body = _log(desk, call, account) if log else _information(account)
    return Answer(xml(authentication(call, "100") + body), "100")


def _information(account: Account) -> str:
    return (
        f"<balanceinfo>\n<account_no>{account.name}</account_no>\n"
        f"<balance>{account.balance:.2f}</balance>\n"
        f"<expiry_date>{account.text('expiry_date')}</expiry_date>\n</balanceinfo>\n"
    )


def _log(desk: Desk, call: Call, account: Account) -> str:
    message_id = call.text("msgid") or call.text("id")
    sequence = accessyou_sequence(message_id)
    if not 0 <= sequence < len(desk.journal):
        return _NOTHING
    row = desk.journal.row(sequence)
    if (row.key.vendor, row.key.account) != (call.vendor, account.name) or not row.flags & ACCEPTED:
        return _NOTHING
    if row.start_ns > time.time_ns():
        # What waits for its time is in another list than what was sent (p.24: 查等待/失败记录).
        return _NOTHING
    shown = len(row.numbers)
    if row.key.endpoint == "sendsms-batch.php":
        shown = {"each": shown, "first": 1}.get(account.text("batch_log"), 0)
    elements = [_message(desk, account, row, position, message_id) for position in range(shown)]
    return "".join(elements) or _NOTHING


def _message(desk: Desk, account: Account, row: Row, position: int, message_id: str) -> str:
    """<msginfo> in the order of the sample of p.53."""
    count = 1 if row.key.endpoint == "sendmms.php" else units(row.texts[0])
    now_ns = time.time_ns()
    state, at_ns = desk.final_state(row.sequence, position, now_ns)
    waiting = "SENT"
    if row.key.endpoint == "sendmms.php":
        state, waiting = _mms_state(account, state, now_ns - at_ns), "Sent"
    destination = str(row.numbers[position])
    if account.flag("mask_destination"):
        # As the sample prints it: 8613*****09.
        destination = f"{destination[:4]}*****{destination[-2:]}"
    element = (
        f"<msginfo>\n<account_no>{account.name}</account_no>\n<msgid>{message_id}</msgid>\n"
        f"<status>finish</status>\n<destination>{destination}</destination>\n"
        f"<rate>{account.text('rate')}</rate>\n"
        f"<charge>{float(account.text('rate')) * count:.2f}</charge>\n<noofmsg>{count}</noofmsg>\n"
        f"<submissiondate>{local_time(row.arrival_ns)}</submissiondate>\n"
        f"<deliverydate>{local_time(at_ns) if state else _NO_TIME}</deliverydate>\n"
        f"<senderid>{escape(str(row.parts.get('from', '')))}</senderid>\n"
        f"<route>{'email' if row.key.endpoint == 'email' else 'HTTP'}</route>\n"
        f"<receivestatus>{state or waiting}</receivestatus>\n</msginfo>\n"
    )
    # "some paramters are not applicable to your account plan" (p.51).
    for name in account.words("log_leaves_out"):
        element = re.sub(f"<{re.escape(name)}>.*</{re.escape(name)}>\n", "", element)
    return element


def _mms_state(account: Account, state: str, since_ns: int) -> str:
    """p.116: Sent, Delivered, then Download and READ where the handset says so (option `mms_states`).

    A fate of one of these words ends there; DELIVERED goes through all, a step every `mms_step_ms`.
    """
    steps = account.words("mms_states")
    if state != "DELIVERED" and state not in steps:
        return state
    last = len(steps) - 1 if state == "DELIVERED" else steps.index(state)
    step_ns = account.number("mms_step_ms") * _NS_PER_MS
    return steps[min(last, since_ns // step_ns if step_ns else last)]
