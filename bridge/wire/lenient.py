"""Reads a message in which only fields that no call needs are wrong.

A message type declares the fields that are read; a call can do without a field that has
a default. The decoders are strict, for speed: they refuse a whole message for a null or
a number where text was promised, and with it the event that a call waits for. This
module reads a refused message again, field by field: a field that does not fit is left
at its default.
"""

from collections.abc import Mapping
from typing import Annotated, Any, get_args, get_origin

import msgspec
from msgspec import ValidationError


class Reader:
    """Reads the messages of one protocol; `tag_field` names a message's type."""

    def __init__(self, union: Any, tag_field: str) -> None:
        self._tag_field = tag_field
        self._kinds: Mapping[str, type[msgspec.Struct]] = {
            kind.__struct_config__.tag: kind for kind in get_args(union)
        }

    def read(self, data: bytes | memoryview) -> Any:
        """Return the message; raises msgspec.DecodeError where a required field is
        wrong, and RecursionError."""
        message = msgspec.json.decode(data)
        if not isinstance(message, dict):
            raise ValidationError(f"expected an object, got {type(message).__name__}")
        kind = self._kinds.get(str(message.get(self._tag_field)))
        if kind is None:
            raise ValidationError(f"expected a known {self._tag_field}")
        return _read(kind, message)


def _read(kind: type[msgspec.Struct], given: dict[str, Any]) -> Any:
    fields: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.encode_name not in given:
            if field.required:
                raise ValidationError(f"missing required field `{field.encode_name}`")
            continue
        try:
            fields[field.name] = _convert(given[field.encode_name], field.type)
        except ValidationError as error:
            if field.required:
                raise ValidationError(f"{field.encode_name}: {error}") from None
    return kind(**fields)


def _convert(value: Any, kind: Any) -> Any:
    """Return a value as its type; of an object, only the fields that fit."""
    struct = _struct_of(kind)
    if struct is not None and isinstance(value, dict):
        return _read(struct, value)
    if get_origin(kind) is dict and isinstance(value, dict):
        value = {name: one for name, one in value.items() if _fits(one, kind)}
    return msgspec.convert(value, kind)


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert({"": value}, kind)
    except ValidationError:
        return False
    return True


def _struct_of(kind: Any) -> type[msgspec.Struct] | None:
    """Return the one struct type that a field may hold, if it may hold one."""
    if isinstance(kind, type):
        return kind if issubclass(kind, msgspec.Struct) else None
    if get_origin(kind) is Annotated:
        return None
    return next(filter(None, map(_struct_of, get_args(kind))), None)
