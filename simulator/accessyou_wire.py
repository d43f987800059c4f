"""The endpoints of accessyou.txt: method, credentials, parameters, and the shape of the answer."""

from dataclasses import dataclass

_LOGIN = ("accountno", "user", "pwd")
VARIABLES = ("a", "b", "c", "d", "e", "f")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """`service` chooses user and password; `shape` is that of the answer: json, xml or text."""

    method: str
    service: str
    shape: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    submit: bool = True
    image: bool = False

    @property
    def names(self) -> frozenset[str]:
        """All parameters of the document."""
        return frozenset((*self.required, *self.optional))


# The older generation of sendsms.php, p.22 and 35: msg in place of tid and a, answered in text.
# `size` is in no table; clients in production send it.
OLD_SENDSMS = Endpoint(
    "GET", "web", "text", ("accountno", "pwd", "msg", "phone"), ("user", "dnc", "from", "ref", "size")
)
ENDPOINTS = {
    # Part B, p.41 to 57.
    "/sms/sendsms.php": Endpoint(
        "GET", "sms", "json", (*_LOGIN, "tid", "a", "phone"), (*VARIABLES[1:], "dnc", "from", "ref")
    ),
    "/sms/check_msginfo.php": Endpoint("GET", "log", "auth", _LOGIN, ("msgid", "id"), submit=False),
    "/sms/check_accinfo.php": Endpoint("GET", "info", "auth", _LOGIN, submit=False),
    "/sms/add_senderid.php": Endpoint("GET", "senderid", "auth", (*_LOGIN, "from"), submit=False),
    # Part C, p.61 to 68.
    "/sms/sendsms-batch.php": Endpoint(
        "POST", "batch", "json", (*_LOGIN, "msg", "phone"), ("dnc", "from", "Senddate", "ref")
    ),
    # Part D, p.69 to 75; production also has it without /sms. `delivery_url` is announced (p.74) and does nothing yet.
    "/sms/sendsms-otp.php": Endpoint(
        "GET", "otp", "json", (*_LOGIN, "tid", "phone"), (*VARIABLES, "from", "delivery_url")
    ),
    # Part E, p.77 to 98: XML by p.83, while the table of p.7 says JSON.
    "/sms/sendsms-vercode.php": Endpoint("GET", "otp", "xml", (*_LOGIN, "msg", "phone"), ("from", "delivery_url")),
    # Part F, p.99 to 122.
    "/mms/upload_img.php": Endpoint("GET", "mms", "xml", (*_LOGIN, "imgfile", "img_url"), submit=False, image=True),
    "/mms/sendmms.php": Endpoint(
        "GET", "mms", "xml", (*_LOGIN, "phone", "subject"), ("msg", "imgfile", "dnc", "from"), image=True
    ),
    # Part J, p.128: no user; only upload_wav's "ok" is printed of all answers.
    "/voice/send.php": Endpoint("GET", "voice", "text", ("accountno", "pwd", "phone", "wavfile")),
    "/voice/upload_wav.php": Endpoint("GET", "voice", "text", ("accountno", "pwd", "wavfile", "wav_url"), submit=False),
}
ENDPOINTS["/sendsms-otp.php"] = ENDPOINTS["/sms/sendsms-otp.php"]
