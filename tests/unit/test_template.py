"""Templates: what they reach, and what they refuse."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sendmill.errors import InvalidTemplate
from sendmill.preparing.template import Template

NAMES = st.from_regex(r"[a-zA-Zäß中文あÀя0-9_]{1,8}", fullmatch=True)
LITERALS = st.text(max_size=10)


@pytest.mark.parametrize(
    ("text", "row", "expected"),
    [
        ("plain", {}, "plain"),
        ("{name}, your order {order} has left.", {"name": "Bo", "order": 7}, "Bo, your order 7 has left."),
        ("{姓名}您好，{订单_1}已发出", {"姓名": "陈", "订单_1": "A1"}, "陈您好，A1已发出"),
        ("{नाम} {ชื่อ} {اسم}", {"नाम": "a", "ชื่อ": "b", "اسم": "c"}, "a b c"),
        ("{a}{a} {b}{a}", {"a": "x", "b": "y"}, "xx yx"),
        ("{{literal}} {{{a}}}", {"a": "x"}, "{literal} {x}"),
        ("100% of {a} %s %(b)s", {"a": "x"}, "100% of x %s %(b)s"),
        ("{a}", {"a": "{b} %s {{", "b": "no"}, "{b} %s {{"),
        ("{to}", {"to": "+85298882844"}, "+85298882844"),
        ("{a}", {"a": ""}, ""),
        ("{a} {b}", {"a": 1.5, "b": True}, "1.5 True"),
    ],
)
def test_values_are_put_in_once(text: str, row: Mapping[str, object], expected: str) -> None:
    """Names of any script; literal braces and percent signs stay; a value is never read as a template."""
    assert expected == Template(text).render(row)


def test_fields_stand_in_the_order_of_their_first_place() -> None:
    """Values are kept in this order, each once."""
    template = Template("{b} {a} {b}")
    assert ("b", "a") == template.fields
    assert ("2", "1") == template.values({"a": 1, "b": 2, "c": 3})
    assert "2 1 2" == template.fill(("2", "1"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a {b", "the brace { at character 3 is not closed"),
        ("a } b", "the brace } at character 3 closes nothing"),
        ("{a}}", "the brace } at character 4 closes nothing"),
        ("{{a}", "the brace } at character 4 closes nothing"),
        ("x{}", "the place at character 2 has no usable name"),
        ("{ a }", "the place at character 1 has no usable name"),
        ("{a.b}", "the place at character 1 has no usable name"),
        ("{a[0]}", "the place at character 1 has no usable name"),
        ("{a!r}", "the place at character 1 has no usable name"),
        ("{a:>9}", "the place at character 1 has no usable name"),
        ("{a{b}}", "the place at character 1 has no usable name"),
    ],
)
def test_braces_that_do_not_fit_are_refused_with_their_place(text: str, problem: str) -> None:
    """Attributes, indexes, conversions and formats are no names either."""
    with pytest.raises(InvalidTemplate) as refusal:
        Template(text)
    assert str(refusal.value).startswith(problem)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"a": "x"}, "the row has no value for {b}"),
        ({}, "the row has no value for {a}"),
        ({"a": "x", "b": None}, "the row's value for {b} is null"),
        ({"a": float("nan"), "b": "y"}, "the row's value for {a} is null"),
        ({"a": b"x", "b": "y"}, "the row's value for {a} is bytes: decode it first"),
    ],
)
def test_a_row_that_lacks_a_value_is_refused_with_its_name(row: Mapping[str, object], problem: str) -> None:
    """Nobody receives a text that says None, nan or b'x'."""
    with pytest.raises(InvalidTemplate) as refusal:
        Template("{a} {b} {a}").render(row)
    assert problem == str(refusal.value)


def test_a_template_shows_its_fields_and_not_its_text() -> None:
    """A repr may reach a log, a text may not."""
    assert "Template(fields=('code',))" == repr(Template("Your secret is {code}"))


@given(st.lists(st.tuples(LITERALS, NAMES)), LITERALS, st.data())
def test_any_literals_and_names_come_back(pieces: list[tuple[str, str]], tail: str, data: st.DataObject) -> None:
    """Literals with their braces doubled, around any names, render to the literals around the values."""
    values = {name: data.draw(st.text(max_size=5)) for _, name in pieces}

    def doubled(literal: str) -> str:
        return literal.replace("{", "{{").replace("}", "}}")

    text = "".join(doubled(literal) + "{" + name + "}" for literal, name in pieces) + doubled(tail)
    expected = "".join(literal + values[name] for literal, name in pieces) + tail
    assert expected == Template(text).render(values)


@given(st.text("{}ab_. %", max_size=12))
def test_any_text_is_a_template_or_an_invalid_one(text: str) -> None:
    """Nothing but InvalidTemplate is raised, and names are names."""
    try:
        template = Template(text)
    except InvalidTemplate:
        return
    assert template.render(dict.fromkeys(template.fields, "x")) is not None
    assert all(name == name.strip() and re.fullmatch("[ab_ ]+", name) for name in template.fields)
