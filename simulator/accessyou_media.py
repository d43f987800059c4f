"""AccessYou's MMS (part F, p.105 to 116), voice (part J, p.128) and sender ids (p.56, 57).

Images are not fetched, since a simulator has no business on the network: what an image is, is
judged by its URL. What voice/send.php answers is not printed; here it is the id in digits, as of
the older sendsms.php.
"""

import re
from collections import defaultdict
from urllib.parse import urlsplit

from simulator.accessyou_answers import authentication, failure, rules_of, success, text, xml, xml_status
from simulator.accessyou_login import check_request, login_error
from simulator.identifiers import vendor_message_id
from simulator.numbers import international
from simulator.vendor import Answer, Call, Desk

# p.106: "Max 50 digits. Accept 0-9, a-z, underscore, hyphen", case-insensitive.
_IMAGE_NAME = re.compile(r"[0-9a-z_-]{1,50}", re.ASCII | re.IGNORECASE)
_IMAGE_URL = re.compile(r".+\.(jpe?g|gif)", re.IGNORECASE)
# p.56: "minimum 3 and max 11 [a-z], [A-Z], [0-9] and space. [0-9] must be placed after" letters.
_SENDER = re.compile(r"(?=.{3,11}$)[A-Za-z ]+[0-9 ]*", re.ASCII)
_WAV_NAME = re.compile(r"\d+", re.ASCII)


class Media:
    """What accounts have uploaded."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._images: defaultdict[str, set[str]] = defaultdict(set)

    def answer(self, call: Call) -> Answer:
        """Judge one call of these parts."""
        rules = rules_of(call)
        code = check_request(self._desk, call, rules) or login_error(call, rules)
        if code:
            return Answer(failure(call, code), code)
        judge = {
            "upload_img.php": self._upload_image,
            "sendmms.php": self._send_mms,
            "send.php": self._send_voice,
            "upload_wav.php": self._upload_wav,
            "add_senderid.php": self._add_sender,
        }[call.endpoint]
        return judge(call)

    def _upload_image(self, call: Call) -> Answer:
        name, url = call.text("imgfile").lower(), call.text("img_url")
        parts = urlsplit(url)
        code = "200"
        if not _IMAGE_NAME.fullmatch(name):
            self._desk.breach(call, "parameter_format", "imgfile")
            code = "109"
        elif not url:
            code = "110"
        elif parts.scheme not in ("http", "https") or parts.port not in (None, 80):
            # p.122: port 8080 is answered 114.
            self._desk.breach(call, "parameter_format", "img_url: http or https, port 80 only")
            code = "114"
        elif not _IMAGE_URL.fullmatch(parts.path):
            code = "114"
        if code != "200":
            return Answer(failure(call, code), code)
        # "image file is GIF. Need to add .gif" when sending (p.109).
        ending = ".gif" if parts.path.lower().endswith(".gif") else ""
        self._images[call.claimed].add(name + ending)
        return Answer(xml_status(call, "200"), "200")

    def _send_mms(self, call: Call) -> Answer:
        subject, image = call.text("subject"), call.text("imgfile").lower()
        number = international(call.text("phone"))
        content = "\n".join((subject, call.text("msg"), image))
        code = ""
        if not subject:
            code = "102"
        elif not call.text("phone"):
            code = "103"
        elif not number:
            self._desk.breach(call, "number_format", f"{len(call.text('phone'))} characters")
            code = "108"
        elif image and image not in self._images[call.claimed]:
            code = "113"
        elif "blacklisted" in self._desk.refusal(call, number) and call.text("dnc").lower() == "y":
            code = "118"
        return self._accept_or_refuse(call, code, number, content)

    def _send_voice(self, call: Call) -> Answer:
        number = international(call.text("phone"))
        code = "" if number else "108"
        if not _WAV_NAME.fullmatch(call.text("wavfile")):
            self._desk.breach(call, "parameter_format", "wavfile: a number without extension")
            code = "102"
        return self._accept_or_refuse(call, code, number, f"wav {call.text('wavfile')}")

    def _accept_or_refuse(self, call: Call, code: str, number: int, content: str) -> Answer:
        if not code and call.account is not None and call.account.balance < 1:
            code = "107"
        numbers = [number] if number else []
        if code:
            return Answer(failure(call, code), code, numbers=numbers, texts=[content])
        message_id = vendor_message_id(call.vendor, call.sequence, call.request.arrival_ns)
        response = success(call, message_id)
        return Answer(response, "100", accepted=True, numbers=numbers, texts=[content], cost=1)

    def _upload_wav(self, call: Call) -> Answer:
        if not _WAV_NAME.fullmatch(call.text("wavfile")):
            self._desk.breach(call, "parameter_format", "wavfile: a number without extension")
            return Answer(failure(call, "102"), "102")
        return Answer(text("ok"), "ok")

    def _add_sender(self, call: Call) -> Answer:
        """p.57; the 8 minutes until it works are not waited."""
        sender, account = call.text("from"), call.account
        if not _SENDER.fullmatch(sender):
            self._desk.breach(call, "parameter_format", "from: 3 to 11 letters, then digits")
        if account is not None and sender not in account.words("senders"):
            account.options["senders"] = [*account.words("senders"), sender]
        passed = authentication(call, "100").replace("</auth>\n", f"<accountno>{call.claimed}</accountno>\n</auth>\n")
        body = (
            f"<xml>\n{passed}<response>\n<status>200</status>\n"
            "<status_desc>Successfully submitted. 执行成功</status_desc>\n"
            f"<from>{sender}</from>\n</response>\n</xml>\n"
        )
        return Answer(xml(body), "200")
