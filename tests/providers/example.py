"""example.com: example.txt, sections 1 to 3. The document does not say how characters are counted: as 16-bit words."""

from datetime import datetime

from pydantic import SecretStr

from config.settings import AccountSettings
from providers.addresses import VendorUrl
from providers.base import (
    Accepted,
    Balance,
    Call,
    PublishedLimit,
    Push,
    Received,
    Report,
    Request,
    Response,
    Service,
)
from providers.clock import parse_moment
from providers.forms import push_fields
from providers.numbers import check_e164
from providers.outcomes import CodeTable
from providers.single import SingleAddress
from providers.writing import json_post
from sendmill.errors import BadCredentials, ContentRefused, NoBalance, OutcomeUnknown, PushRefused
from sendmill.features import Feature
from sendmill.states import State

SUBMIT_CODES: CodeTable = {
    "0": None,
    "1": BadCredentials,
    "2": ContentRefused,
    "3": NoBalance,
    "9": OutcomeUnknown,
}
"""`code` of /send, section 1.3. 9 is "system error" and does not say that nothing was taken."""

BALANCE_CODES: CodeTable = {"0": None, "1": BadCredentials}
"""`code` of /balance, section 2."""

STATES = {"DELIVRD": State.DELIVERED, "UNDELIV": State.UNDELIVERED}
"""`state` of a report, section 3."""

SEND = Service("send", max_numbers=100)
"""Section 1.1."""


class ExampleSettings(AccountSettings):
    """`[accounts.x]` with `provider = "example"`."""

    base_url: VendorUrl
    uid: str
    pwd: SecretStr


class Example(SingleAddress[ExampleSettings]):
    """One account at example.com."""

    name = "example"
    settings_model = ExampleSettings
    features = frozenset({Feature.SMS, Feature.REPORTS_PUSHED, Feature.BALANCE})
    limits = (PublishedLimit("calls_per_s", 50, "example.txt 1.1: at most 50 requests a second"),)

    service = SEND
    max_content_chars = 500  # section 1.1

    def check_number(self, number: str) -> None:
        """Any country."""
        check_e164("example", number)

    def submit_request(self, call: Call) -> Request:
        """Section 1.1."""
        content = self.content(call.message)
        return self._post("send", {"to": ",".join(call.numbers), "text": content, "ref": call.reference})

    def submitted(self, call: Call, response: Response) -> Accepted:
        """Section 1.2: `code`, `id`."""
        fields = self.read(response)
        self.judge(fields.get("code", ""), SUBMIT_CODES, response)
        if not fields.get("id"):
            raise self.unreadable("says success without an id", response)
        return Accepted(vendor_message_id=fields["id"], answer="code 0")

    def balance_request(self, made_at: datetime) -> Request:
        """Section 2."""
        return self._post("balance", {})

    def balance(self, response: Response) -> Balance:
        """Section 2: `left`."""
        fields = self.read(response)
        self.judge(fields.get("code", ""), BALANCE_CODES, response)
        if not fields.get("left", "").isdecimal():
            raise self.unreadable("says success without a balance", response)
        return Balance(fields["left"], "messages")

    def pushed(self, push: Push) -> Received:
        """Section 3: a form with `id`, `to`, `state`, `time`. A word that is in no table has no state: it changes
        nothing."""
        fields = push_fields(push)
        if not {"id", "to", "state"} <= fields.keys():
            raise PushRefused("a report of example has an id, a number and a state")
        word, time = fields["state"], parse_moment(fields.get("time", ""))
        report = Report(STATES.get(word), word, fields["to"], vendor_message_id=fields["id"], occurred_at=time)
        return Received(reports=(report,))

    def _post(self, path: str, fields: dict[str, str]) -> Request:
        credentials = {"uid": self._settings.uid, "pwd": self._settings.pwd.get_secret_value()}
        return json_post(f"{self._settings.base_url}/{path}", credentials | fields)
