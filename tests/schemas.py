"""The public schemas of both wires, which are not part of this repository.

`KOLBRIDGE_SHARED` names a folder with `protocols/schemas`; unset, it is `shared` beside
the checkout. Without it the tests use only their hand-written forms.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

_BESIDE = Path(__file__).parents[2] / "shared"
_FOLDER = Path(os.environ.get("KOLBRIDGE_SHARED", _BESIDE)) / "protocols" / "schemas"
needed = pytest.mark.skipif(not _FOLDER.is_dir(), reason="no public schemas here")


# OpenAI's description of the field: "If `none`, [...] the value of `conversation_id`
# will be `null`"; its schema has a plain string.
_NULL_TOO = (("RealtimeResponse", "conversation_id"),)


def load(name: str) -> Any:
    return msgspec.json.decode((_FOLDER / name).read_bytes())


def checker(name: str, side: str, tag: str) -> Callable[[dict[str, Any]], None]:
    """Return the errors of an event that the schema does not allow."""
    schema = load(name)
    for definition, field in _NULL_TOO:
        if found := schema["$defs"].get(definition):
            found["properties"][field]["type"] = ["string", "null"]
    ready: dict[str, Draft202012Validator] = {}

    def validate(event: dict[str, Any]) -> None:
        kind = event[tag]
        if kind not in ready:
            definition = schema["x-index"][side][kind]
            ready[kind] = Draft202012Validator(
                {"$ref": f"#/$defs/{definition}", "$defs": schema["$defs"]}
            )
        ready[kind].validate(event)

    return validate
