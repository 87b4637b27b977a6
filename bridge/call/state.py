"""CallState: the state of one call, all its owners together.

Each part of the state has an owner that does not know the call: `Playout` what the
caller has heard, `Responses` which response runs, `Floor` what waits for a pause. The
modules whose functions take a `CallState` wire the owners together and own nothing;
`bridge.call.machine` passes each input to one of them. What such a function decides it
appends to `actions`.
"""

from msgspec import UNSET, UnsetType

from bridge.call.barge_in import BargeIn
from bridge.call.call_record import CallRecordBuilder
from bridge.call.ending import Ending
from bridge.call.floor import Due, Floor
from bridge.call.greeting import Greeting
from bridge.call.keypad import Keypad
from bridge.call.last_words import LastWords
from bridge.call.loop_correction import LoopCorrection
from bridge.call.operator_voice import OperatorVoice
from bridge.call.plan import Action, CallPlan, Counters, Log, Phase
from bridge.call.recovery import Recovery
from bridge.call.responses import Responses
from bridge.call.sessions import Sessions
from bridge.call.silence import Silence
from bridge.call.streams import Streams
from bridge.call.takeover import Takeover
from bridge.call.time_limit import TimeLimit
from bridge.call.timers import Timers
from bridge.call.tool_calls import ToolCalls
from bridge.call.transitions import follow
from bridge.media.fast_path import MediaFastPath
from bridge.media.playout import Playout
from bridge.media.untranscribed import UntranscribedAudio
from bridge.media.uplink import Uplink
from bridge.realtime import openai

_NEXT: dict[Phase, frozenset[Phase]] = {
    Phase.WAITING: frozenset((Phase.TALKING, Phase.ENDED)),
    Phase.TALKING: frozenset((Phase.ENDING, Phase.ENDED)),
    Phase.ENDING: frozenset((Phase.ENDED,)),
    Phase.ENDED: frozenset(),
}


class CallState:
    """The owners, the phase and the time of one call, and the actions of this input."""

    def __init__(self, plan: CallPlan, now: float) -> None:
        options = plan.options
        self.plan = plan
        self.now = now
        self.phase = Phase.WAITING
        self.actions: list[Action] = []
        self.counters = Counters()
        self.timers = Timers()
        self.uplink = Uplink(options)
        self.untranscribed = UntranscribedAudio()
        self.playout = Playout(lead_ms=options.playout_lead_ms)
        self.fast_path = MediaFastPath(self.uplink, self.playout)
        self.ending = Ending(plan)
        self.call_record = CallRecordBuilder(plan, now)
        self.loop_correction = LoopCorrection(self.call_record.transcript)
        self.sessions = Sessions(plan, self.counters, self.timers, now)
        is_resumed = plan.resumed is not None and plan.resumed.is_greeted
        is_wanted = is_resumed or bool(plan.greeting)
        self.greeting = Greeting(self.timers, is_wanted=is_wanted)
        self.tool_calls = ToolCalls(self.timers, self.counters, options)
        self.responses = Responses(self.timers)
        self.recovery = Recovery(self.timers)
        self.floor = Floor(self.timers, options)
        self.keypad = Keypad(self.timers)
        self.silence = Silence(self.timers, options)
        self.time_limit = TimeLimit(self.timers, options)
        self.last_words = LastWords(self.timers)
        self.streams = Streams(self.counters, self.timers, now)
        self.barge_in = BargeIn(self.timers, options)
        self.takeover = Takeover(self.timers)
        self.operator_voice = OperatorVoice()

    # --- facts ---

    @property
    def is_session_ready(self) -> bool:
        """Tell whether the model has confirmed the session's configuration."""
        return self.sessions.is_ready

    @property
    def is_talking(self) -> bool:
        """Tell whether the conversation runs."""
        return self.phase is Phase.TALKING

    @property
    def is_listening(self) -> bool:
        """Tell whether the caller is listened to while the AI is silent."""
        is_ready = self.is_session_ready and not self.greeting.is_due
        return is_ready and self.phase is not Phase.ENDED

    @property
    def has_caller_floor(self) -> bool:
        """Tell whether the caller speaks, or awaits the server's answer."""
        return self.floor.is_callers(self.uplink, self.responses.answer_by)

    def take_floor(self, what: Due) -> bool:
        """Tell whether the AI may say it now; else it waits for the caller to end.

        While an operator speaks in its place, it may not, and nothing waits.
        """
        if self.takeover.is_on:
            return False
        return self.floor.take(what, self.now, is_callers=self.has_caller_floor)

    # --- what the wiring does with them ---

    def enter(self, phase: Phase) -> None:
        """Go on to another phase; one that does not follow is a bug of the bridge."""
        self.phase = follow(_NEXT, self.phase, phase)

    def request(self, params: openai.ResponseParams | UnsetType = UNSET) -> None:
        """Ask the model to speak, now or when its running response has ended.

        While an operator speaks in its place, it is not asked.
        """
        if not self.takeover.is_on:
            self.ask(self.responses.request(self.now, params))

    def ask(self, requests: list[openai.ResponseCreate]) -> None:
        """Send requests; one without parameters is answered with all tools' results,
        and with all that an operator has told the model."""
        self.actions += requests
        if any(request.response is UNSET for request in requests):
            self.tool_calls.note_answered()
            self.floor.drop(Due.OPERATOR)

    def cancel_answer(self) -> None:
        """Cancel the running response; what the caller has no sound of is not said."""
        self.actions += self.responses.cancel(self.now)
        self.call_record.transcript.cut_soundless()

    def tell(self, event: openai.ClientEvent) -> None:
        """Send the model an event, if a session serves; a later one gets a seed."""
        if self.is_session_ready:
            self.actions.append(event)

    def log(self, line: Log | None) -> None:
        """Write a line, if there is one to write."""
        if line is not None:
            self.actions.append(line)

    def info(self, text: str) -> None:
        """Write an ordinary line."""
        self.actions.append(Log("info", text))
