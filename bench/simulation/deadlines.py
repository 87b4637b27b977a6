"""Deadlines: what a call owes the caller or the model, and by when.

`invariants.py` checks every frame and every request by itself. This module follows what
takes several steps, from the same inputs and outputs: a greeting, keys, tools, a whole
interruption, a conversation told to a new session, the last words. A missed deadline is
a broken invariant.
"""

from collections.abc import Callable
from typing import Any

from bench.simulation.invariant import check
from bench.simulation.requests import Sessions
from bench.simulation.scenario import Scenario
from bench.simulation.speech import Withheld
from bridge.call.ending import END_CALL
from bridge.call.history_seed import ENTRIES_MAX
from bridge.call.keypad import DIGITS_MAX, PAUSE_S
from bridge.call.machine import Call
from bridge.call.plan import (
    Log,
    OpenStandby,
    Phase,
    RunTool,
    ToolResult,
    ToStandby,
    UseStandby,
)
from bridge.media.uplink import GIVEN_FRAMES_MAX
from bridge.realtime import openai
from bridge.telephony import twilio
from dsp.g711 import FRAME_BYTES, FRAME_MS

# How late a sequence of keys may be told: a stall, and the pause itself.
KEYS_LATE_S = 1.5
# A calm line delays echoes by less. An utterance after such a gap is a new one.
GAP_S = 0.1


# How an operator's words begin where the model is told them.
BY_PERSON = "The person of the business said to the caller: "


def of(kind: type, actions: list[Any]) -> list[Any]:
    """Return the actions of one type."""
    return [action for action in actions if type(action) is kind]


class Greeting:
    """The greeting is requested with the first session, before anything else.

    A call that another process has led begins with an apology in its place.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        resumed = call.plan.resumed
        self._is_asked = not call.plan.greeting
        self._wanted = call.plan.greeting
        if resumed is not None and resumed.is_greeted:
            self._is_asked, self._wanted = False, "apology"

    def after(self, what: Any, actions: list[Any]) -> None:
        """Check the first request of the call."""
        if self._is_asked or not self._call.is_session_ready:
            return
        self._is_asked = True
        asked = of(openai.ResponseCreate, actions)
        is_first = bool(asked) and self._wanted in str(asked[0].response)
        check(is_first, "the greeting is asked for first", what)


class Renewed:
    """A new session is told the whole conversation, each turn once and in order."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._told: list[openai.CreateItem] = []
        # The caller's newest turn without a transcript, and the audio sent since.
        self._wordless: str | None = None
        self._appended_ms = 0
        self._since_ms = 0
        self._end_ms: int | None = None  # of the newest turn, by the server

    def after(self, what: Any, actions: list[Any]) -> None:
        """Compare what the session is told with the transcript."""
        appended_ms = self._call.uplink.appended_ms  # a new session gets less of it
        self._since_ms += max(0, appended_ms - self._appended_ms)
        self._appended_ms = appended_ms
        if type(what) is openai.SpeechStopped:
            self._end_ms = what.audio_end_ms
        elif type(what) is openai.Committed:
            # The server may end a turn long before the newest audio that it was given.
            end_ms = appended_ms if self._end_ms is None else self._end_ms
            self._wordless, self._end_ms = what.item_id, None
            self._since_ms = max(0, appended_ms - end_ms)
        elif type(what) is openai.TranscriptionCompleted:
            self._wordless = self._wordless if self._wordless != what.item_id else None
        for at, action in enumerate(actions):
            kind = type(action)
            if kind is OpenStandby:
                self._told = []
            elif kind is ToStandby and type(action.event) is openai.CreateItem:
                self._told.append(action.event)
            elif kind is UseStandby:
                # Keys may be told in the same step, right after.
                self._check(self._told + of(openai.CreateItem, actions[at:]))
            elif kind is Log and "Session renewed" in action.text:
                self._check(of(openai.CreateItem, actions))

    def _check(self, told: list[openai.CreateItem]) -> None:
        notes = self._call.call_record
        wanted = [turn.text for turn in notes.transcript.turns() if turn.text]
        parts = [
            one.item.content[0] for one in told if type(one.item) is openai.MessageItem
        ]
        has_sound = any(type(part) is openai.InputAudio for part in parts)
        # Speech from before the kept audio is lost.
        is_kept = self._since_ms < GIVEN_FRAMES_MAX * FRAME_MS
        is_known = has_sound or not self._wordless or not is_kept
        check(is_known, "a turn without words is told as sound")
        said = [
            part.text.removeprefix("Keypad: ").removeprefix(BY_PERSON)
            for part in parts
            if type(part) is not openai.InputAudio
        ]
        answered = sum(type(one.item) is openai.FunctionCallOutput for one in told)
        if len(wanted) + len(notes.tools) <= ENTRIES_MAX:
            check(said == wanted, "a new session knows the conversation", said, wanted)
            check(
                answered >= len(notes.tools), "a new session knows the tools", answered
            )


class Keys:
    """Every key silences the AI, and is told to the model in its sequence."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._row = "" if call.plan.resumed is None else call.plan.resumed.digits
        self._pressed_at = 0.0
        self.are_told = False

    def after(
        self, what: Any, actions: list[Any], was_playing: bool, now: float
    ) -> None:
        """Follow a sequence of keys from the first key to the model."""
        self.are_told = False
        if not actions and not self._row:
            return
        lines = [line.text for line in of(Log, actions) if "[DTMF]" in line.text]
        is_talking = self._call.is_talking
        if "[DTMF] digit received" in lines:
            self._row += what.dtmf.digit
            self._pressed_at = now
            is_silent = bool(of(twilio.Clear, actions)) or not was_playing
            check(is_silent or not is_talking, "a key silences the AI")
        elif lines:
            row, self._row = self._row[:DIGITS_MAX], ""
            told = [str(one.item) for one in of(openai.CreateItem, actions)]
            is_told = any(f"Keypad: {' '.join(row)}'" in one for one in told)
            is_ready = self._call.is_session_ready
            check(is_told or not is_ready, "the keys are told as pressed", row, told)
            self.are_told = is_ready
        if not is_talking:
            self._pressed_at = now
        late_s = now - self._pressed_at - PAUSE_S
        check(not self._row or late_s < KEYS_LATE_S, "keys are told in time", late_s)


class Tools:
    """Every tool is answered, all of a response together, and `end_call` last."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self.open: set[str] = set()
        self._wishes: set[str] = set()
        self.has_answered = False
        self._was_his = False

    def before(self) -> None:
        """Note whether the caller speaks."""
        self._was_his = self._call.has_caller_floor

    def after(self, what: Any, actions: list[Any]) -> None:
        """Check the answers."""
        self.open |= {action.tool_call_id for action in of(RunTool, actions)}
        if type(what) is openai.OutputItemDone and what.item.name == END_CALL:
            self._wishes.add(what.item.call_id or "")
        if type(what) is not ToolResult or what.tool_call_id not in self.open:
            return
        self.open.discard(what.tool_call_id)
        if self._was_his or self.open:
            asked = of(openai.ResponseCreate, actions)
            check(not asked, "tools are answered together, in a pause", self.open)
        if not self._call.is_session_ready or self._call.phase is Phase.ENDED:
            return
        told = [
            one.item.call_id
            for one in of(openai.CreateItem, actions)
            if type(one.item) is openai.FunctionCallOutput
        ]
        is_told = told[:1] == [what.tool_call_id] and self._wishes.issuperset(told[1:])
        check(is_told, "the model learns what a tool says", told)
        check(not self.open or not told[1:], "end_call is decided last", self.open)
        self.has_answered = True


class Interruptions:
    """A certain voice waits for grace and cooldown only; a stale mark has no effect.

    `new_item_at` is when the first frame of the newest item after a silence was sent.
    """

    def __init__(
        self, call: Call, scenario: Scenario, new_item_at: Callable[[], float]
    ) -> None:
        self._call = call
        self._new_item_at = new_item_at
        self._is_whole = not scenario.has_odd_payloads
        self._was_held = False
        # Where echoes are late the core may join an utterance to an earlier one.
        self._is_grace_known = scenario.is_calm and scenario.marks == "echoed"
        self._spoke_at = float("-inf")
        self._audible_since = 0.0
        self._ends_at = float("-inf")
        self._stale: tuple[int, float] | None = None

    def before(self, what: Any) -> None:
        """Note the state that a mark from before a clear must not change."""
        playout = self._call.playout
        self._was_held |= playout.is_held
        if type(what) is not twilio.Mark:
            return
        if int(what.mark.name.split(":")[1]) < playout.generation:
            self._stale = playout.marks_in_flight, playout.ends_at()

    def check_heard(self, what: Any, actions: list[Any], now: float) -> None:
        """Check that a certain voice interrupts once nothing forbids it.

        Neither a false alarm nor an underrun restarts the grace period.
        """
        call, options = self._call, self._call.plan.options
        uplink = call.uplink
        if type(what) is not twilio.Media or not self._is_whole or not call.is_talking:
            return
        is_voice = uplink.is_voice and uplink.is_certain
        if not is_voice or uplink.voice.own_frames < call.barge_in.frames_needed:
            return
        if of(twilio.Clear, actions):
            return
        audible_ms = (now - self._new_item_at()) * 1e3 - 1e-6
        cooled_ms = (now - self._spoke_at) * 1e3 - 1e-6
        is_barred = (
            audible_ms < options.barge_in_grace_ms
            or cooled_ms < options.barge_in_cooldown_ms
            or not call.playout.is_playing(now)
        )
        check(is_barred, "a certain voice interrupts", audible_ms, cooled_ms)

    def after(self, what: Any, actions: list[Any], now: float) -> None:
        """Check what may silence the AI, and when."""
        playout, options = self._call.playout, self._call.plan.options
        if self._stale is not None and self._call.phase is not Phase.ENDED:
            now_is = playout.marks_in_flight, playout.ends_at()
            check(now_is == self._stale, "a stale echo changes nothing", now_is)
        self._stale = None
        for action in actions:
            if type(action) is twilio.OutboundMedia:
                if now > self._ends_at + GAP_S and not self._was_held:
                    self._audible_since = max(self._new_item_at(), self._audible_since)
                self._was_held = False
                self._ends_at = max(self._ends_at, now) + FRAME_MS / 1e3
            elif type(action) is twilio.Clear:
                self._ends_at = now
                if type(what) is twilio.Media:
                    self._check_voice(options, now)

    def _check_voice(self, options: Any, now: float) -> None:
        cooled_ms = (now - self._spoke_at) * 1e3 + 1e-6
        check(cooled_ms >= options.barge_in_cooldown_ms, "voice cools down", cooled_ms)
        self._spoke_at = now
        audible_ms = (now - self._audible_since) * 1e3 + 1e-6
        is_late = audible_ms >= options.barge_in_grace_ms
        check(is_late or not self._is_grace_known, "grace is kept", audible_ms)


class Turns:
    """A turn that the gate has heard becomes an item, by the server or the bridge."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._was_worth = False

    def before(self) -> None:
        """Note whether a turn is open that deserves an answer."""
        uplink = self._call.uplink
        self._was_worth = uplink.is_turn_open and uplink.is_worth_committing

    def after(self, what: Any, actions: list[Any]) -> None:
        """Check a turn that a frame has closed."""
        call = self._call
        if not self._was_worth or type(what) is not twilio.Media:
            return
        if call.uplink.is_turn_open or not call.is_session_ready:
            return
        is_committed = bool(of(openai.CommitAudio, actions))
        check(is_committed or call.phase is Phase.ENDED, "a turn becomes an item")


class Deadlines:
    """All deadlines of one call."""

    def __init__(
        self, call: Call, scenario: Scenario, new_item_at: Callable[[], float]
    ) -> None:
        self._greeting = Greeting(call)
        self._turns = Turns(call)
        self._renewed = Renewed(call)
        self.keys = Keys(call)
        self._interruptions = Interruptions(call, scenario, new_item_at)
        is_numbered = not scenario.has_odd_payloads and scenario.loss == 0.0
        self._withheld = Withheld(call) if is_numbered else None
        self.tools = Tools(call)
        self._sessions = Sessions(call)

    def before(self, what: Any) -> None:
        """Look at the call before it takes `what`."""
        self._interruptions.before(what)
        self._turns.before()
        if type(what) is ToolResult:
            self.tools.before()

    def after(
        self, what: Any, actions: list[Any], was_playing: bool, now: float
    ) -> None:
        """Check all deadlines."""
        self.keys.after(what, actions, was_playing, now)
        self._sessions.after(now)
        if self._withheld is not None:
            self._withheld.after(what, actions)
        self._interruptions.check_heard(what, actions, now)
        self._turns.after(what, actions)
        self.tools.has_answered = False
        if not actions and type(what) is twilio.Media:
            return  # most frames
        self._greeting.after(what, actions)
        self._renewed.after(what, actions)
        self._interruptions.after(what, actions, now)
        self.tools.after(what, actions)


POLITE = ("silence", "loop", "max_duration", "drain", "operator")


def check_last_words(
    call: Call, reason: str, owed_bytes: int, ends_at: float, now: float
) -> None:
    """Check at a hang-up that the last words to the caller have been heard."""
    is_polite = reason in POLITE or reason.startswith("end_call")
    if not is_polite or now >= call.last_words.ends_at:
        return
    check(owed_bytes < FRAME_BYTES, "the last words are sent", owed_bytes)
    check(ends_at <= now + 1e-6, "the last words are heard", ends_at, now)
