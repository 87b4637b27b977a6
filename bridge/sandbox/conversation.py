"""The conversation of one session: its items, in order, and the audio they hold."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

from bridge.sandbox.rules import Refused


@dataclass
class Part:
    """One content of an item: its audio, and the words it was made of."""

    audio: bytes = b""
    audio_ms: float = 0.0  # what a truncate may not exceed
    truncated_ms: int | None = None
    log: list[str] = field(default_factory=list)


@dataclass
class Item:
    """One item; `fields` is its form on the wire without audio."""

    fields: dict[str, Any]
    parts: list[Part] = field(default_factory=list)

    @property
    def id(self) -> str:
        """Its id, unique in the session."""
        item_id: str = self.fields["id"]
        return item_id

    @property
    def audio_ms(self) -> float:
        """The duration of all audio of the item."""
        return sum(part.audio_ms for part in self.parts)

    @property
    def text(self) -> str:
        """All words in the item, spoken or written."""
        parts = self.fields.get("content", ())
        words = (part.get("text") or part.get("transcript") or "" for part in parts)
        return " ".join(filter(None, words))

    def wire(self) -> dict[str, Any]:
        """Return the present item in its form on the wire."""
        return deepcopy(self.fields)


class Conversation:
    """Items by id and in order."""

    def __init__(self) -> None:
        self._items: list[Item] = []

    def __iter__(self) -> Iterator[Item]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __contains__(self, item_id: str) -> bool:
        return any(item.id == item_id for item in self._items)

    def find(self, item_id: str, verb: str, param: str = "item_id") -> Item:
        """Return the item, or raise the API's error for an unknown id."""
        for item in self._items:
            if item.id == item_id:
                return item
        raise Refused(
            f"item_{verb}_invalid_item_id",
            f"Error: item with ID '{item_id}' not found.",
            param,
        )

    def add(self, item: Item, after: str | None = None) -> str | None:
        """Insert behind `after`, None for the end and "root" for the start; return the
        id of the item before it."""
        if item.id in self:
            raise Refused(
                "item_create_duplicate_item_id",
                f"Error adding item: an item with ID '{item.id}' already exists.",
                "item.id",
            )
        index = len(self._items)
        if after == "root":
            index = 0
        elif after is not None:
            before = self.find(after, "create", "previous_item_id")
            index = self._items.index(before) + 1
        self._items.insert(index, item)
        return self.previous_id(item)

    def previous_id(self, item: Item) -> str | None:
        """Return the id of the item before this one."""
        index = self._items.index(item) if item in self._items else 0
        return self._items[index - 1].id if index else None

    def remove(self, item_id: str) -> None:
        """Delete an item."""
        self._items.remove(self.find(item_id, "delete"))

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> Item:
        """Keep the first `audio_end_ms` of a spoken part; its words are lost."""
        item = self.find(item_id, "truncate")
        is_spoken = item.fields["type"] == "message" and (
            item.fields["role"] == "assistant"
        )
        if not is_spoken or not item.parts:
            raise Refused(
                "unsupported_content_type",
                "Only model output audio messages can be truncated.",
                "item_id",
            )
        if content_index >= len(item.parts):
            raise Refused(
                "invalid_value",
                f"Content part at index {content_index} does not exist.",
                "content_index",
            )
        part = item.parts[content_index]
        if audio_end_ms > part.audio_ms:
            raise Refused(
                "invalid_value",
                f"Audio content of {part.audio_ms:.0f}ms is already shorter than "
                f"{audio_end_ms}ms",
                "audio_end_ms",
            )
        part.audio_ms = part.truncated_ms = audio_end_ms
        item.fields["content"][content_index]["transcript"] = None
        return item

    def called_tools(self) -> dict[str, bool]:
        """Return each function call's id, and whether it is answered."""
        calls = {
            item.fields["call_id"]: False
            for item in self._items
            if item.fields["type"] == "function_call"
        }
        for item in self._items:
            if item.fields["type"] == "function_call_output":
                calls[item.fields["call_id"]] = True
        return calls


def with_audio(item: Item) -> dict[str, Any]:
    """Return the item as `conversation.item.retrieved` shows it."""
    content = [
        {**part, "audio": base64.b64encode(item.parts[at].audio).decode()}
        if part["type"] in ("input_audio", "output_audio")
        else dict(part)
        for at, part in enumerate(item.fields.get("content", ()))
    ]
    return {**item.fields, "content": content} if content else item.fields
