"""UntranscribedAudio: what the caller has said without a transcript yet, as audio.

A lost session loses what it has heard: a turn whose transcript was still to come, and a
turn that had not ended. `Uplink` keeps the audio it gave. This module keeps which part
of that audio belongs to which item, in ms of all audio given to the session. A turn
that was an item is an item of the next session too, with audio in the place of text. A
turn that was not yet an item is given to the next session again, from its beginning.
"""

from typing import Any

from bridge.media.uplink import Uplink

# A transcript comes within a second or two; no more turns than this lack theirs.
SPANS_MAX = 4


class UntranscribedAudio:
    """The turns of one call that have no transcript."""

    def __init__(self) -> None:
        # Where an item's audio begins and ends, in ms of the serving session.
        self._spans: dict[str, tuple[int, int]] = {}
        # The audio of items that were made in sessions that are gone.
        self._left: dict[str, bytes] = {}
        self._turn: list[bytes] = []
        # Where the audio begins that is no item yet, and where the server was told to
        # make an item.
        self._from_ms = 0
        self._asked_ms: list[int] = []
        self._end_ms: int | None = None
        # The server had ended a turn, of which it makes an item, before it was told to.
        self._is_servers_first = False
        # Where the audio ends that the server was last told to forget.
        self._cleared_ms = 0
        self.dropped_turns = 0

    # --- what the session makes of the audio ---

    def begin(self, start_ms: int) -> None:
        """Note that the server heard a turn begin at `start_ms`."""
        self._from_ms = max(self._from_ms, start_ms)

    def end(self, end_ms: int) -> None:
        """Note that the server heard the turn end at `end_ms`.

        It makes an item of that turn before the one that it is told to make meanwhile.
        """
        self._end_ms = end_ms
        self._is_servers_first = self.is_asked

    def ask(self, uplink: Uplink) -> None:
        """Note that the server is told to make an item of all it was given."""
        if not self._asked_ms:
            self._is_servers_first = self._end_ms is not None
        self._asked_ms.append(uplink.appended_ms)
        if len(self._asked_ms) > SPANS_MAX:
            self.refuse()
            self.dropped_turns += 1

    def refuse(self) -> None:
        """Note that the server made no item when told to: it had no audio for one."""
        if self._asked_ms:
            self._go_on_from(max(self._from_ms, self._asked_ms.pop(0)))

    def clear(self, uplink: Uplink) -> None:
        """Note that the server is told to forget what is no item nor to become one."""
        self._cleared_ms = uplink.appended_ms
        if not self._asked_ms:
            self._from_ms = self._cleared_ms

    @property
    def is_asked(self) -> bool:
        """Whether the server was told to make an item and has not confirmed it."""
        return bool(self._asked_ms)

    def commit(self, item_id: str, uplink: Uplink) -> bool:
        """Note that the turn is an item; return whether the server was told to."""
        end_ms, is_asked = self._end_ms, self.is_asked and not self._is_servers_first
        self._is_servers_first = False
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
        """Let the audio that is no item begin here, or where a later clear ended."""
        until_ms = self._asked_ms[0] if self._asked_ms else self._cleared_ms
        is_cleared = end_ms < self._cleared_ms <= until_ms
        self._from_ms = self._cleared_ms if is_cleared else end_ms

    def write(self, item_id: str, uplink: Uplink) -> None:
        """Forget an item's audio: its transcript has come, or never will."""
        self._spans.pop(item_id, None)
        needed_ms = (start_ms for start_ms, _ in self._spans.values())
        uplink.forget_given(min(needed_ms, default=self._from_ms))

    # --- for another session ---

    def sound_of(self, item_id: str, uplink: Uplink) -> bytes:
        """Return as much of an item's audio as is kept."""
        if item_id in self._spans:
            return b"".join(uplink.given(*self._spans[item_id]))
        return self._left.get(item_id, b"")

    def leave(self, uplink: Uplink) -> bool:
        """Keep what the lost session has heard and not transcribed.

        Return whether a turn had ended that the session has not confirmed as an item.
        """
        has_ended = self.is_asked or self._end_ms is not None
        for item_id in self._spans:
            self._left.pop(item_id, None)
            self._left[item_id] = self.sound_of(item_id, uplink)
            self._limit(self._left)
        self._turn = []
        if has_ended:
            self._turn = uplink.given(self._from_ms, uplink.appended_ms)
        elif uplink.is_turn_open:
            from_ms = max(self._from_ms, uplink.turn_from_ms)
            self._turn = uplink.given(from_ms, uplink.appended_ms)
        self._spans, self._asked_ms = {}, []
        self._from_ms, self._end_ms, self._cleared_ms = 0, None, 0
        self._is_servers_first = False
        return has_ended

    @property
    def has_turn(self) -> bool:
        """Whether the last session was lost in a turn that no session has yet."""
        return bool(self._turn)

    def take_turn(self) -> list[bytes]:
        """Return the turn in which the last session was lost, from its first frame."""
        frames, self._turn = self._turn, []
        return frames

    def _limit(self, turns: dict[str, Any]) -> None:
        if len(turns) > SPANS_MAX:
            del turns[next(iter(turns))]
            self.dropped_turns += 1
