"""AccessYou 易通訊: accessyou.txt, the vendor's smsapi.pdf of 2023-10-20, parts A to C and I (p.5 to 68, p.125 to 127).

Where the real vendor differs from its document, or the document from itself, the module that meets it says so:
`answers` (five forms of answer), `submit` (two generations of one address, what a batch answers), `log` (a table that
slipped by a row), `inbound` (what SMS2API sends). Every reading that is a guess is a setting (`settings`).
"""

from providers.accessyou.provider import AccessYou
from providers.accessyou.settings import AccessYouSettings

__all__ = ["AccessYou", "AccessYouSettings"]
