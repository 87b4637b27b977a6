"""Two versions side by side, line by line."""

from bridge.console.version_diff import LINES_MAX, Line, compare, side_by_side
from crm.versions import Assistant


def assistant(**changes):
    fields = {
        "language": "en",
        "greeting": "Hello.",
        "fallback_sentence": "",
        "custom_prompt": "One.\nTwo.",
        "required_fields": ("name",),
        "settings": {"turn_silence_ms": 500},
    }
    return Assistant(**{**fields, **changes})


def test_lines_that_belong_together_stand_beside_each_other():
    assert side_by_side("a\nb\nc", "a\nx\ny\nc") == (
        Line("a", "a"),
        Line("b", "x"),
        Line(None, "y"),
        Line("c", "c"),
    )


def test_only_fields_that_differ_are_shown():
    new = assistant(
        custom_prompt="One.",
        required_fields=("name", "email"),
        settings={"audio_agc": True},
    )

    found = {field.name: field.lines for field in compare(assistant(), new)}

    assert found == {
        "custom_prompt": (Line("One.", "One."), Line("Two.", None)),
        "required_fields": (Line("name", "name"), Line(None, "email")),
        "settings.audio_agc": (Line(None, "on"),),
        "settings.turn_silence_ms": (Line("500", None),),
    }


def test_very_long_text_is_compared_line_by_line_in_place():
    old, new = "x\n" * (LINES_MAX + 1), "y\n" + "x\n" * (LINES_MAX + 1)

    lines = side_by_side(old, new)

    assert len(lines) == LINES_MAX + 2
    assert not lines[0].is_same
    assert lines[-1] == Line(None, "x")
