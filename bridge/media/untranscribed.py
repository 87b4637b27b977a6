"""UntranscribedAudio: what the caller has said and no words stand for yet, as sound.

A session that is lost takes along what it has heard: a turn whose words were still to
come, and one that had not ended. `Uplink` keeps what it gave; here is which of it
belongs to which item, in ms of all that the session was given. The next session is told
a turn that was an item as one, with its sound in the place of words, and given again
from its beginning one that was not.
"""

from typing import Any

from bridge.media.uplink import Uplink

# Words come within a second or two; more turns than this are not without them.
SPANS_MAX = 4


class UntranscribedAudio:
    """The turns of one call that have no words."""

    def __init__(self) -> None:
        # From where to where the item's sound goes, in the session that serves.
        self._spans: dict[str, tuple[int, int]] = {}
        # Sound of items that were made in sessions that are gone.
        self._left: dict[str, bytes] = {}
        self._turn: list[bytes] = []
        # What the server has not made an item of begins here; it was told to at these.
        self._from_ms = 0
        self._asked_ms: list[int] = []
        self._end_ms: int | None = None
        # What it was told to forget last ends here.
        self._cleared_ms = 0
        self.dropped_turns = 0

    # --- what the session makes of it ---

    def begin(self, start_ms: int) -> None:
        """The server hears a turn since then."""
        self._from_ms = max(self._from_ms, start_ms)

    def end(self, end_ms: int) -> None:
        """The server has heard the turn's end."""
        self._end_ms = end_ms

    def ask(self, uplink: Uplink) -> None:
        """The server is told to make an item of all it was given."""
        self._asked_ms.append(uplink.appended_ms)
        if len(self._asked_ms) > SPANS_MAX:
            self.refuse()
            self.dropped_turns += 1

    def refuse(self) -> None:
        """The server made no item of what it was told to: it had nothing of it."""
        if self._asked_ms:
            self._go_on_from(max(self._from_ms, self._asked_ms.pop(0)))

    def clear(self, uplink: Uplink) -> None:
        """The server is told to forget what is not an item, nor to become one."""
        self._cleared_ms = uplink.appended_ms
        if not self._asked_ms:
            self._from_ms = self._cleared_ms

    @property
    def is_asked(self) -> bool:
        """Tell whether the server was told to make an item and has not said it did."""
        return bool(self._asked_ms)

    def commit(self, item_id: str, uplink: Uplink) -> bool:
        """The turn is an item now; tell whether the server was told to make one."""
        end_ms, is_asked = self._end_ms, self.is_asked
        if is_asked:
            end_ms = self._asked_ms.pop(0)
        elif end_ms is None:
            end_ms = uplink.appended_ms
        self._spans[item_id] = self._from_ms, end_ms
        self._end_ms = None
        self._go_on_from(end_ms)
        self._limit(self._spans)
        return is_asked

    def _go_on_from(self, end_ms: int) -> None:
        """What is no item begins here, or where a clear after it has ended."""
        until_ms = self._asked_ms[0] if self._asked_ms else self._cleared_ms
        is_cleared = end_ms < self._cleared_ms <= until_ms
        self._from_ms = self._cleared_ms if is_cleared else end_ms

    def write(self, item_id: str, uplink: Uplink) -> None:
        """The item has its words, or will never have any: its sound is not needed."""
        self._spans.pop(item_id, None)
        needed_ms = (start_ms for start_ms, _ in self._spans.values())
        uplink.forget_given(min(needed_ms, default=self._from_ms))

    # --- for another session ---

    def sound_of(self, item_id: str, uplink: Uplink) -> bytes:
        """Return an item's sound, as far as it is kept."""
        if item_id in self._spans:
            return b"".join(uplink.given(*self._spans[item_id]))
        return self._left.get(item_id, b"")

    def leave(self, uplink: Uplink) -> bool:
        """The session is gone: keep what it has heard and not written down.

        Returns whether it was told to make an item and has not said that it did.
        """
        is_asked = bool(self._asked_ms)
        for item_id in self._spans:
            self._left.pop(item_id, None)
            self._left[item_id] = self.sound_of(item_id, uplink)
            self._limit(self._left)
        self._turn = []
        if is_asked:
            self._turn = uplink.given(self._from_ms, uplink.appended_ms)
        elif uplink.is_turn_open:
            from_ms = max(self._from_ms, uplink.turn_from_ms)
            self._turn = uplink.given(from_ms, uplink.appended_ms)
        self._spans, self._asked_ms = {}, []
        self._from_ms, self._end_ms, self._cleared_ms = 0, None, 0
        return is_asked

    @property
    def has_turn(self) -> bool:
        """Tell whether the last session was left in a turn, and none has it yet."""
        return bool(self._turn)

    def take_turn(self) -> list[bytes]:
        """Return the turn that the last session was left in, from its first frame."""
        frames, self._turn = self._turn, []
        return frames

    def _limit(self, turns: dict[str, Any]) -> None:
        if len(turns) > SPANS_MAX:
            del turns[next(iter(turns))]
            self.dropped_turns += 1
