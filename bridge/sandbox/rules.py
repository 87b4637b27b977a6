"""Rules for JSON values, field by field, with the refusals of the Realtime API.

A rule takes a value and its path and raises `Refused`, or returns None. The rule of an
object names its fields; it refuses a missing field first, then an unknown one, then an
invalid one.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Rule = Callable[[Any, str], None]


class Refused(ValueError):
    """A client event that has no effect; the fields are those of the `error` event."""

    def __init__(self, code: str, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param


def _is_a(value: Any, kinds: type | tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _wrong_type(path: str, expected: str, value: Any) -> Refused:
    names = {dict: "object", list: "array", str: "string", bool: "boolean"}
    names |= {int: "integer", float: "decimal", type(None): "null"}
    got = names.get(type(value), type(value).__name__)
    return Refused(
        "invalid_value",
        f"Invalid type for '{path}': expected {expected}, but got {got} instead.",
        path,
    )


def anything(value: Any, path: str) -> None:
    """Accept every value."""


def boolean(value: Any, path: str) -> None:
    """Accept true and false."""
    if not isinstance(value, bool):
        raise _wrong_type(path, "a boolean", value)


def text(max_chars: int | None = None, pattern: str | None = None) -> Rule:
    """Accept a string of at most `max_chars` that `pattern` matches whole."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, str):
            raise _wrong_type(path, "a string", value)
        if max_chars is not None and len(value) > max_chars:
            raise Refused(
                "string_above_max_length",
                f"Invalid '{path}': string too long. Expected a string with maximum "
                f"length {max_chars}, but got a string with length {len(value)} "
                "instead.",
                path,
            )
        if pattern is not None and re.fullmatch(pattern, value) is None:
            raise Refused(
                "invalid_value",
                f"Invalid '{path}': string does not match pattern '{pattern}'.",
                path,
            )

    return check


def number(
    low: float | None = None, high: float | None = None, whole: bool = False
) -> Rule:
    """Accept a number from `low` to `high`."""
    expected = "an integer" if whole else "a number"

    def check(value: Any, path: str) -> None:
        if not _is_a(value, int if whole else (int, float)):
            raise _wrong_type(path, expected, value)
        for limit, is_past, word in (
            (low, low is not None and value < low, "below minimum"),
            (high, high is not None and value > high, "above maximum"),
        ):
            if is_past:
                raise Refused(
                    "invalid_value",
                    f"Invalid '{path}': {word} value. Expected a value "
                    f"{'>=' if limit == low else '<='} {limit}, but got {value} "
                    "instead.",
                    path,
                )

    return check


def one_of(*values: str) -> Rule:
    """Accept one of these strings."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, str):
            raise _wrong_type(path, "a string", value)
        if value not in values:
            raise _unsupported(path, value, values)

    return check


def _unsupported(path: str, value: str, values: Sequence[str]) -> Refused:
    listed = ", ".join(f"'{name}'" for name in values)
    return Refused(
        "invalid_value",
        f"Invalid value: '{value}'. Supported values are: {listed}.",
        path,
    )


def nullable(rule: Rule) -> Rule:
    """Accept null, or what `rule` accepts."""

    def check(value: Any, path: str) -> None:
        if value is not None:
            rule(value, path)

    return check


def by_kind(cases: Mapping[type, Rule]) -> Rule:
    """Accept the JSON types of `cases`, each by its own rule."""

    def check(value: Any, path: str) -> None:
        rule = cases.get(type(value))
        if rule is None:
            raise _wrong_type(path, "another type", value)
        rule(value, path)

    return check


def array_of(rule: Rule, low: int = 0, high: int | None = None) -> Rule:
    """Accept an array whose every element `rule` accepts."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, list):
            raise _wrong_type(path, "an array", value)
        if len(value) < low or (high is not None and len(value) > high):
            raise Refused(
                "invalid_value",
                f"Invalid '{path}': expected from {low} to {high} elements, but got "
                f"{len(value)} instead.",
                path,
            )
        for index, element in enumerate(value):
            rule(element, f"{path}[{index}]")

    return check


def record(required: Mapping[str, Rule], optional: Mapping[str, Rule]) -> Rule:
    """Accept an object with these fields and no other."""
    rules = {**required, **optional}

    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(path, "an object", value)
        stem = f"{path}." if path else ""
        for name in required:
            if name not in value:
                raise _missing(stem + name)
        for name in value:
            if name not in rules:
                raise Refused(
                    "unknown_parameter",
                    f"Unknown parameter: '{stem}{name}'.",
                    stem + name,
                )
        for name, field in value.items():
            rules[name](field, stem + name)

    return check


def _missing(path: str) -> Refused:
    return Refused(
        "missing_required_parameter", f"Missing required parameter: '{path}'.", path
    )


def tagged(tag: str, cases: Mapping[str, Rule]) -> Rule:
    """Accept an object whose field `tag` names its rule."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(path, "an object", value)
        where = f"{path}.{tag}" if path else tag
        if tag not in value:
            raise _missing(where)
        kind = value[tag]
        if not isinstance(kind, str):
            raise _wrong_type(where, "a string", kind)
        if kind not in cases:
            raise _unsupported(where, kind, tuple(cases))
        cases[kind](value, path)

    return check


def mapping_of(rule: Rule, keys_max: int, key_chars_max: int) -> Rule:
    """Accept an object with free names and values that `rule` accepts."""

    def check(value: Any, path: str) -> None:
        if not isinstance(value, dict):
            raise _wrong_type(path, "an object", value)
        if len(value) > keys_max:
            raise Refused(
                "invalid_value",
                f"Invalid '{path}': expected at most {keys_max} keys, but got "
                f"{len(value)} instead.",
                path,
            )
        for name, field in value.items():
            text(key_chars_max)(name, f"{path}.{name}")
            rule(field, f"{path}.{name}")

    return check


def free_form(value: Any, path: str) -> None:
    """Accept any object."""
    if not isinstance(value, dict):
        raise _wrong_type(path, "an object", value)
