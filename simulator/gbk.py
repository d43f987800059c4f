"""GB2312 as smsadmin.txt section 1 asks for: what comes in must be it, what goes out is it."""

# Punctuation and CJK in UTF-8 take three bytes from here on; GB2312 text that happens to be valid
# UTF-8 decodes to letters far below.
_FIRST_WIDE = 0x2000
_FIRST_NOT_ASCII = 0x80


class NotGbk(ValueError):
    """The bytes are not GB2312 or GBK; the text says why."""


def decode(value: bytes) -> str:
    """Text from GB2312 or GBK bytes. Raises NotGbk, also for UTF-8 that GBK would misread."""
    if value.isascii():
        return value.decode("ascii")
    try:
        as_utf8 = value.decode("utf-8")
    except UnicodeDecodeError:
        pass
    else:
        if all(ord(letter) < _FIRST_NOT_ASCII or ord(letter) >= _FIRST_WIDE for letter in as_utf8):
            message = "UTF-8 where GB2312 is asked for"
            raise NotGbk(message)
    try:
        return value.decode("gbk")
    except UnicodeDecodeError:
        message = "neither GB2312 nor GBK"
        raise NotGbk(message) from None


def misread(value: bytes) -> str:
    """What a GBK server makes of any bytes."""
    return value.decode("gbk", "replace")


def encode(text: str) -> bytes:
    """GBK bytes; letters that it has not become `?`, as from the vendor."""
    return text.encode("gbk", "replace")
