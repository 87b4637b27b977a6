"""Speech: invariants of the caller's frames on their way to the model."""

from typing import Any

from bench.simulation.invariant import check
from bench.simulation.requests import is_rollover
from bench.simulation.scenario import number_of
from bridge.call.machine import Call
from bridge.call.plan import Phase
from bridge.media.uplink import SILENCE, SILENCE_MS_MAX
from bridge.media.withheld_sound import OWN_FRAMES_MIN, OWN_GAP_FRAMES
from bridge.realtime import openai
from bridge.telephony import twilio
from dsp.g711 import FRAME_MS


def is_expiry(what: Any) -> bool:
    """Tell whether the session has ended by its age."""
    return type(what) is openai.Error and what.error.code == "session_expired"


class UplinkInvariants:
    """The caller's frames: in order, none twice, none lost inside a turn."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._last = -1
        self._at: int | None = None
        self._silence = self._next_ms = 0
        self._is_asked = (
            False  # the bridge has ended a turn; the server has not confirmed
        )
        self._is_unsure = False  # silence was sent since the place was forgotten

    def before(self, what: Any) -> None:
        """Forget a place that a long gap has made unknown."""
        self._was_open = self._call.uplink.is_turn_open
        if type(what) in (openai.Committed, openai.Error):
            self._is_asked = self._is_asked and is_expiry(what)
        if type(what) is not twilio.Media:
            return
        at_ms = int(what.media.timestamp)
        if at_ms - self._next_ms > 25 * FRAME_MS:
            self._at = None
        self._next_ms = at_ms + FRAME_MS

    def after(self, actions: list[Any]) -> None:
        """Follow the place in the caller's speech that the model has reached."""
        uplink = self._call.uplink
        is_inside = self._was_open or uplink.is_turn_open
        is_again = any(is_rollover(action) for action in actions)
        if is_again:
            self._last = -1  # the turn is sent again, with its gaps
        for action in actions:
            if type(action) is openai.CommitAudio:
                self._is_asked = True
            if type(action) is not openai.AppendAudio:
                continue
            if action.audio == SILENCE:
                # A turn may begin and end in one step, with lost audio at its head.
                is_inside = is_inside or len(actions) > 1
                check(is_inside, "silence is given inside turns alone")
                self._silence += 1
                self._is_unsure = self._is_unsure or self._at is None
                self._at = None if self._at is None else self._at + 1
                limit = SILENCE_MS_MAX // FRAME_MS + 60
                check(self._silence <= limit, "silence ends", self._silence)
                continue
            number = number_of(action.audio)
            check(number > self._last, "no frame twice", number, self._last)
            is_next = is_again or self._at is None or number == self._at + 1
            check(is_next, "no frame of a turn is lost", number, self._at)
            self._at = self._last = number
            self._silence = 0
            self._is_unsure = self._is_unsure and is_again
        is_known = uplink.is_turn_open and not uplink._is_withholding
        # Silence that is sent again does not show the place; a frame after it does.
        is_lost = self._is_asked or (self._is_unsure and self._silence > 0)
        if not is_known or (is_again and is_lost):
            self._at = None
        self._is_asked = self._is_asked and not is_again
        if not uplink.is_turn_open:
            self._silence = 0


class Withheld:
    """Speech during the AI's is sent from its first sound, or not at all.

    Holds where no frame is lost, so that the frames' numbers are continuous.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._first: int | None = None
        self._last_sound = self._sounds = 0
        self._last_given = -1
        self._was_withholding = False
        self._late_frames = call.plan.options.late_answer_ms // FRAME_MS

    def after(self, what: Any, actions: list[Any]) -> None:
        """Follow the sounds in the ring, and check what leaves it."""
        uplink = self._call.uplink
        if type(what) is twilio.Media and self._call.phase is not Phase.ENDED:
            number = number_of(what.media.payload)
            is_sure = self._sounds >= OWN_FRAMES_MIN
            gap = number - self._last_sound - 1
            is_kept = is_sure and gap <= self._late_frames
            is_heard = is_kept or (not is_sure and gap <= OWN_GAP_FRAMES)
            is_over = self._was_withholding and not uplink._is_withholding
            is_clear = False
            if actions and self._call.is_session_ready:
                is_clear = any(type(one) is twilio.Clear for one in actions)
            if uplink.is_own and not (is_over and is_kept):
                if self._first is None or not is_heard:
                    self._first = number
                    self._sounds = 0
                self._sounds += 1
                self._last_sound = number
                # What goes on in an open turn is the caller's from its first frame.
                is_begun = uplink.is_turn_open and not self._was_withholding
                if is_begun and uplink.is_gate_open:
                    self._sounds += OWN_FRAMES_MIN
            elif is_sure and gap == 0 and uplink.is_gate_open:
                self._last_sound = number  # it keeps the gate open after an own sound
            if self._first is not None and (is_clear or (is_over and is_kept)):
                self._check(actions, number)
            if not uplink._is_withholding:
                self._first = None
                self._sounds = 0
                self._last_given = number - len(uplink._pending)
        self._was_withholding = uplink._is_withholding

    def _check(self, actions: list[Any], number: int) -> None:
        assert self._first is not None
        given = [
            number_of(one.audio)
            for one in actions
            if type(one) is openai.AppendAudio and one.audio != SILENCE
        ]
        options = self._call.plan.options
        wanted = max(
            self._first - options.audio_preroll_ms // FRAME_MS,
            number - options.barge_in_ring_ms // FRAME_MS + 1,
            self._last_given + 1,
        )
        is_whole = bool(given) and given[0] <= wanted
        check(is_whole, "what was withheld is given whole", given[:1], wanted)
