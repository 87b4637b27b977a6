"""The conversation as text: one turn per item, in the conversation's order.

The caller's words may arrive late and out of order. An item is placed behind the item
that the server says it follows, and its text is added when it arrives. An interrupted
turn of the AI is cut to what the caller heard.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from bridge.media.playout import Cut

# "operator": what a person of the business said to the caller. "told": what the model
# was told by or of that person.
Role = Literal["caller", "ai", "keypad", "operator", "told"]
# Five minutes of speech, the most that the ledger takes, are some 6,000 characters;
# half an hour of conversation is some 300 turns. The oldest turns are dropped first.
TURN_CHARS_MAX = 10_000
TURN_PARTS_MAX = 16
TURNS_MAX = 2_000


class Turn:
    """One side's words in one item, by content part; `at_s` from the call's start."""

    __slots__ = (
        "at_s",
        "dropped_chars",
        "has_sound",
        "heard_ms",
        "interrupted",
        "is_whole",
        "item_id",
        "late_cut",
        "parts",
        "role",
    )

    def __init__(self, role: Role, item_id: str, at_s: float) -> None:
        self.role = role
        self.item_id = item_id
        self.at_s = at_s
        self.parts: dict[int, str] = {}
        self.interrupted = False
        # No more words will come.
        self.is_whole = False
        # The caller hears it, or would have but for a cut.
        self.has_sound = False
        self.heard_ms: int | None = None
        # Where the turn was cut, if its words were still to come.
        self.late_cut: Cut | None = None
        # Characters dropped from its deltas. The whole text is over the limit by as
        # much, and is counted once.
        self.dropped_chars = 0

    @property
    def text(self) -> str:
        """All words of the turn."""
        return " ".join(words for _, words in sorted(self.parts.items()) if words)


class KeptTurn(msgspec.Struct, frozen=True, kw_only=True):
    """One turn of a transcript, with what was heard of it; its words are by part."""

    role: Role
    item_id: str
    at_s: float
    parts: dict[int, str]
    interrupted: bool
    heard_ms: int | None


class Transcript:
    """The turns of one call."""

    def __init__(self) -> None:
        self._turns: dict[str, Turn] = {}
        self._order: list[str] = []
        # Grows with every turn that is whole or cut.
        self.changes = 0
        self.dropped_turns = 0
        self.dropped_chars = 0

    def place(
        self, role: Role, item_id: str, at_s: float, after: str | None = None
    ) -> Turn:
        """Return the item's turn; a new one is placed behind `after`, or at the end."""
        turn = self._turns.get(item_id)
        if turn is None:
            turn = self._turns[item_id] = Turn(role, item_id, at_s)
            at = len(self._order)
            if after in self._turns and after != item_id:
                at = self._order.index(after) + 1
            self._order.insert(at, item_id)
            if len(self._order) > TURNS_MAX:
                self.dropped_turns += 1
                del self._turns[self._order.pop(0)]
        return turn

    def rename(self, item_id: str, other: str) -> None:
        """Give the turn `item_id` the id `other`, unless that id is in use."""
        if item_id in self._turns and other not in self._turns:
            turn = self._turns[other] = self._turns.pop(item_id)
            self._order[self._order.index(item_id)] = turn.item_id = other

    def add_text(
        self, role: Role, item_id: str, delta: str, at_s: float, part: int = 0
    ) -> None:
        """Append a piece of the text of a part of the item."""
        turn = self.place(role, item_id, at_s)
        if not turn.interrupted:
            over = self._set_part(turn, part, turn.parts.get(part, "") + delta)
            self.dropped_chars += over
            turn.dropped_chars += over

    def set_text(
        self, role: Role, item_id: str, text: str, at_s: float, part: int = 0
    ) -> Turn:
        """Replace the text of a part by the whole text; a cut turn stays cut.

        Words that arrive after the cut are cut in the same way.
        """
        turn = self.place(role, item_id, at_s)
        self.changes += 1
        turn.is_whole = True
        if not turn.interrupted:
            over = self._set_part(turn, part, text.strip())
            again = min(over, turn.dropped_chars)
            self.dropped_chars += over - again
            turn.dropped_chars -= again
        elif turn.late_cut is not None and turn.late_cut.content_index == part:
            self._set_part(turn, part, _heard(text.strip(), turn.late_cut))
            turn.late_cut = None
        return turn

    def _set_part(self, turn: Turn, part: int, text: str) -> int:
        """Keep as much of a part as its turn has room for; return the excess length."""
        room = TURN_CHARS_MAX - sum(
            len(words) for at, words in turn.parts.items() if at != part
        )
        if part not in turn.parts and len(turn.parts) >= TURN_PARTS_MAX:
            room = 0
        if room:
            turn.parts[part] = text[:room]
        return max(0, len(text) - room)

    def close(self, item_id: str) -> None:
        """Note that an item will get no more words."""
        turn = self._turns.get(item_id)
        if turn is not None:
            self.changes += turn.role == "caller"
            turn.is_whole = True

    def close_all(self) -> None:
        """Note that no item will get more words: their session is gone.

        An operator's words come from elsewhere.
        """
        for turn in self._turns.values():
            turn.is_whole |= turn.role != "operator"

    def cut(self, cut: Cut) -> None:
        """Mark a turn as interrupted and keep the words that were heard.

        The speed of speech is taken as constant: the share of audio heard is the share
        of text kept, rounded to words. Nothing was heard of the parts that follow.
        """
        turn = self._turns.get(cut.item_id)
        if turn is None:
            return
        self.changes += 1
        if turn.heard_ms is None:
            turn.heard_ms = cut.before_ms + cut.heard_ms
        turn.interrupted = True
        text = turn.parts.get(cut.content_index, "")
        if not text and cut.heard_ms:
            turn.late_cut = cut
        turn.is_whole |= turn.late_cut is None
        text = _heard(text, cut)
        kept = {at: one for at, one in turn.parts.items() if at < cut.content_index}
        turn.parts = {**kept, cut.content_index: text}

    def note_sound(self, item_id: str) -> None:
        """Note that the caller is given the sound of an item."""
        turn = self._turns.get(item_id)
        if turn is not None:
            turn.has_sound = True

    def cut_soundless(self) -> None:
        """Cut what the AI has begun and the caller has no sound of.

        Its words may come before its sound, or after the cut.
        """
        for turn in self._turns.values():
            if turn.role == "ai" and not turn.is_whole and not turn.has_sound:
                self.cut(Cut(turn.item_id, 0, 0, 0))

    def placed(self) -> list[Turn]:
        """Return every turn in order, also those whose words have yet to come."""
        return [self._turns[item_id] for item_id in self._order]

    def kept(self, cuts: Iterable[Cut]) -> tuple[KeptTurn, ...]:
        """Return every turn as it would be if the AI were cut off now."""
        copy = Transcript()
        copy.restore(map(_kept, self.placed()))
        for cut in cuts:
            copy.cut(cut)
        return tuple(map(_kept, copy.placed()))

    def restore(self, turns: Iterable[KeptTurn]) -> None:
        """Begin with the turns of a call that another process has left."""
        for kept in turns:
            turn = self.place(kept.role, kept.item_id, kept.at_s)
            turn.parts = dict(kept.parts)
            turn.interrupted, turn.heard_ms = kept.interrupted, kept.heard_ms
            turn.is_whole = True

    def turns(self) -> list[Turn]:
        """Return the turns that have words, in order."""
        return [turn for turn in self.placed() if turn.text or turn.interrupted]

    def last_words(self) -> tuple[Role | Literal[""], str]:
        """Return who said the newest words, and the words."""
        for item_id in reversed(self._order):
            turn = self._turns[item_id]
            if turn.role != "told" and (text := turn.text):
                return turn.role, text
        return "", ""

    def spoken(self) -> list[Turn]:
        """Return the turns that were spoken, in order, and also the turns of the
        caller or an operator that were not transcribed, or not in time."""
        return [
            turn
            for turn in self.placed()
            if turn.text
            or turn.interrupted
            or (turn.role in ("caller", "operator") and not turn.parts)
        ]

    def is_awaiting_words(self, since_s: float) -> bool:
        """Tell whether a caller's turn since `since_s` has yet to get its words."""
        return any(
            turn.role == "caller" and not turn.is_whole and turn.at_s >= since_s
            for turn in self._turns.values()
        )


def _kept(turn: Turn) -> KeptTurn:
    return KeptTurn(
        role=turn.role,
        item_id=turn.item_id,
        at_s=turn.at_s,
        parts=dict(turn.parts),
        interrupted=turn.interrupted,
        heard_ms=turn.heard_ms,
    )


def _heard(text: str, cut: Cut) -> str:
    keep = round(len(text) * cut.heard_ms / cut.total_ms) if cut.total_ms else 0
    if keep >= len(text):
        return text
    # One character more is kept: if it is a space, the last word is whole.
    return text[: keep + 1].rpartition(" ")[0]
