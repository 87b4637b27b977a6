"""Choices and templates: their limits, and how Twilio has them."""

import pytest

from bridge.messaging.contents import (
    Buttons,
    Choice,
    ContentError,
    ListOf,
    Template,
    as_text,
    check_choices,
    read_content,
    resource_of,
    shape_of,
    values_of,
)

NINE = Choice("time:1", "Mo 9:00", "with Noa")
TEN = Choice("time:2", "Mo 10:00")


def test_content_is_read_as_it_is_kept():
    rows = [{"id": "time:1", "title": "Mo 9:00", "description": "with Noa"}]
    assert read_content({"kind": "list", "button": "Times", "choices": rows}) == (
        ListOf("Times", (NINE,))
    )
    row = {"id": "time:2", "title": "Mo 10:00", "starts_at": "2026-12-01T10:00"}
    assert read_content({"kind": "buttons", "choices": [row]}) == Buttons((TEN,))
    assert read_content({"kind": "template", "sid": "HX1"}) == Template("HX1")
    assert read_content(None) is None


@pytest.mark.parametrize("found", [{}, {"kind": "card"}, {"kind": "list", "button": 1}])
def test_content_of_another_form_is_an_error(found):
    with pytest.raises(ContentError, match="content: "):
        read_content(found)


def test_places_of_a_resource_are_those_that_a_message_fills():
    content = ListOf("Times", (NINE, TEN))
    resource = resource_of(content)

    assert shape_of(content) == "list_dp"
    assert resource["types"]["twilio/list-picker"] == {
        "body": "{{1}}",
        "button": "{{2}}",
        "items": [
            {"item": "{{3}}", "id": "{{4}}", "description": "{{5}}"},
            {"item": "{{6}}", "id": "{{7}}"},
        ],
    }
    values = values_of("When?", content)
    assert values.keys() == resource["variables"].keys()
    assert list(values.values()) == [
        *("When?", "Times", "Mo 9:00", "time:1", "with Noa", "Mo 10:00", "time:2"),
    ]


def test_buttons_have_a_resource_for_each_number_of_them():
    content = Buttons((Choice("a", "Yes"), Choice("b", "No")))

    assert shape_of(content) == "buttons_2"
    assert (
        values_of("Sure?", content).keys() == resource_of(content)["variables"].keys()
    )


def rows(count):
    return tuple(Choice(f"id{number}", f"Row {number}") for number in range(count))


@pytest.mark.parametrize(
    ("body", "content", "told"),
    [
        ("When?", ListOf("Times", ()), "expected 1 to 10, got 0"),
        ("When?", ListOf("Times", rows(11)), "expected 1 to 10, got 11"),
        ("When?", Buttons(rows(4)), "expected 1 to 3, got 4"),
        ("", Buttons(rows(1)), "body: expected 1 to 1024 characters, got 0"),
        ("x" * 1_025, Buttons(rows(1)), "body: expected 1 to 1024"),
        ("When?", ListOf("x" * 21, rows(1)), "button: expected 1 to 20"),
        ("When?", ListOf("T", (Choice("i" * 201, "t"),)), "id: expected 1 to 200"),
        ("When?", ListOf("T", (Choice("i", "t" * 25),)), "title: expected 1 to 24"),
        ("When?", Buttons((Choice("i", "t" * 21),)), "title: expected 1 to 20"),
        ("When?", ListOf("T", (Choice("i", "t", "d" * 73),)), "description: expected"),
        ("When?", ListOf("T", (NINE, NINE)), "expected each id once"),
        ("When?", Buttons((NINE, Choice("other", NINE.title))), "each title once"),
    ],
)
def test_what_twilio_or_whatsapp_would_refuse_is_refused_here(body, content, told):
    with pytest.raises(ContentError, match=told):
        check_choices(body, content)


@pytest.mark.parametrize("content", [ListOf("Times", rows(10)), Buttons(rows(3))])
def test_as_many_as_there_may_be(content):
    check_choices("When?", content)


def test_choices_can_be_written_as_lines():
    assert as_text("When?", ListOf("Times", (NINE, TEN))) == (
        "When?\n\n1. Mo 9:00 (with Noa)\n2. Mo 10:00"
    )
