"""xioo, the 和记 platform: its interface page (xioo.txt; § is a section of it, by the number that the page prints).

Where the page leaves room, or platforms of the same family are known to differ, the reading taken here is:

- an answer's fields may have spaces around them (§1.7.2 prints one); only code 0 has all six (§1.7.1);
- code 2, printed with the words of code 1, means the balance where its words say so (§1.7.3);
- code 0 with a successcount of 0 is refused: nothing was taken;
- `sign` is sent without 【】 and not repeated in the content (settings: `sign`, `sign_in_content`; §1.6);
- how many numbers a call takes is not said: 500, as in the example (`max_numbers_per_call`; §1.7.2);
- a report push is proven by its name where `access_secret` is set, else by `push_name` and `push_pwd` (§3.1, §3.3);
- sections 3.2 and 3.3 appear twice or under another title: their numbers are those printed;
- §1.2 tells free text from templates, and §1.6 has no parameter for either: the platform recognises a template itself.
"""

from providers.xioo.provider import Xioo
from providers.xioo.settings import XiooSettings

__all__ = ["Xioo", "XiooSettings"]
