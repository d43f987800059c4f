"""smsadmin.cn, 通用短信平台: the HTTP interface 1.0.5 of 2017-09-28 (smsadmin.txt; § is a section of it).

Where the document leaves room, or the live service is known to differ, the reading taken here is:

- the code is the whole leading number, with or without the space that the document prints after it (§2);
- `dtime` and `linkid` as in the tables, not `dttime` and `linked` as in the example address (§2);
- "_urldecode" addresses want the value url-encoded a second time (settings: `urlencode_twice`);
- code 6 (words that do not pass) exists, although the document's tables skip it;
- the password is plain at user_info, report and reve, whatever the style of the submits (§5, §7, §8);
- a text needs a signature in 【】 (`signature`), placed after it as in §4's example (`signature_placement`);
- an answer that cannot be read is never "nothing": polls give each record once.

Its reports carry our linkid and no id of the vendor's.
"""

from providers.smsadmin.provider import Smsadmin
from providers.smsadmin.settings import SmsadminSettings

__all__ = ["Smsadmin", "SmsadminSettings"]
