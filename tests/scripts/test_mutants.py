"""Faults are found where they mean something, and put where they were found."""

from pathlib import Path

import pytest

from scripts.mutants import find

HERE = Path("bridge/call/some.py")


def changes(text):
    return [(one.old, one.new) for one in find(HERE, text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = a and b\n", [("and", "or")]),
        ("return a is not None\n", [("is not", "is")]),
        ("return a not in b\n", [("not in", "in")]),
        ("return [x for x in a]\n", []),
        ("if a:\n    pass\n", [("a", "not a")]),
        ("if not a:\n    pass\n", [("not", "")]),
        ("x = a < 2\n", [("<", "<="), ("2", "3")]),
        ("x = a + 0.5\n", [("+", "-"), ("0.5", "1.5")]),
        ("self.x = y\n", [("self.x = y", "pass")]),
        ("self.go(\n    on=True\n)\n", [("self.go(\n    on=True\n)", "pass")]),
    ],
)
def test_each_kind_of_fault(text, expected):
    found = changes(text)

    assert [one for one in found if one != ("True", "False")] == expected


@pytest.mark.parametrize(
    "text",
    [
        '"""A docstring says 1 and 2."""\n',
        "LIMIT_S = 15.0\n",
        "from a import b\n",
        "assert a and b\n",
        "name: str | None\n",
        "cdef const char *text = a\n",
        "value = <const char *> other\n",
        "x = -y\n",
        "def f(a=1):\n    ...\n",
        "def __init__(self):\n    self.x = y\n",
    ],
)
def test_what_is_left_alone(text):
    assert changes(text) == []


def test_a_fault_is_put_where_it_was_found():
    text = "x = 1\ny = a or (b\n    or c)\n"
    first, second = (one for one in find(HERE, text) if one.old == "or")

    assert first.of(text) == "x = 1\ny = a and (b\n    or c)\n"
    assert second.of(text) == "x = 1\ny = a or (b\n    and c)\n"
    assert str(second) == "bridge/call/some.py:3: or  ->  and"
