"""post_send_ddt, 点点通: one template, and for each recipient the values that fill it (smsadmin.txt §4).

A row that does not fit is dropped by the vendor without a word (格式不符的参数, 系统自动过滤掉), and how it reads
one is shown by a single example. So only what cannot be misread goes this way, and every other row goes filled, by
post, as any text does. What does not go, and why:

- a value with `,` or `;`, which separate values and rows; with a full-width one too, because a platform that takes
  either for a separator would drop the row unseen;
- an empty value, and one with white space at its ends, which the example's own spaces let us suppose to be trimmed;
- a value with a line break or another control character: that they pass is said of texts alone (history, 1.0.3);
- a brace in a value, or in the template besides its places: with `{value` in it, or made of parts of it, it would be
  filled a second time;
- a 【 or 】 in a value, and every row whose text would be signed otherwise than the template is;
- a character outside GBK; a template that is longer, places included, than the account's texts may be.

变量标识符号不能重复: a name that stands twice in a template becomes two variables with the same value.

The document's example contradicts its own words: it has `{value0}`, `{value1}` and `{value2}` in the template and only
two values behind each number, and prints texts in which the first value stands in place of `{value1}`. By the words
(第二个参数为模板中第一个变量) the first value is that of the first variable, `{value0}`: that is what is sent. Where
`{value0}` turns out to be the number, `first_value = 1` counts the variables from `{value1}`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import count
from typing import NamedTuple

from providers.mainland import to_national
from providers.smsadmin.signing import Signing
from sendmill.preparing.template import Template

_PLACE = re.compile(r"\{([^{}]+)\}")
_MISREAD = re.compile(r"[,;\uff0c\uff1b{}【】\x00-\x1f\x7f]|\A\s|\s\Z|\A\Z")


class Layout(NamedTuple):
    """A template as the vendor is given it: `{value0}`, `{value1}`, … and which of a row's values stands in each."""

    text: str
    order: Sequence[int]
    signed: Template
    unsigned: Template

    def fits(self, values: tuple[str, ...], signature: str | None, signing: Signing) -> bool:
        """Whether the vendor makes of a row exactly the text that we would."""
        if any(map(_MISREAD.search, values)):
            return False
        return self.signed.fill(values) == signing.signed(self.unsigned.fill(values), signature)

    def params(self, numbers: Iterable[str], values: Iterable[tuple[str, ...]]) -> str:
        """`mobile,v0,v1;mobile,v0,v1` without a semicolon at the end."""
        return ";".join(
            ",".join([to_national(number), *(row[place] for place in self.order)])
            for number, row in zip(numbers, values, strict=True)
        )


@lru_cache(maxsize=256)
def layout_of(
    text: str, fields: tuple[str, ...], signature: str | None, signing: Signing, first_value: int
) -> Layout | None:
    """The layout of a template, None where it has none that is certain to be read as it is meant.

    Args:
        text: the template, with its `{name}` places.
        fields: these names, in the order of a row's values.
        signature: the message's own.
        signing: the account's way.
        first_value: the number of the first variable.
    """
    added = signing.bracketed(signature)
    if not fields or "{{" in text or "}}" in text or "{" in added or "}" in added:
        return None
    unsigned = Template(text)
    signed = Template(signing.signed(text, signature))
    if unsigned.fields != fields:
        return None
    names = _PLACE.findall(signed.text)
    order = tuple(fields.index(name) for name in names)
    numbered = count(first_value)
    return Layout(_PLACE.sub(lambda _: f"{{value{next(numbered)}}}", signed.text), order, signed, unsigned)
