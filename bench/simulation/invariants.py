"""Invariants: what must hold after every step of a call, for any input.

This module keeps a reference of the downlink: the bytes of every item that is not
cancelled. `speech.py` keeps that of the uplink: the numbers in the caller's frames.
`requests.py` follows responses, `deadlines.py` what takes several steps. All are
computed only from the inputs and outputs of the call. A step that breaks an invariant
raises `Broken`.
"""

from collections import deque
from typing import Any

from bench.simulation.deadlines import Deadlines, check_last_words
from bench.simulation.invariant import check
from bench.simulation.operator import Operated
from bench.simulation.requests import Asked, is_rollover
from bench.simulation.scenario import Scenario
from bench.simulation.speech import UplinkInvariants, is_expiry
from bridge.call.machine import Call
from bridge.call.plan import HangUp, Log, OpenModel, Phase, UseStandby
from bridge.media.playout import BYTES_PER_MS, MARKS_MAX, UNSENT_BYTES_MAX
from bridge.media.uplink import SILENCE
from bridge.realtime import openai
from bridge.telephony import twilio
from dsp.g711 import FRAME_BYTES, FRAME_MS

# The most that one step does: release the ring, refill the lead and log lines.
ACTIONS_MAX = 700
# How often a timer may fire while the time stands still.
SPINS_MAX = 8
_MS = 1e-3
# The events of a running response.
_SIGNS = (openai.OutputItemAdded, openai.AudioDelta, openai.OutputItemDone)
# An item's id, and the index of its content.
Part = tuple[str, int]


def part_of(event: Any) -> Part:
    """Return the part of an item to which an event belongs."""
    return event.item_id, event.content_index


class Invariants:
    """The invariants of one call."""

    def __init__(self, call: Call, scenario: Scenario) -> None:
        self._call = call
        self._downlink = Downlink(call)
        self._uplink = None if scenario.has_odd_payloads else UplinkInvariants(call)
        self._deadlines = Deadlines(call, scenario, lambda: self._downlink.new_item_at)
        self._asked = Asked(call)
        self._operated = Operated(call) if scenario.has_operator else None
        self._spins = 0
        self._spun_at = -1.0
        self._hang_ups = 0
        self._stop_lines = 0
        # When the call ended within a turn of the caller's, if it did.
        self.spoke_last_at: float | None = None
        self.cuts: list[tuple[Part, int]] = []
        self.steps = 0

    def sent_part(self) -> Part:
        """Return the part of the oldest sent frame that was not yet asked about."""
        return self._downlink.sent.popleft()

    def note_committed(self, now: float) -> None:
        """A turn of the caller's awaits its answer."""
        self._asked.committed(now)

    def note_passed(self, now: float) -> None:
        """A frame of an operator is sent."""
        self._downlink.note_passed(now)

    def before(self, what: Any, now: float) -> None:
        """Look at the call before it takes `what`."""
        self._was_over = self._call.phase is Phase.ENDED
        self._was_playing = self._call.playout.is_playing(now)
        uplink = self._call.uplink
        self._was_spoken = uplink.is_turn_open and uplink.is_worth_committing
        self._downlink.before(what)
        self._asked.before(what, now)
        if self._operated is not None:
            self._operated.before()
        self._deadlines.before(what)
        if self._uplink is not None:
            self._uplink.before(what)

    def after(self, what: Any, actions: list[Any], now: float) -> None:
        """Check the call's actions and its state."""
        self.steps += 1
        check(len(actions) <= ACTIONS_MAX, "actions are bounded", len(actions))
        if self._was_over:
            is_line = all(type(action) is Log for action in actions)
            check(is_line, "nothing is done after the end", actions[:3])
        self._check_timer(what, now)
        self._check_order(what, actions)
        self._check_end(actions)
        self._downlink.after(actions, now)
        self._deadlines.after(what, actions, self._was_playing, now)
        if self._deadlines.tools.has_answered or self._deadlines.keys.are_told:
            self._asked.told(now)
        self._asked.after(what, actions, now)
        self._asked.check_answered(now, bool(self._deadlines.tools.open))
        if self._operated is not None:
            self._operated.after(what, actions, is_busy=self._asked.is_busy, now=now)
        if self._uplink is not None:
            self._uplink.after(actions)
        self._check_limits()

    def _check_timer(self, what: Any, now: float) -> None:
        deadline = self._call.deadline
        if self._call.phase is Phase.ENDED:
            check(deadline is None, "an ended call wants no timer", deadline)
        elif what is None:
            self._spins = self._spins + 1 if now == self._spun_at else 0
            self._spun_at = now
            check(self._spins <= SPINS_MAX, "a timer goes on", deadline, now)
        check(
            deadline is None or deadline < now + 4_000, "a deadline is near", deadline
        )

    def _check_order(self, what: Any, actions: list[Any]) -> None:
        """Clear, then truncate, then cancel, then speech, which is withheld until then.

        A timer may give up an answer of which nothing is heard.
        """
        rank, is_renewed = 0, False
        # At the end the caller's last speech is sent and committed.
        is_last = any(type(action) is HangUp for action in actions)
        for action in actions:
            kind = type(action)
            is_renewed = is_renewed or is_rollover(action)
            if kind is twilio.Clear:
                check(rank == 0, "clear comes first", kind)
                rank = 1
            elif kind is openai.ConversationItemTruncate:
                check(rank == 1, "truncate follows clear", kind, rank)
            elif kind is openai.ResponseCancel:
                is_given_up = is_last or (what is None and rank == 0)
                is_given_up |= self._call.takeover.is_on  # the server's own answer
                check(rank == 1 or is_given_up, "cancel follows truncate", rank)
                rank = rank and 2  # an answer given up without a clear plays to its end
            elif kind is openai.AppendAudio and action.audio != SILENCE:
                is_free = not self._was_playing or rank > 0 or is_renewed or is_last
                check(is_free, "speech is withheld while the AI is audible")
                rank = rank and 3
            check(kind is not twilio.OutboundMedia or rank == 0, "no audio after clear")
        self.cuts = [
            (part_of(action), action.audio_end_ms)
            for action in actions
            if type(action) is openai.ConversationItemTruncate
        ]

    def _check_end(self, actions: list[Any]) -> None:
        for at, action in enumerate(actions):
            if isinstance(action, HangUp):
                self._hang_ups += 1
                if self._was_spoken:
                    self.spoke_last_at = self._call.now
                check(at == len(actions) - 1, "hanging up is the last thing done")
            elif isinstance(action, Log) and action.text.startswith("WS_STOP"):
                self._stop_lines += 1
        is_over = self._call.phase is Phase.ENDED
        check(self._hang_ups == is_over, "a call hangs up once", self._hang_ups)
        check(self._stop_lines == is_over, "one WS_STOP a call", self._stop_lines)

    def _check_limits(self) -> None:
        playout, uplink = self._call.playout, self._call.uplink
        check(playout.marks_in_flight <= MARKS_MAX, "marks are limited")
        check(playout._unsent_bytes <= UNSENT_BYTES_MAX, "unsent audio is limited")
        ring = uplink._ring_frames + 30
        check(len(uplink._pending) <= ring, "the ring is limited", len(uplink._pending))


class Downlink:
    """Every frame of the model's speech, in order, none twice and none lost."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._items: deque[list[Any]] = deque()  # [part, bytes, is_done]
        self._cancelled: set[str] = set()
        self._received_ms: dict[Part, float] = {}
        self._first_at: dict[Part, float] = {}
        self._active: str | None = None
        self._ended: set[str] = set()
        self._is_next_cancelled = False
        self._frames = 0
        # Frames sent before the last clear: played or flushed.
        self._flushed = 0
        self._first_frame_at: float | None = None
        self._clock_end = 0.0
        self._ends_at: dict[Part, float] = {}
        # Items of lost sessions.
        self._old: set[Part] = set()
        # When the newest item after a silence began.
        self.new_item_at = float("-inf")
        self.sent: deque[Part] = deque()

    def before(self, what: Any) -> None:
        """Keep the bytes that the caller is now owed."""
        if self._call.phase is Phase.ENDED:
            return
        if type(what) in _SIGNS and what.response_id not in self._ended:
            self._begin(what.response_id)
        if type(what) is openai.AudioDelta:
            if what.response_id in self._cancelled or self._call.takeover.is_on:
                return
            part = part_of(what)
            if not self._items or self._items[-1][0] != part:
                if self._items:
                    self._items[-1][2] = True
                self._items.append([part, bytearray(), False])
            self._items[-1][1] += what.delta
            ms = self._received_ms.get(part, 0.0) + len(what.delta) / 8
            self._received_ms[part] = ms
        elif type(what) is openai.AudioDone:
            for item in self._items:
                is_its = item[0] == part_of(what)
                if is_its and what.response_id not in self._cancelled:
                    item[2] = True
        elif what == "model lost" or is_expiry(what):
            self._end_items()
        elif type(what) is openai.ResponseCreated:
            self._begin(what.response.id)
        elif type(what) is openai.ResponseDone:
            self._ended.add(what.response.id)
            if self._active in (None, what.response.id):
                self._is_next_cancelled = False
                self._active = None
                for item in self._items:
                    item[2] = True

    def _begin(self, response_id: str) -> None:
        """A response begins with its announcement, or with the first sign of it."""
        if self._active is None:
            self._active = response_id
            if self._is_next_cancelled:
                self._cancelled.add(self._active)
            self._is_next_cancelled = False

    def after(self, actions: list[Any], now: float) -> None:
        """Compare each frame with the owed bytes; forget those at a clear."""
        for action in actions:
            kind = type(action)
            if kind is twilio.OutboundMedia:
                self._check_frame(action.media.payload, now)
            elif kind is OpenModel or kind is UseStandby:
                self._end_items()
                if self._call.phase is Phase.WAITING:  # the greeting starts again
                    self._items.clear()
            elif kind is twilio.Clear:
                self._check_cuts(actions, now)
                self._items.clear()
                self._clock_end = now
                self._flushed, self._first_frame_at = self._frames, None
            elif kind is openai.ResponseCancel:
                # Of the request, if no response runs: the next to begin.
                self._is_next_cancelled = self._active is None
                self._cancelled.add(self._active or "")
            elif kind is openai.ResponseCreate:
                # The request that was cancelled is given up: this is another one.
                self._is_next_cancelled = False
            elif kind is openai.ConversationItemTruncate:
                self._check_cut(action, now)
            elif kind is HangUp:
                owed_bytes = sum(len(item[1]) for item in self._items)
                ends_at = self._clock_end
                check_last_words(self._call, action.reason, owed_bytes, ends_at, now)
        self._check_heard(now)
        self._check_goes_on(now)

    def note_passed(self, now: float) -> None:
        """A frame that is no item's is sent."""
        self._frames += 1
        if self._first_frame_at is None:
            self._first_frame_at = now
        self._clock_end = max(self._clock_end, now) + FRAME_MS * _MS

    def _end_items(self) -> None:
        """A session is gone; its unsaid items are no longer owed."""
        self._active = None
        self._is_next_cancelled = False
        self._old |= self._received_ms.keys()
        for item in self._items:
            item[2] = True

    def _check_cuts(self, actions: list[Any], now: float) -> None:
        """The model is told of every part that was not heard to its end."""
        # `truncate` cannot tell less than a ms of audio.
        unheard = {item[0] for item in self._items if len(item[1]) >= BYTES_PER_MS}
        # Most of a part's last frame may be padding, and `truncate` tells whole ms.
        latest = now + FRAME_MS * _MS + _MS
        unheard |= {part for part, at in self._ends_at.items() if at > latest}
        self._ends_at.clear()
        told = {
            part_of(action)
            for action in actions
            if type(action) is openai.ConversationItemTruncate
        }
        missing = unheard - self._old - told
        is_ready = self._call.is_session_ready
        check(not missing or not is_ready, "every unheard part is truncated", missing)

    def _check_frame(self, payload: bytes, now: float) -> None:
        check(len(payload) == FRAME_BYTES, "a frame is 160 bytes", len(payload))
        while self._items and not self._items[0][1]:
            check(self._items[0][2], "no frame while an item has none")
            self._items.popleft()
        check(bool(self._items), "a frame is owed")
        part, owed, is_done = self._items[0]
        wanted = bytes(owed[:FRAME_BYTES])
        check(is_done or len(wanted) == FRAME_BYTES, "the tail waits for the end")
        wanted = wanted.ljust(FRAME_BYTES, b"\xff")
        check(payload == wanted, "every frame in order, none twice", part)
        del owed[:FRAME_BYTES]
        self._frames += 1
        is_first = all(item_id != part[0] for item_id, _ in self._first_at)
        if is_first and now >= self._clock_end - 1e-6:
            self.new_item_at = now
        self._first_at.setdefault(part, now)
        if self._first_frame_at is None:
            self._first_frame_at = now
        self._clock_end = max(self._clock_end, now) + FRAME_MS * _MS
        self._ends_at[part] = self._clock_end
        lead_ms = self._call.plan.options.playout_lead_ms
        ahead_ms = (self._clock_end - now) * 1e3
        nearest_ms = lead_ms + FRAME_MS / 2 + 1
        check(ahead_ms <= nearest_ms, "no more than the lead is sent", ahead_ms)
        self.sent.append(part)

    def _check_cut(self, cut: openai.ConversationItemTruncate, now: float) -> None:
        heard_ms = cut.audio_end_ms
        received_ms = self._received_ms.get(part_of(cut), 0.0)
        first_at = self._first_at.get(part_of(cut), now)
        check(0 <= heard_ms <= received_ms, "heard <= received", heard_ms, received_ms)
        elapsed_ms = (now - first_at) * 1e3
        check(heard_ms <= elapsed_ms + 1, "heard <= elapsed", heard_ms, elapsed_ms)

    def _check_heard(self, now: float) -> None:
        if self._call.phase is Phase.ENDED:
            return
        heard = self._call.playout.heard_frames(now)
        check(heard <= self._frames, "heard <= sent", heard, self._frames)
        first_at = self._first_frame_at
        elapsed = 0.0 if first_at is None else (now - first_at) / FRAME_MS * 1e3
        fresh = heard - self._flushed
        check(fresh <= elapsed + 0.1, "heard <= elapsed", fresh, elapsed)

    def _check_goes_on(self, now: float) -> None:
        """Audio that is owed and not held back is sent in time."""
        call = self._call
        while self._items and not self._items[0][1] and self._items[0][2]:
            self._items.popleft()
        if call.phase is Phase.ENDED or not self._items or not call.streams.sid:
            return
        _, owed, is_done = self._items[0]
        if len(owed) < FRAME_BYTES and not (owed and is_done):
            return
        wait = call.deadline
        lead_s = call.plan.options.playout_lead_ms * _MS
        limit = max(lead_s, 0.3 if call.playout.is_held else 0.0) + 0.02
        check(wait is not None, "owed audio has a timer")
        check(wait is not None and wait - now <= limit, "owed audio goes on", wait, now)
