"""AccessYou's MMS (part F, p.99 to 122) and voice (part J, p.128).

What voice/send.php answers is not printed: option `voice_answer` is "digits" (an id, as of the older sendsms.php), "ok"
(as of upload_wav.php), or any other word, which then refuses. What upload_wav.php answers when it cannot is not printed
either: here the word system_error of p.43.
"""

import re
import time
from collections import defaultdict

from simulator import accessyou_files
from simulator.accessyou_answers import failure, rules_of, success, text, xml_status
from simulator.accessyou_files import Kept
from simulator.accessyou_login import check_request, fits, login_error
from simulator.accessyou_senders import Senders
from simulator.accounts import Account
from simulator.identifiers import vendor_message_id
from simulator.journal import Parts
from simulator.numbers import in_china, in_hong_kong, international
from simulator.vendor import Answer, Call, Desk

# p.106: "Max 50 digits. Accept 0-9, a-z, underscore, hyphen", case-insensitive.
_IMAGE_NAME = re.compile(r"[0-9a-z_-]{1,50}", re.ASCII)
# p.109: "image file is GIF. Need to add .gif".
_SENT_IMAGE_NAME = re.compile(r"[0-9a-z_-]{1,50}(\.gif)?", re.ASCII)
_WAV_NAME = re.compile(r"\d+", re.ASCII)
_UPLOADS = {"upload_img.php": "img_url", "upload_wav.php": "wav_url"}
_VOICE_WORDS = ("digits", "ok")


class Media:
    """What accounts have uploaded, and what they send of it."""

    def __init__(self, desk: Desk, senders: Senders) -> None:
        self._desk = desk
        self._senders = senders
        self._images: defaultdict[str, dict[str, Kept]] = defaultdict(dict)

    def wanted_file(self, call: Call) -> tuple[str, int] | None:
        """The address of an upload that will be judged by what is there."""
        account, name = call.account, _UPLOADS.get(call.endpoint)
        if name is None or account is None or not account.flag("fetch_files"):
            return None
        url = call.text(name)
        if not fits(call, account, rules_of(call)) or accessyou_files.address_error(url):
            return None
        return url, account.number("fetch_port")

    def age(self, account: str, age_s: float) -> int:
        """Let the images of an account grow older by so many seconds; returns how many there are."""
        for kept in self._images[account].values():
            kept.at_ns -= int(age_s * 1_000_000_000)
        return len(self._images[account])

    def answer(self, call: Call) -> Answer:
        """Judge one call of these parts."""
        rules = rules_of(call)
        code = check_request(self._desk, call, rules) or login_error(self._desk, call, rules)
        account = call.account
        if code or account is None:
            return Answer(failure(call, code), code)
        judge = {
            "upload_img.php": self._upload_image,
            "sendmms.php": self._send_mms,
            "send.php": self._send_voice,
            "upload_wav.php": self._upload_wav,
        }[call.endpoint]
        return judge(call, account)

    def _upload_image(self, call: Call, account: Account) -> Answer:
        name, url, file = call.text("imgfile").lower(), call.text("img_url"), call.request.file
        parts: Parts = {"imgfile": name, "img_url": url}
        ending, code = "", accessyou_files.address_error(url)
        if not _IMAGE_NAME.fullmatch(name):
            self._desk.breach(call, "parameter_format", "imgfile")
            code = "109"
        elif code == "114":
            self._desk.breach(call, "parameter_format", "img_url: http or https, port 80 only")
        elif not code:
            ending, code = accessyou_files.judged(file) if file is not None else accessyou_files.looks(url)
        if code:
            return Answer(failure(call, code), code, parts=parts)
        self._images[account.name][name + ending] = Kept(len(file.body) if file else 0, time.time_ns())
        return Answer(xml_status(call, "200"), "200", parts=parts)

    def _send_mms(self, call: Call, account: Account) -> Answer:
        subject, image, phone = call.text("subject"), call.text("imgfile").lower(), call.text("phone")
        number = international(phone)
        parts: Parts = {"subject": subject, "imgfile": image, "from": call.text("from")}
        code = ""
        if not subject:
            code = "102"
        elif not phone:
            code = "103"
        elif not number:
            self._desk.breach(call, "number_format", f"{len(phone)} characters")
            code = "108"
        else:
            code = self._image_error(account, image, number)
        if call.text("dnc") not in ("", "Y", "y", "n"):
            self._desk.breach(call, "parameter_format", "dnc: Y or n")
        if call.text("from") and not self._senders.knows(account, call.text("from"), call.request.arrival_ns):
            # "Sender needs to be registered before you can use" (p.110); no status says that it is not.
            self._desk.breach(call, "parameter_format", "from: not registered")
        refusal = self._desk.refusal(call, number) if number else ""
        if not code and refusal == "invalid":
            code = "108"
        if not code and refusal == "blacklisted" and call.text("dnc").lower() == "y" and in_hong_kong(number):
            code = "118"
        answer = Answer(failure(call, code), code, texts=[call.text("msg")], parts=parts)
        return self._accepted(call, account, answer, number)

    def _image_error(self, account: Account, image: str, number: int) -> str:
        if not image:
            return ""
        if not _SENT_IMAGE_NAME.fullmatch(image):
            return "109"
        kept = self._images[account.name].get(image)
        if kept is None or time.time_ns() - kept.at_ns > accessyou_files.KEPT_NS:
            return "113"
        too_large = in_china(number) and kept.size_bytes > accessyou_files.MAX_CHINA_IMAGE_BYTES
        return "112" if too_large else ""

    def _send_voice(self, call: Call, account: Account) -> Answer:
        phone, wav = call.text("phone"), call.text("wavfile")
        number = international(phone)
        code = ""
        if not phone:
            code = "103"
        elif not number:
            self._desk.breach(call, "number_format", f"{len(phone)} characters")
            code = "108"
        elif not _WAV_NAME.fullmatch(wav):
            self._desk.breach(call, "parameter_format", "wavfile: a number without extension")
            code = "102"
        elif account.text("voice_answer") not in _VOICE_WORDS:
            code = account.text("voice_answer")
        answer = Answer(failure(call, code), code, parts={"wavfile": wav})
        return self._accepted(call, account, answer, number)

    def _accepted(self, call: Call, account: Account, answer: Answer, number: int) -> Answer:
        """The refusal as it is, or the acceptance in its place where it has no code and there is money."""
        answer.numbers = [number] if number else []
        if not answer.outcome and account.balance < 1:
            answer.outcome, answer.response = "107", failure(call, "107")
        if answer.outcome:
            return answer
        message_id = vendor_message_id(call.vendor, call.sequence, call.request.arrival_ns)
        answer.response = success(call, message_id)
        if call.endpoint == "send.php" and account.text("voice_answer") == "ok":
            answer.response = text("ok")
        answer.outcome, answer.accepted, answer.cost = "100", True, 1
        return answer

    def _upload_wav(self, call: Call, account: Account) -> Answer:
        parts: Parts = {"wavfile": call.text("wavfile"), "wav_url": call.text("wav_url")}
        code = ""
        if not _WAV_NAME.fullmatch(call.text("wavfile")):
            self._desk.breach(call, "parameter_format", "wavfile: a number without extension")
            code = "102"
        elif account.flag("fetch_files") and (
            call.request.file is None or not accessyou_files.is_wav(call.request.file)
        ):
            code = "888"
        return Answer(failure(call, code), code, parts=parts) if code else Answer(text("ok"), "ok", parts=parts)
