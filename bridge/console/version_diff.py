"""What differs between two versions of an assistant, line by line, side by side."""

from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any, NamedTuple

from bridge.console.assistant_fields import show
from crm.versions import Assistant, differences

# Longer texts are compared as a whole: the event loop carries calls.
LINES_MAX = 400


class Line(NamedTuple):
    """Two lines beside each other; None where a side has no such line."""

    old: str | None
    new: str | None

    @property
    def is_same(self) -> bool:
        """Whether the line is the same on both sides."""
        return self.old == self.new


class Field(NamedTuple):
    """A field that differs."""

    name: str
    lines: tuple[Line, ...]


def compare(old: Assistant, new: Assistant) -> list[Field]:
    """Return each field that differs, with its lines."""
    return [
        Field(name, side_by_side(_text(old, name), _text(new, name)))
        for name in differences(old, new)
    ]


def side_by_side(old: str, new: str) -> tuple[Line, ...]:
    """Return the lines of two texts, those beside each other that belong together."""
    left, right = old.splitlines(), new.splitlines()
    if max(len(left), len(right)) > LINES_MAX:
        return tuple(Line(*pair) for pair in zip_longest(left, right))
    lines: list[Line] = []
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    for _, low, high, first, last in matcher.get_opcodes():
        pairs = zip_longest(left[low:high], right[first:last])
        lines += (Line(*pair) for pair in pairs)
    return tuple(lines)


def _text(assistant: Assistant, name: str) -> str:
    group, _, setting = name.partition(".")
    if setting:
        return show(assistant.settings.get(setting))
    value: Any = getattr(assistant, group)
    return "\n".join(value) if isinstance(value, tuple) else value
