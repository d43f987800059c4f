"""AccessYou's sender ids: adding them (p.56, 57) and judging the one that a message names (p.44)."""

import re
from collections import defaultdict

from simulator.accessyou_answers import authentication, failure, rules_of, xml
from simulator.accessyou_login import check_request, login_error
from simulator.accounts import Account
from simulator.vendor import Answer, Call, Desk

# p.56: "minimum 3 and max 11 [a-z], [A-Z], [0-9] and space. [0-9] must be placed after" letters.
_SENDER = re.compile(r"(?=.{3,11}$)[A-Za-z ]+[0-9 ]*", re.ASCII)
# p.44: num_SenderID_not_more_than_16, alpha_SenderID_not_more_than_11.
_MAX_NUMERIC_SENDER = 16
_MAX_ALPHA_SENDER = 11
_NS_PER_S = 1_000_000_000


class Senders:
    """Which names accounts have added, and from when each is effective."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._effective_ns: defaultdict[str, dict[str, int]] = defaultdict(dict)

    def add(self, call: Call) -> Answer:
        """p.57; "Effective after 8min" (p.56) is option `sender_wait_s`.

        A name outside the specification is added too: "you maybe able to add senderid format which is outside the
        above spec but recipient cannot receive".
        """
        rules = rules_of(call)
        code = check_request(self._desk, call, rules) or login_error(self._desk, call, rules)
        account = call.account
        if code or account is None:
            return Answer(failure(call, code), code)
        sender = call.text("from")
        if not _SENDER.fullmatch(sender):
            self._desk.breach(call, "parameter_format", "from: 3 to 11 letters, then digits")
        wait_ns = account.number("sender_wait_s") * _NS_PER_S
        self._effective_ns[account.name].setdefault(sender, call.request.arrival_ns + wait_ns)
        body = (
            f"<xml>\n{authentication(call, '100')}<response>\n<status>200</status>\n"
            "<status_desc>Successfully submitted. 执行成功</status_desc>\n"
            f"<from>{sender}</from>\n</response>\n</xml>\n"
        )
        return Answer(xml(body), "200", parts={"from": sender})

    def knows(self, account: Account, sender: str, now_ns: int) -> bool:
        """Whether a message may name this sender now."""
        if sender in account.words("senders"):
            return True
        effective_ns = self._effective_ns[account.name].get(sender)
        return effective_ns is not None and effective_ns <= now_ns

    def error(self, account: Account, sender: str, now_ns: int) -> str:
        """p.44: the words for a sender that is empty, too long or not the account's; empty when it may be named."""
        if not sender:
            return "SenderID_empty"
        if sender.isdecimal():
            if len(sender) > _MAX_NUMERIC_SENDER:
                return "num_SenderID_not_more_than_16"
        elif len(sender) > _MAX_ALPHA_SENDER:
            return "alpha_SenderID_not_more_than_11"
        if not account.words("senders") and not self._effective_ns[account.name]:
            return "SenderID_not_support"
        return "" if self.knows(account, sender, now_ns) else "invalid_SenderID"
