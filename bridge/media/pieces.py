"""What the playout ledger returns: pieces to send, and parts that were cut."""

from typing import NamedTuple


class Frames(NamedTuple):
    """Whole frames for the caller, concatenated."""

    audio: bytes


class MarkName(NamedTuple):
    """A mark to send after the frames before it."""

    name: str


class Cut(NamedTuple):
    """A part not fully heard, in ms of its own audio; `before_ms` precede the part."""

    item_id: str
    content_index: int
    heard_ms: int
    total_ms: int
    before_ms: int = 0
