"""Playout: what was sent to the caller, and what the caller has heard.

Theory of operation. The model speaks faster than real time. Its audio waits here, by
item and content part. It is sent in small bursts of whole 20 ms frames, a short *lead*
ahead of what the caller hears. Twilio plays what it has in real time, so one number
says what was heard:

    heard = sent - (time at which all that was sent will have been played - now)

`_clock_end` is that time by the bridge's clock, the earliest it can be: a frame starts
when it is sent or when its predecessor ends. Unheard audio is always the tail of what
was sent, so a pause in sending needs no bookkeeping.

The ledger answers three questions. What will the caller have heard when a `clear` sent
now arrives? The clock alone answers: the clear takes as long to arrive as the audio
did. What did the caller hear while saying what arrives now? A mark's echo shows the
delay behind the clock, there and back. The least of the last few echoes counts: an echo
can be late by itself and never early. What had the caller heard when they left the
line? The bridge learns of it with the same delay, which counts up to WAY_S_MAX.

`Clear` starts a new generation. A mark names its generation; the echo of an older mark
is a flush, not a playback. An item whose audio was played out before its next
frame was sent has an *underrun*: the model or the bridge was late. Neither an
underrun nor a hold begins another utterance. This module refuses audio beyond
UNSENT_BYTES_MAX or PARTS_MAX, forgets the oldest mark beyond MARKS_MAX and counts all.
"""

from collections import deque
from typing import NamedTuple

from bridge.media.pieces import Cut as Cut, Frames as Frames, MarkName as MarkName
from dsp.g711 import FRAME_BYTES, FRAME_MS, frame_levels

SILENCE_BYTE = b"\xff"
FRAME_S = FRAME_MS / 1000
# Sums of 0.02 accumulate rounding errors; a microsecond is far below a frame.
EPSILON_S = 1e-6
BYTES_PER_MS = FRAME_BYTES // FRAME_MS
MARK_EVERY_FRAMES = 25  # about two marks a second
# Five minutes of mu-law: only a runaway model sends that much.
UNSENT_BYTES_MAX = 5 * 60 * 8_000
PARTS_MAX = 256  # a reply has one or two
MARKS_MAX = 256
DELAYS_KEPT = 4  # the delay is the least of this many echoes: two seconds of them
# The cap on the round trip that an echo may claim. An echo that is late by itself makes
# an error of at most this, and so does a round trip of up to twice this.
WAY_S_MAX = 0.06
# How much of a person's audio may wait at Twilio: the jitter of a browser's connection.
PASSED_AHEAD_S = 0.1
# `far_dbfs` when nothing is played; the floor of a one-byte level.
NOTHING_DBFS = -127


class _Item:
    """An item's audio, or one of its parts where it has several."""

    def __init__(self, item_id: str, content_index: int, before_ms: int) -> None:
        self.item_id = item_id
        self.content_index = content_index
        self.before_ms = before_ms
        self.unsent = bytearray()
        self.received_bytes = 0
        self.is_done = False
        self.first_frame = 0
        self.frames_sent = 0
        self.frames_since_mark = 0

    def is_part(self, item_id: str, content_index: int) -> bool:
        """Tell whether this is that part of that item."""
        return self.item_id == item_id and self.content_index == content_index

    def is_mark_due(self, frames: int) -> bool:
        """Tell whether a mark must follow once `frames` more frames are sent."""
        is_last = self.is_done and frames * FRAME_BYTES >= len(self.unsent)
        return is_last or self.frames_since_mark + frames >= MARK_EVERY_FRAMES

    def take(self, frames: int) -> bytes:
        """Remove and return at most `frames` frames; pad the tail of a done item."""
        unsent = self.unsent
        whole = min(frames, len(unsent) // FRAME_BYTES) * FRAME_BYTES
        if not whole and not self.is_done:
            return b""  # the tail waits
        audio = bytes(memoryview(unsent)[: whole or FRAME_BYTES])
        del unsent[: len(audio)]
        return audio if whole or not audio else audio.ljust(FRAME_BYTES, SILENCE_BYTE)


class _MarkInFlight(NamedTuple):
    name: str
    expected_at: float


class Playout:
    """The ledger of one call's downlink; time is an argument of every method."""

    def __init__(self, *, lead_ms: int) -> None:
        self._lead_s = lead_ms / 1000
        self._refill_s = self._lead_s / 2
        self._items: deque[_Item] = deque()
        self._marks: deque[_MarkInFlight] = deque()
        # Marks from before a clear, and forgotten marks: their echoes are stale.
        self._flushed: deque[str] = deque(maxlen=MARKS_MAX)
        self._delays: deque[float] = deque(maxlen=DELAYS_KEPT)
        self._delay_s = 0.0
        self._clock_end = 0.0
        self._levels = bytearray()
        self._levels_first_frame = 0
        self._unsent_bytes = 0
        # The part whose audio came last, even after it was heard to its end.
        self._newest: _Item | None = None
        self.generation = 0
        self.frames_sent = 0
        self.audible_since = 0.0
        self.is_held = False
        self._was_held = False
        # A person speaks in the place of the model, beside the items.
        self.is_passing = False
        self.underruns = 0
        self.refused_bytes = 0
        self.refused_parts = 0
        self.stale_marks = 0
        self.forgotten_marks = 0

    # --- from the model ---

    def push(self, item_id: str, content_index: int, delta: bytes) -> None:
        """Take a delta; one of a new item or part ends the item or part before."""
        if self._unsent_bytes + len(delta) > UNSENT_BYTES_MAX:
            self.refused_bytes += len(delta)
            return
        item = self._items[-1] if self._items else None
        if item is None or not item.is_part(item_id, content_index):
            item = self._open(item_id, content_index)
            if item is None:
                self.refused_parts += 1
                return
        item.unsent += delta
        item.received_bytes += len(delta)
        self._unsent_bytes += len(delta)

    def finish(self, item_id: str, content_index: int = 0) -> None:
        """Note that a part has all its audio, so that its tail may be padded."""
        for item in self._items:
            if item.is_part(item_id, content_index):
                item.is_done = True

    def finish_all(self) -> set[str]:
        """Note that no item gets more audio: the session is gone. Return the items."""
        for item in self._items:
            item.is_done = True
        return {item.item_id for item in self._items}

    def unheard(self, now: float) -> set[str]:
        """Return the items that have not been heard to their end."""
        self._forget_heard(now)
        return {item.item_id for item in self._items}

    # --- to the caller ---

    def feed(self, now: float) -> list[Frames | MarkName]:
        """Return what must be sent now, in order; call again at `deadline`."""
        # Items whose end became known after their last frame was sent.
        out: list[Frames | MarkName] = [
            self._mark(ended)
            for ended in self._items
            if ended.frames_since_mark and _has_ended(ended)
        ]
        room = self._room(now)
        while room:
            item = self._sending()
            if item is None:
                break
            audio = self._send(item, room, now)
            if not audio:
                break
            room -= len(audio) // FRAME_BYTES
            out.append(Frames(audio))
            if item.is_mark_due(0):
                out.append(self._mark(item))
        self._forget_heard(now)
        return out

    def go_on(self, now: float) -> bytes:
        """Return the audio to send now, as `feed` would, in the middle of an item.

        The audio is empty where only `feed` will do: a mark is due, or an item begins
        or ends.
        """
        item, room = self._sending(), self._room(now)
        if item is None or not item.frames_sent or not room or item.is_mark_due(room):
            return b""
        return self._send(item, room, now)

    @property
    def deadline(self) -> float | None:
        """The time when `feed` must be called again, if nothing is pushed before."""
        item = None if self.is_held else self._sending()
        if item is None or not item.unsent:
            return None
        if len(item.unsent) < FRAME_BYTES and not item.is_done:
            return None
        return self._clock_end - self._refill_s

    def pass_through(self, frames: bytes, now: float) -> bytes:
        """Account for a person's frames and return those to send, which is at once.

        They belong to no item, withhold nothing from the model and have no marks. None
        are sent while PASSED_AHEAD_S are unplayed: late audio delays all after it.
        """
        count = len(frames) // FRAME_BYTES
        ahead_s = max(self._clock_end - now, 0.0) + count * FRAME_S
        if self.is_held or ahead_s > PASSED_AHEAD_S + EPSILON_S:
            return b""
        self._note_levels(frames, now)
        self._clock_end = max(self._clock_end, now) + count * FRAME_S
        self.frames_sent += count
        return frames

    def hold(self) -> None:
        """Send nothing more until `resume`; Twilio plays out what it has."""
        self.is_held = True

    def resume(self) -> None:
        """Go on from the next byte; held audio does not begin a new utterance."""
        self._was_held |= self.is_held and self._sending() is not None
        self.is_held = False

    # --- from the caller's side ---

    def receive_mark(self, name: str, now: float) -> bool:
        """Take a mark's echo; return False if no such mark awaits an echo.

        An echo from before a clear says nothing of playback.
        """
        if name in self._flushed:
            self._flushed.remove(name)
            self.stale_marks += 1
            return True
        if all(mark.name != name for mark in self._marks):
            return False
        while (mark := self._marks.popleft()).name != name:
            pass
        self._delays.append(max(0.0, now - mark.expected_at))
        self._delay_s = min(self._delays)
        return True

    def is_playing(self, now: float) -> bool:
        """Tell whether the caller hears speech, or would hear it but for a hold."""
        return self.is_held or (
            self._clock_end + self._delay_s > now and not self.is_passing
        )

    @property
    def has_unsent(self) -> bool:
        """Whether audio waits here, or an item has yet to end."""
        return self._sending() is not None

    @property
    def marks_in_flight(self) -> int:
        """How many marks Twilio has yet to echo."""
        return len(self._marks)

    def ends_at(self) -> float:
        """Return when the audio sent so far will have been heard."""
        return self._clock_end + self._delay_s

    def heard_frames(self, now: float) -> float:
        """Return how many of the frames sent since the call began were heard."""
        left_s = max(0.0, self._clock_end + self._delay_s - now)
        return max(0.0, self.frames_sent - left_s / FRAME_S)

    def far_dbfs(self, now: float) -> int:
        """Return the level of the frame the caller hears now, in dBFS."""
        if self._clock_end + self._delay_s <= now:
            return NOTHING_DBFS
        index = int(self.heard_frames(now)) - self._levels_first_frame
        if 0 <= index < len(self._levels):
            return self._levels[index] + NOTHING_DBFS
        return NOTHING_DBFS

    def cuts(self, now: float) -> list[Cut]:
        """Return the parts that are not heard to their end, in order."""
        heard = self.frames_sent - max(0.0, self._clock_end - now) / FRAME_S
        cuts = []
        for item in self._items:
            total_ms = item.received_bytes // BYTES_PER_MS
            before = item.first_frame if item.frames_sent else heard
            heard_ms = min(max(round((heard - before) * FRAME_MS), 0), total_ms)
            if heard_ms < total_ms or not item.is_done:
                where = item.item_id, item.content_index
                cuts.append(Cut(*where, heard_ms, total_ms, item.before_ms))
        return cuts

    def interrupt(self, now: float, *, has_left: bool = False) -> list[Cut]:
        """Forget the unheard audio and return the cut items, in order.

        The calling code must send `clear` first, then a truncate for each cut. A caller
        who `has_left` the line did so before the bridge learns of it.
        """
        cuts = self.cuts(now - min(self._delay_s, WAY_S_MAX) if has_left else now)
        self._items.clear()
        self._flushed.extend(mark.name for mark in self._marks)
        self._marks.clear()
        self._levels.clear()
        self._levels_first_frame = self.frames_sent
        self._unsent_bytes = 0
        self._newest = None
        # Nothing plays any more, however late Twilio's echoes were.
        self._clock_end = now - self._delay_s
        self.generation += 1
        self.is_held = False
        return cuts

    # --- inside ---

    def _open(self, item_id: str, content_index: int) -> _Item | None:
        """Return the part that the audio belongs to: a new part, if there is room.

        It may be a part queued before the newest: order holds only within an item.
        """
        before_ms = 0
        for item in (self._newest, *self._items):
            if item is not None and item.item_id == item_id:
                if item.is_part(item_id, content_index) and item.unsent:
                    return item
                before_ms = item.before_ms + item.received_bytes // BYTES_PER_MS
        if len(self._items) >= PARTS_MAX:
            return None
        if self._items:
            self._items[-1].is_done = True
        self._newest = _Item(item_id, content_index, before_ms)
        self._items.append(self._newest)
        return self._newest

    def _room(self, now: float) -> int:
        """Return how many frames fill the lead; less than half is worth no message."""
        ahead_s = self._clock_end - now
        if self.is_held or ahead_s > self._refill_s + EPSILON_S:
            return 0
        # Rounded to nearest: a delta 1 ms early would otherwise leave a frame behind.
        return int((self._lead_s - max(ahead_s, 0.0)) / FRAME_S + 0.5)

    def _sending(self) -> _Item | None:
        """Return the first item that still has, or may get, audio to send."""
        for item in self._items:
            if item.unsent or not item.is_done:
                return item
        return None

    def _send(self, item: _Item, room: int, now: float) -> bytes:
        """Remove the audio to send before the next mark, and account for it."""
        audio = item.take(min(room, MARK_EVERY_FRAMES - item.frames_since_mark))
        if audio:
            self._note_levels(audio, now)
            self._count(item, len(audio) // FRAME_BYTES, now)
        return audio

    def _count(self, item: _Item, frames: int, now: float) -> None:
        is_new = item.frames_sent + item.before_ms == 0 and not self._was_held
        if is_new and self._clock_end + self._delay_s <= now:
            self.audible_since = now
        if item.frames_sent == 0:
            item.first_frame = self.frames_sent
        elif self._clock_end < now - EPSILON_S and not self._was_held:
            self.underruns += 1
        self._was_held = False
        self._clock_end = max(self._clock_end, now) + frames * FRAME_S
        self._unsent_bytes -= min(frames * FRAME_BYTES, self._unsent_bytes)
        item.frames_sent += frames
        item.frames_since_mark += frames
        self.frames_sent += frames

    def _mark(self, item: _Item) -> MarkName:
        item.frames_since_mark = 0
        ms = item.before_ms + item.frames_sent * FRAME_MS
        name = f"{item.item_id}:{self.generation}:{ms}"
        if len(self._marks) >= MARKS_MAX:
            self._flushed.append(self._marks.popleft().name)
            self.forgotten_marks += 1
        self._marks.append(_MarkInFlight(name, self._clock_end))
        return MarkName(name)

    def _note_levels(self, audio: bytes, now: float) -> None:
        heard = int(self.heard_frames(now)) - self._levels_first_frame
        if heard > 0:
            del self._levels[:heard]
            self._levels_first_frame += heard
        self._levels += frame_levels(audio)

    def _forget_heard(self, now: float) -> None:
        heard = self.heard_frames(now)
        while self._items:
            item = self._items[0]
            if not _has_ended(item) or heard < item.first_frame + item.frames_sent:
                return
            self._items.popleft()


def _has_ended(item: _Item) -> bool:
    return item.is_done and not item.unsent
