"""Makes `people.csv`: `python -m simulator.sample.make_people`. The same file every time; a test compares them.

10,000 rows: mobiles of mainland China, Hong Kong, Macau, Taiwan, Singapore, the United Kingdom and the United States,
with names and texts in Chinese and English, some with emoji; 300 rows whose number is wrong, 300 that repeat another
row, 100 that have another text for a number that came before.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

PATH: Final = Path(__file__).parent / "people.csv"

_SEED: Final = 2026
_INVALID_ROWS: Final = 300
_REPEATED_ROWS: Final = 300
_SECOND_TEXTS: Final = 100
_EMOJI_SHARE: Final = 0.04
_E164_SHARE: Final = 0.9


class Person(NamedTuple):
    """A row: `note` is the rest of the text that begins with the name."""

    phone: str
    name: str
    note: str


class Place(NamedTuple):
    """Where people live: country code, beginnings of mobile numbers, digits in all, and what is spoken there."""

    rows: int
    country: str
    blocks: Sequence[str]
    digits: int
    script: str


_PLACES: Final = (
    Place(5100, "86", ("135", "136", "137", "138", "139", "150", "151", "158", "159", "180", "186", "188"), 11, "Hans"),
    Place(1500, "852", ("512", "523", "601", "612", "623", "654", "901", "912", "923", "935", "946", "961"), 8, "Hant"),
    Place(300, "853", ("620", "628", "635", "650", "658", "661"), 8, "Hant"),
    Place(600, "886", ("910", "921", "932", "953", "968", "987"), 9, "Hant"),
    Place(600, "65", ("8123", "8234", "8765", "9012", "9123", "9876"), 8, "Latn"),
    Place(600, "44", ("7400", "7411", "7500", "7720", "7812", "7915"), 10, "Latn"),
    Place(600, "1", ("2122", "3103", "4154", "6175", "2066", "3057", "5128"), 10, "Latn"),
)

_NAMES: Final = {
    "Hans": (
        ("王", "李", "张", "刘", "陈", "杨", "赵", "黄", "周", "吴", "徐", "孙", "马", "朱", "胡", "欧阳"),
        ("伟", "芳", "娜", "秀英", "敏", "静", "强", "磊", "洋", "艳", "勇", "杰", "娟", "涛", "明", "雨桐", "子涵"),
    ),
    "Hant": (
        ("陳", "李", "黃", "張", "梁", "何", "林", "吳", "鄭", "劉", "葉", "歐陽"),
        ("志明", "家豪", "俊傑", "淑芬", "美玲", "詠詩", "嘉欣", "子軒", "雅婷", "冠宇"),
    ),
    "Latn": (
        ("Ann", "Ben", "Chloe", "Dara", "Ella", "Farid", "Grace", "Hugo", "Isla", "Jack", "Mei Ling", "Siân", "Zoë"),
        ("Tan", "Lim", "Smith", "Jones", "O'Brien", "Nguyen", "Garcia", "Lee", "Taylor", "Kaur", "Brown-Hall"),
    ),
}
_NOTES: Final = {
    "Hans": (
        "您的订单 {order} 已发出，预计明天送达。",
        "您预约的 {order} 号服务将于明天上午十点开始。",
        "订单 {order} 已签收，感谢您的支持！",
    ),
    "Hant": (
        "您的訂單 {order} 已寄出，預計明天送達。",
        "您預約的 {order} 號服務將於明天上午十時開始。",
        "your order {order} has left and should arrive tomorrow.",
    ),
    "Latn": (
        "your order {order} has left and should arrive tomorrow.",
        "your appointment {order} is tomorrow at 10:00. Reply C to cancel.",
        "order {order} was delivered. Thank you for shopping with us!",
    ),
}
_EMOJI: Final = ("😀", "🎉", "📦", "👍🏽", "👨‍👩‍👧")
_WRONG: Final = (
    "",
    "unknown",
    "+86139001",
    "+8529888284",
    "+852 9888 28445",
    "13800138000",
    "+440740012345",
    "+999123456789",
    "+861012345678",
    "+1 555 01",
    "１３８００１３８０００",
)
"""Nothing, no number, too short, too long, no country code, a trunk zero, no such country, a landline, full width."""


def people() -> Iterator[Person]:
    """The rows of the file."""
    dice = random.Random(_SEED)
    rows = [person for place in _PLACES for person in _living_at(place, dice)]
    # Another text for the same number is another message; the same row again is not.
    rows += [person._replace(note=f"{person.note} (2)") for person in dice.sample(rows, _SECOND_TEXTS)]
    repeated = dice.sample(rows, _REPEATED_ROWS)
    rows += [Person(dice.choice(_WRONG), _name("Hans", dice), _note("Hans", dice)) for _ in range(_INVALID_ROWS)]
    rows += repeated
    dice.shuffle(rows)
    yield from rows


def text() -> str:
    """The file's content."""
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(Person._fields)
    table.writerows(people())
    return written.getvalue()


def _living_at(place: Place, dice: random.Random) -> Iterator[Person]:
    taken: set[str] = set()
    while len(taken) < place.rows:
        block = dice.choice(place.blocks)
        number = block + "".join(dice.choices("0123456789", k=place.digits - len(block)))
        if number in taken:
            continue
        taken.add(number)
        yield Person(_written(place.country, number, dice), _name(place.script, dice), _note(place.script, dice))


def _written(country: str, number: str, dice: random.Random) -> str:
    """Mostly as E.164, now and then as people write it."""
    if dice.random() < _E164_SHARE:
        return f"+{country}{number}"
    middle = len(number) // 2
    return f"+{country} {number[:middle]}{dice.choice(' -')}{number[middle:]}"


def _name(script: str, dice: random.Random) -> str:
    first, last = (dice.choice(part) for part in _NAMES[script])
    return f"{first} {last}" if script == "Latn" else first + last


def _note(script: str, dice: random.Random) -> str:
    note = dice.choice(_NOTES[script]).format(order=f"A{dice.randrange(10_000, 99_999)}")
    return f"{note} {dice.choice(_EMOJI)}" if dice.random() < _EMOJI_SHARE else note


if __name__ == "__main__":
    PATH.write_text(text(), "utf-8")
