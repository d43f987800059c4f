"""AccessYou as a provider: which service takes a call, what is refused before it, and who reads what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from config.settings import AccountSettings
from providers.accessyou import media
from providers.accessyou.account import balance_request, read_balance
from providers.accessyou.answers import read
from providers.accessyou.codes import NO_SENDERS
from providers.accessyou.endpoint import IN_FLIGHT, Endpoint
from providers.accessyou.inbound import read_reply
from providers.accessyou.log import log_request, read_log
from providers.accessyou.mails import SendMail
from providers.accessyou.sender import add_request, read_added
from providers.accessyou.settings import AccessYouSettings
from providers.accessyou.templates import SendOtp
from providers.accessyou.texts import SendBatch, SendSms, SendVercode
from providers.base import (
    Accepted,
    Ack,
    Balance,
    Call,
    Mail,
    Message,
    Provider,
    PublishedLimit,
    Push,
    Received,
    Request,
    Response,
    Service,
    Upload,
)
from providers.content import refuse_options
from providers.numbers import check_e164
from providers.outcomes import judge, unreadable
from providers.reading import Unreadable
from providers.secrets import secrets_of
from sendmill.errors import ContentRefused, InvalidOption
from sendmill.features import Feature
from sendmill.messages import Kind
from sendmill.segments import Segments

_Read = TypeVar("_Read")

_FEATURE_OF: dict[Kind, Feature] = {
    Kind.SMS: Feature.SMS,
    Kind.VENDOR_TEMPLATE: Feature.VENDOR_TEMPLATE,
    Kind.MMS: Feature.MMS,
    Kind.VOICE: Feature.VOICE,
}


class AccessYou(Provider):
    """One account at AccessYou, any country: texts, templates, MMS and voice messages, each by the service for it."""

    name: ClassVar[str] = "accessyou"
    settings_model: ClassVar[type[AccountSettings]] = AccessYouSettings
    features: ClassVar[frozenset[Feature]] = frozenset(
        {
            *_FEATURE_OF.values(),
            Feature.SENDER,
            Feature.SCHEDULE,
            Feature.REPORTS_QUERIED,
            Feature.REPLIES_PUSHED,
            Feature.BALANCE,
            Feature.UPLOAD_IMAGE,
            Feature.UPLOAD_AUDIO,
            Feature.ADD_SENDER,
            Feature.EMAIL,
        }
    )
    options: ClassVar[frozenset[str]] = frozenset({"dnc", "service"})
    """`dnc` as the vendor has it; `service` is ours: sms, batch, otp, vercode or email is to take the message."""

    balance_shows_login = False
    """Each service has a user and password of its own."""

    counting: ClassVar[str] = "accessyou"
    media_kept_s: ClassVar[int] = media.IMAGE_KEPT_S
    largest_media: ClassVar[Mapping[Kind, Mapping[str, int]]] = {Kind.MMS: media.LARGEST_IMAGE}
    limits: ClassVar[Sequence[PublishedLimit]] = (
        PublishedLimit(
            "recipients_per_h",
            20_000,
            "smsapi.pdf p.9: from 20K to 200K sms per hour, by plan",
            may_be_raised=True,
            at_most=200_000,
            services=("sms", "batch", "email"),
        ),
        PublishedLimit("recipients_per_h:mms", 36_000, "smsapi.pdf p.9: 36000 per hour", services=("mms",)),
        PublishedLimit(
            "max_in_flight", IN_FLIGHT, "smsapi.pdf p.43: the message id must be there before another SMS is sent"
        ),
    )

    def __init__(self, name: str, settings: AccountSettings) -> None:
        super().__init__(name, settings)
        assert isinstance(settings, AccessYouSettings)
        self._settings = settings
        self._endpoints = {each.service.name: each for each in _endpoints(settings, reports=self.queries)}
        self.reports = any(service.reports for service in self.services())

    def offers(self) -> frozenset[Feature]:
        """By the services that are filled in."""
        settings = self._settings
        kinds = {kind for endpoint in self._endpoints.values() for kind in endpoint.kinds}
        if settings.sms is not None and settings.sms.style == "msg" and settings.otp is None:
            kinds.discard(Kind.VENDOR_TEMPLATE)
        there = {
            Feature.SENDER: set(self._endpoints) != {"voice"},
            Feature.SCHEDULE: settings.batch is not None,
            Feature.REPORTS_QUERIED: self.reports,
            Feature.REPLIES_PUSHED: bool(settings.push_token),
            Feature.BALANCE: settings.check.accinfo_url is not None,
            Feature.UPLOAD_IMAGE: settings.mms is not None and settings.mms.upload_url is not None,
            Feature.UPLOAD_AUDIO: settings.voice is not None and settings.voice.upload_url is not None,
            Feature.ADD_SENDER: settings.senderid is not None,
            Feature.EMAIL: settings.email is not None,
        }
        return frozenset({_FEATURE_OF[kind] for kind in kinds} | {feature for feature, has in there.items() if has})

    # --- before a message is taken -------------------------------------------------------------------------------

    def services(self) -> Sequence[Service]:
        """Those that are filled in."""
        return [endpoint.service for endpoint in self._endpoints.values()]

    def service_for(self, message: Message, recipients: int) -> Service:
        """The service that `vendor={"service": …}` names; else the one for the message's kind. Text goes by sms to one
        recipient, by batch to more, at a later time, and where no address can hold it; the only one where there is but
        one."""
        return self._endpoint(message, recipients).service

    def largest_call(self, message: Message) -> int:
        """20,000 where a batch may take it, else 1."""
        return self._endpoint(message, 2).service.max_numbers

    def keeps_time(self, kind: Kind, options: Mapping[str, Any]) -> bool:
        """p.10: only sendsms-batch schedules; every other address sends at once."""
        by_batch = kind in {Kind.SMS, Kind.TEMPLATE} and options.get("service") in {None, "batch"}
        return by_batch and "batch" in self._endpoints

    def check(self, message: Message) -> None:
        """Refuse what the service would refuse, or what it cannot do."""
        refuse_options(self.name, message, self.options)
        endpoint = self._endpoint(message, 2)
        endpoint.check_options(message)
        endpoint.check(message)

    def check_number(self, number: str) -> None:
        """Refuse what is not E.164: country code, no trunk zero (p.26)."""
        check_e164("accessyou", number)

    def segments(self, message: Message) -> Segments:
        """AccessYou's own count."""
        return self._endpoint(message, 1).segments(message)

    # --- submitting ----------------------------------------------------------------------------------------------

    def submit_request(self, call: Call) -> Request:
        """The request of the call's service."""
        return self._endpoints[call.service.name].request(call)

    def mail_request(self, call: Call) -> Mail:
        """EMAIL2SMS."""
        endpoint = self._endpoints[call.service.name]
        assert isinstance(endpoint, SendMail)
        return endpoint.mail(call)

    def submitted(self, call: Call, response: Response) -> Accepted:
        """Read the answer in whatever form it comes. A batch's id, where it has one, names the whole call."""
        endpoint = self._endpoints[call.service.name]
        if call.service.by_mail:
            return Accepted(answer=str(response.status))

        table = endpoint.table
        if call.message.sender is not None and NO_SENDERS in table:
            table = {**table, NO_SENDERS: ContentRefused}

        def reading(response: Response) -> Accepted:
            answer = read(response.body)
            not_sent = self._settings.treat_as_not_sent
            judge(self.name, answer.code, table, not_sent=not_sent, http_status=response.status)
            return endpoint.accepted(answer)

        return self._read(reading, response)

    # --- asking --------------------------------------------------------------------------------------------------

    def balance_request(self, made_at: datetime) -> Request:
        """check_accinfo; raises UnsupportedFeature where the account has no such query."""
        return balance_request(self._settings)

    def balance(self, response: Response) -> Balance:
        """Read check_accinfo."""
        return self._read(lambda response: read_balance(self._settings, response), response)

    def upload_name(self, kind: Kind, url: str) -> str:
        """A name by the rules of p.106 or p.128."""
        return media.image_name(url) if kind is Kind.MMS else media.audio_name(url)

    def upload_request(self, upload: Upload) -> Request:
        """upload_img or upload_wav; raises UnsupportedFeature where the account has no such service."""
        mms, voice = self._settings.mms, self._settings.voice
        if upload.kind is Kind.MMS and mms is not None and mms.upload_url is not None:
            return media.image_upload(self._settings, mms, upload)
        if upload.kind is Kind.VOICE and voice is not None and voice.upload_url is not None:
            return media.audio_upload(self._settings, voice, upload)
        raise self._cannot(Feature.UPLOAD_IMAGE if upload.kind is Kind.MMS else Feature.UPLOAD_AUDIO)

    def uploaded(self, upload: Upload, response: Response) -> None:
        """Read what an upload was answered."""

        def reading(response: Response) -> None:
            reader = media.read_image_upload if upload.kind is Kind.MMS else media.read_audio_upload
            code = reader(response.body).code
            judge(self.name, code, media.UPLOAD_TABLES[upload.kind], http_status=response.status)

        self._read(reading, response)

    def sender_request(self, sender: str) -> Request:
        """add_senderid; raises UnsupportedFeature where the account has no such service."""
        return add_request(self._settings, sender)

    def sender_added(self, response: Response) -> str:
        """Read add_senderid."""
        return self._read(read_added, response)

    @property
    def queries(self) -> bool:
        """True where the account has the delivery log."""
        return self._settings.check.msginfo_url is not None

    def query_request(self, vendor_message_id: str) -> Request:
        """check_msginfo; raises UnsupportedFeature where the account has no such query."""
        return log_request(self._settings, vendor_message_id)

    def queried(self, vendor_message_id: str, response: Response) -> Received:
        """Read check_msginfo. An AccountBlocked speaks of the query's own login, not of the one for submits.

        What is known of a batch's id stands in `providers.accessyou.texts`.
        """
        return self._read(lambda response: read_log(self._settings, vendor_message_id, response), response)

    # --- being told ----------------------------------------------------------------------------------------------

    def pushed(self, push: Push) -> Received:
        """SMS2API: one reply a push. AccessYou pushes no reports (`delivery_url` is "coming soon", p.74)."""
        return Received(replies=(read_reply(self._settings.inbound, push),))

    def ack(self, push: Push) -> Ack:
        """p.126: `1`."""
        return Ack(self._settings.inbound.ack.encode())

    def secrets(self) -> Sequence[str]:
        """Every service's password and the push tokens."""
        return secrets_of(self._settings)

    # --- helpers -------------------------------------------------------------------------------------------------

    def _endpoint(self, message: Message, recipients: int) -> Endpoint:
        """The service that takes a message to so many.

        Raises:
            InvalidOption: the job names a service that the account has not, or that sends something else.
            UnsupportedFeature: no service of the account sends this.
        """
        wanted = message.options.get("service")
        if wanted is not None:
            named = self._endpoints.get(str(wanted))
            if named is None or message.kind not in named.kinds:
                able = [name for name, each in self._endpoints.items() if message.kind in each.kinds]
                there = " or ".join(able) or "no service"
                raise InvalidOption(f"{self.account} sends this by {there}: name one of them or none")
            return named
        for name in self._preferred(message, recipients):
            if name in self._endpoints:
                return self._endpoints[name]
        raise self._cannot(_FEATURE_OF[message.kind])

    def _preferred(self, message: Message, recipients: int) -> Sequence[str]:
        match message.kind:
            case Kind.MMS:
                return ("mms",)
            case Kind.VOICE:
                return ("voice",)
            case Kind.VENDOR_TEMPLATE:
                return ("sms", "otp") if self._settings.template_service == "sms" else ("otp", "sms")
        alone = recipients == 1 and message.send_at is None and self._fits_sms(message)
        # Not vercode: what is no code may end that service (p.79). A job names it.
        return ("sms", "batch", "email") if alone else ("batch", "sms", "email")

    def _fits_sms(self, message: Message) -> bool:
        sms = self._endpoints.get("sms")
        return isinstance(sms, SendSms) and sms.fits_address(message)

    def _read(self, reading: Callable[[Response], _Read], response: Response) -> _Read:
        try:
            return reading(response)
        except Unreadable as error:
            why = str(error)
        raise unreadable(self.name, why, http_status=response.status)


def _endpoints(settings: AccessYouSettings, *, reports: bool) -> list[Endpoint]:
    """The services that are filled in."""
    found: list[Endpoint] = []
    if settings.sms is not None:
        found.append(SendSms(settings, settings.sms, reports=reports))
    if settings.batch is not None:
        found.append(SendBatch(settings, settings.batch, reports=reports and settings.batch.reports))
    if settings.otp is not None:
        found.append(SendOtp(settings, settings.otp, reports=reports))
    if settings.vercode is not None:
        found.append(SendVercode(settings, settings.vercode, reports=reports))
    if settings.mms is not None:
        found.append(media.SendMms(settings, settings.mms, reports=reports))
    if settings.voice is not None:
        found.append(media.SendVoice(settings, settings.voice))
    if settings.email is not None:
        found.append(SendMail(settings, settings.email))
    return found
