"""Blocks of mobile numbers in which every number of the right length is valid.

They let `sendmill.numbers.normalise` pass the plain cases by looking at a few characters. Read from the metadata of
phonenumbers 9.0; a test compares every block with the installed release. A block that is missing here costs only time:
its numbers go through the library.
"""

from __future__ import annotations

_MOBILE_BLOCKS = (
    # (country code, digits after it, blocks of digits that begin the national number)
    (
        "86",
        11,
        (
            "1300-1399 1450-1459 1470-1479 1500-1539 1550-1599 1610 1620-1629 1650-1679 1700-1739 1750-1789 1800-1939"
            " 1950-1999"
        ),
    ),
    (
        "852",
        8,
        (
            "440-443 445-449 460-463 465 467-473 475 510-514 516-524 526-534 536-544 546-554 556-564 566 568-572 574"
            " 576-579 590-594 596-599 601-625 627-665 667-677 679-685 687-699 701-705 709 720 722-723 728-733 738 747"
            " 751 757-758 763 765 772 777 782-783 786 788-790 792 795 810-814 816-817 819-823 826 830 833-834 840-843"
            " 849 901-910 912-928 930-938 940-958 960-988"
        ),
    ),
    ("853", 8, "620-639 650-659 661-669 681 684-688"),
    ("886", 9, "900-989"),
    ("65", 8, "8010-9899"),
    (
        "44",
        10,
        (
            "7400-7602 7608 7623 7625-7626 7634 7640-7641 7643-7644 7647 7654 7659-7663 7666 7669 7677 7681 7684 7691"
            " 7693 7699 7701-7910 7912-7999"
        ),
    ),
)

_NORTH_AMERICAN_AREAS = (
    # Three digits of area code; the digit after them is 2 to 9.
    "201-210 212-220 223-229 231 234-236 239-240 248-254 256-257 260 262-263 267 269-270 272-274 276 279 281 283 289"
    " 301-310 312-321 323-327 329-332 334 336-337 339 341 343 346-347 350-354 360-361 363-365 367-369 380 382 385-386"
    " 401-410 412-419 423-425 428 430-432 434-435 437-438 440 442-443 445 447-448 450 458 463-464 468-470 472 474-475"
    " 478-480 484 500-510 512-522 525-534 539-541 544 548 551 557 559 561-564 566-567 570-575 577 579-582 584-588"
    " 600-610 612-620 622-623 626 628-631 633 636 639-641 645-647 650-651 656-662 667 669 672 678 680-683 686 689"
    " 701-709 712-720 724-728 730-732 734 737-738 740 742-743 747-748 753-754 757 760 762-763 765 769-775 778-782"
    " 785-787 800-810 812-821 825-826 828-833 835 838-840 843-845 847-850 854-860 862-867 870 872-873 877-879 888"
    " 900-910 912-920 925 928-931 934 936-943 945 947-949 951-952 954 956 959 970-973 975 978-980 984-986 989"
)


def _each(ranges: str) -> list[str]:
    """`"440-442 445"` as `["440", "441", "442", "445"]`."""
    blocks = []
    for part in ranges.split():
        first, _, last = part.partition("-")
        blocks += [str(block) for block in range(int(first), int(last or first) + 1)]
    return blocks


LENGTH_BY_BLOCK: dict[str, int] = {
    f"+{country}{block}": 1 + len(country) + national_digits
    for country, national_digits, ranges in _MOBILE_BLOCKS
    for block in _each(ranges)
}
"""Length in characters of an E.164 number by its first 7 characters, outside North America."""

LENGTH_BY_NORTH_AMERICAN_BLOCK: dict[str, int] = {
    f"+1{area}{digit}": 12 for area in _each(_NORTH_AMERICAN_AREAS) for digit in "23456789"
}
"""The same for +1, by the first 6 characters: area code and one digit more."""

_COUNTRY_CHARS_BY_BLOCK: dict[str, int] = {
    f"+{country}{block}": len(country) for country, _, ranges in _MOBILE_BLOCKS for block in _each(ranges)
}


def split_known(number: str) -> tuple[int, str] | None:
    """Country code and national number of an E.164 number that lies in one of the blocks, None for any other."""
    chars, country_chars = LENGTH_BY_BLOCK.get(number[:7]), _COUNTRY_CHARS_BY_BLOCK.get(number[:7], 1)
    if chars is None:
        chars = LENGTH_BY_NORTH_AMERICAN_BLOCK.get(number[:6])
    if chars != len(number) or not number.isascii() or not number[6:].isdigit():
        return None
    return int(number[1 : 1 + country_chars]), number[1 + country_chars :]
