"""One simulated call: the pure core between a phone and a model, on simulated time.

A queue holds all events, ordered by time. Every input reaches the bridge through
`give`, which checks the invariants before and after and performs the actions. When a
stall of the process ends, it takes everything that arrived meanwhile.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any, NamedTuple

from bench.simulation.invariant import check
from bench.simulation.invariants import Invariants, Part
from bench.simulation.model import Model
from bench.simulation.operator import Operator
from bench.simulation.phone import STREAM_SID, Phone
from bench.simulation.scenario import Link, Scenario
from bridge.call.last_turn import WORDS_WAIT_S
from bridge.call.machine import Call
from bridge.call.plan import (
    CallPlan,
    CallRecord,
    CloseStandby,
    HangUp,
    Leg,
    Log,
    OpenModel,
    OpenStandby,
    Refusal,
    RunTool,
    ToolResult,
    ToStandby,
    Transcribe,
    UseStandby,
)
from bridge.realtime import openai
from bridge.telephony import twilio

# The call's own limits end a call before this.
CALL_S_MAX = 150.0
# The first session of a call that another process has led.
SECOND_PART = 100
# The part of what an operator says, which is no item's.
PERSON = "operator", 0
# Late events are delivered for this long after the end.
AFTER_S = 0.3
# The allowed difference between the recording and what the model was told was heard.
HEARD_MS = 60.0
# A cut is compared once the clear has reached the phone.
COMPARE_S = 0.3


class StandbyEvent(NamedTuple):
    """An event of the standby session."""

    event: openai.Inbound


class Wire:
    """One direction of one socket: delayed, with jitter, always in order."""

    def __init__(self, world: "World", link: Link) -> None:
        self._world = world
        self._link = link
        self._last_at = 0.0

    def send(self, receive: Callable[..., None], *what: Any) -> None:
        """Have `receive` called when this arrives."""
        rng = self._world.scenario.rng
        latency_s = self._link.latency_s + rng.random() ** 4 * self._link.jitter_s
        self._last_at = max(self._last_at, self._world.now + latency_s)
        self._world.at(self._last_at, receive, *what)


class World:
    """One call from its webhook to its end."""

    def __init__(self, seed: int, left: CallPlan | None = None) -> None:
        """`left` is the plan of a call that another process has led until now."""
        scenario = self.scenario = Scenario(seed)
        self.now = 0.0
        self.story: list[str] | None = None
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._ties = count()
        self.plan = CallPlan(
            call_sid="CA" + "1" * 32,
            business_id="b",
            business_name="b",
            from_number="+15550000001",
            to_number="+15550000002",
            language="en",
            instructions="",
            greeting=scenario.greeting,
            missing_fields=scenario.rng.choice(((), ("name",))),
            options=scenario.options(),
        )
        if left is not None:
            self.plan = left
        self.call = Call(self.plan, 0.0)
        self.invariants = Invariants(self.call, scenario)
        self.phone = Phone(self)
        self.models: list[Model] = []
        self._standby: Model | None = None
        self._to_bridge = Wire(self, scenario.phone_up)
        self._to_phone = Wire(self, scenario.phone_down)
        self._over_at: float | None = None
        self._serving = self._new_model()
        self.after(scenario.start_s, self.phone.start)
        self.operator = Operator(self) if scenario.has_operator else None

    # --- time ---

    def at(self, when: float, what: Callable[..., None], *args: Any) -> None:
        """Schedule an event at a time."""
        heappush(self._queue, (when, next(self._ties), what, args))

    def after(self, wait_s: float, what: Callable[..., None], *args: Any) -> None:
        """Schedule an event after a delay."""
        self.at(self.now + wait_s, what, *args)

    def run(self, until_s: float = float("inf")) -> None:
        """Run the call to its end, or for so long; raises `Broken` if an invariant is
        broken."""
        late_s = self.scenario.tick_late_s
        while self._over_at is None or self.now < self._over_at + self._after_s:
            if self.now >= until_s:
                return
            deadline = self.call.deadline
            due = float("inf") if deadline is None else max(deadline + late_s, self.now)
            if not self._queue and self._over_at is not None:
                break
            if not self._queue or due <= self._queue[0][0]:
                check(due < float("inf"), "a call that runs wants to be woken")
                self.now = due
                self.give(None, self.call.receive_timeout)
            else:
                when, _, what, args = heappop(self._queue)
                self.now = max(self.now, when)
                what(*args)
            check(self.now < CALL_S_MAX, "every call ends", self.call.phase)
        self._check_last_turn(self.call.record(self.now))

    @property
    def is_over(self) -> bool:
        """Whether the call has ended."""
        return self._over_at is not None

    @property
    def _after_s(self) -> float:
        return WORDS_WAIT_S if self.call.awaits_words else AFTER_S

    def _check_last_turn(self, record: CallRecord) -> None:
        """The caller's last speech is a turn, unless it had no words."""
        if self.operator is not None:
            self.operator.check_notes(record)
        if self.invariants.spoke_last_at is None:
            return
        at_s = round(self.invariants.spoke_last_at, 3)
        placed = self.call.call_record.transcript.placed()
        found = any(turn.role == "caller" and turn.at_s >= at_s for turn in placed)
        check(found, "what is said last is recorded", at_s)

    # --- what reaches the bridge ---

    def to_bridge(self, message: twilio.Inbound) -> None:
        """Send a message of Twilio on its way."""
        self._to_bridge.send(self.give, message, self.call.receive_twilio, message)

    def from_model(self, model: Model, event: openai.Inbound) -> None:
        """Send an event of a session on its way; it is lost with its socket."""
        model.to_bridge.send(self._arrive, model, event)

    def _arrive(self, model: Model, event: openai.Inbound) -> None:
        stands_until = self.scenario.unstalled(self.now)
        if stands_until > self.now:
            self.at(stands_until, self._arrive, model, event)
        elif model is self._standby:
            self.give(StandbyEvent(event), self.call.receive_standby, event)
        elif not model.is_closed:
            self.give(event, self.call.receive_openai, event)

    def give_unknown(self) -> None:
        """Deliver a message of an unknown type, or an invalid one."""
        leg = self.scenario.rng.choice((Leg.TWILIO, Leg.OPENAI))
        self.give("unknown", self.call.receive_unknown, leg, "new.type")
        self.give("malformed", self.call.receive_malformed, leg, "no JSON")
        if self._standby is not None and self.scenario.rng.random() < 0.3:
            rubbish = (self.call.receive_malformed, Leg.STANDBY, "no JSON")
            self.give("malformed", *rubbish)

    def lose_phone(self) -> None:
        """Cut the caller's socket."""
        lost = ("lost", self.call.receive_disconnect, Leg.TWILIO, "1006")
        self._to_bridge.send(self.give, *lost)

    def hang_up_model(self, model: Model) -> None:
        """Let the model close its socket after its last event."""
        model.to_bridge.send(self.lose_model, model)

    def lose_model(self, model: Model, why: str | Refusal = "1006") -> None:
        """Cut the model's socket, or refuse it."""
        if model.is_closed:
            return
        stands_until = self.scenario.unstalled(self.now)
        if stands_until > self.now:
            self.at(stands_until, self.lose_model, model, why)
            return
        model.close()
        if model is self._standby:
            self.give(
                "standby session lost", self.call.receive_disconnect, Leg.STANDBY, why
            )
        else:
            self.give("model lost", self.call.receive_disconnect, Leg.OPENAI, why)

    def give(self, what: Any, receive: Callable[..., list[Any]], *args: Any) -> None:
        """Give the call an input, check the invariants, and perform the actions."""
        stands_until = self.scenario.unstalled(self.now)
        if stands_until > self.now and what is not None:
            self.at(stands_until, self.give, what, receive, *args)
            return
        self.invariants.before(what, self.now)
        actions = list(twilio.messages_of(receive(*args, self.now)))
        if self.story is not None:
            self._tell(what, actions)
        if (
            type(what) is openai.Committed
            and self.plan.options.turn_detection != "gate"
        ):
            self.invariants.note_committed(self.now)
        self.invariants.after(what, actions, self.now)
        for action in actions:
            _PERFORM[type(action)](self, action)
        if self.scenario.is_calm and self.invariants.cuts:
            for part, heard_ms in self.invariants.cuts:
                self.after(COMPARE_S, self._compare, part, heard_ms)

    # --- what the bridge does ---

    def _new_model(self) -> Model:
        scenario = self.scenario
        down, up = Wire(self, scenario.model_down), Wire(self, scenario.model_up)
        # Ids are unique over both parts of a call.
        number = len(self.models) + (SECOND_PART if self.plan.resumed else 0)
        model = Model(self, number, to_bridge=down, to_model=up)
        self.models.append(model)
        takes_s = scenario.rng.uniform(0.05, 0.5)
        chance = scenario.rng.random() if scenario.is_fault else 1.0
        if chance < 0.05:
            self.after(takes_s, self.lose_model, model)
        elif chance < 0.15:
            self.after(takes_s, self.refuse_model, model)
        elif chance > 0.17 or not scenario.is_fault:  # else no answer ever comes
            self.after(takes_s, model.start)
        return model

    def refuse_model(self, model: Model) -> None:
        """Refuse a handshake, with an HTTP status or without."""
        rng = self.scenario.rng
        status = rng.choice((0, 429, 500, 503, 503, 401))
        after_s = rng.choice((0.0, 0.0, 1.0, 60.0))
        self.lose_model(
            model, Refusal(reason="no", status=status, retry_after_s=after_s)
        )

    def _open_again(self, action: OpenModel) -> None:
        check(self._standby is None, "the next session is closed, or it serves")
        self._serving.close()
        self._serving = self._new_model()

    def _open_standby(self, action: OpenStandby) -> None:
        check(self._standby is None, "one session follows another")
        check(
            not self._serving.is_closed, "a session is prepared beside one that serves"
        )
        self._standby = self._new_model()

    def _to_standby(self, action: ToStandby) -> None:
        standby, kind = self._standby, type(action.event)
        assert standby is not None, "there is no second session"
        is_set_up = kind in (openai.SessionUpdate, openai.CreateItem)
        check(is_set_up, "what does not serve is only set up", kind)
        standby.to_model.send(standby.receive, action.event)

    def _use_standby(self, action: UseStandby) -> None:
        assert self._standby is not None, "there is no second session"
        is_left = self._serving.is_breaking or self.call.recovery.failures
        if not self._serving.is_closed and not is_left:
            check(not self._serving.is_at_work, "a session is left between turns")
        self._serving.close()
        self._serving, self._standby = self._standby, None
        are_open = sum(not model.is_closed for model in self.models)
        check(are_open <= 1, "there is one session after the change", are_open)

    def _close_standby(self, action: CloseStandby) -> None:
        assert self._standby is not None, "there is no second session"
        self._standby.close()
        self._standby = None

    def _model_takes(self, event: Any) -> None:
        model = self._serving
        model.to_model.send(model.receive, event)

    def _play(self, message: twilio.OutboundMedia) -> None:
        check(message.stream_sid == STREAM_SID, "the stream's own sid")
        self._to_phone.send(self.phone.play, self.invariants.sent_part())

    def play_passed(self) -> None:
        """Have the phone play a frame of an operator."""
        self.invariants.note_passed(self.now)
        self._to_phone.send(self.phone.play, PERSON)

    def _mark(self, message: twilio.OutboundMark) -> None:
        check(bool(message.mark.name), "a mark has a name")
        self._to_phone.send(self.phone.mark, message.mark.name)

    def _clear(self, message: twilio.Clear) -> None:
        self._to_phone.send(self.phone.clear)

    def _transcribe(self, portion: Transcribe) -> None:
        assert self.operator is not None, "there is no operator"
        self.operator.transcribe(portion)

    def _run_tool(self, asked: RunTool) -> None:
        rng = self.scenario.rng
        missing = rng.choice((None, (), ("name",)))
        result = ToolResult(
            tool_call_id=asked.tool_call_id,
            name=asked.name,
            arguments=asked.arguments,
            output="{}",
            ok=True,
            duration_ms=1.0,
            missing_fields=missing,
        )
        takes_s = rng.choice((0.0, 0.01, 0.3, 1.5, 5.0))
        self.after(takes_s, self.give, result, self.call.receive_tool_result, result)

    def _hang_up(self, action: HangUp) -> None:
        self._over_at = self.now
        self.phone.close()
        for model in self.models:
            if model is not self._serving or not self.call.awaits_words:
                model.close()

    def _log(self, line: Log) -> None:
        check(len(line.text) < 2_000, "a line is a line")

    def _compare(self, part: Part, told_ms: int) -> None:
        """Compare what the model was told was heard with the caller's recording."""
        heard_ms = self.phone.heard_ms(part)
        is_right = abs(heard_ms - told_ms) <= HEARD_MS
        check(is_right, "what was heard is right to 60 ms", part, told_ms, heard_ms)

    def _tell(self, what: Any, actions: list[Any]) -> None:
        assert self.story is not None
        dull = (openai.AppendAudio, twilio.OutboundMedia)
        done = [action for action in actions if type(action) not in dull]
        given = sum(type(action) is openai.AppendAudio for action in actions)
        sent = sum(type(action) is twilio.OutboundMedia for action in actions)
        if type(what) is twilio.Media and not done and sent == 0:
            return
        text = repr(what) if type(what) is not twilio.Media else "Media"
        self.story.append(
            f"{self.now:9.4f} {self.call.phase.value:8} {text[:150]}"
            f" -> given={given} sent={sent} {repr(done)[:400]}"
        )


_PERFORM: dict[type, Callable[[World, Any], None]] = {
    twilio.OutboundMedia: World._play,
    twilio.OutboundMark: World._mark,
    twilio.Clear: World._clear,
    openai.AppendAudio: World._model_takes,
    openai.CommitAudio: World._model_takes,
    openai.ClearAudio: World._model_takes,
    openai.SessionUpdate: World._model_takes,
    openai.CreateItem: World._model_takes,
    openai.ConversationItemTruncate: World._model_takes,
    openai.ResponseCreate: World._model_takes,
    openai.ResponseCancel: World._model_takes,
    Log: World._log,
    RunTool: World._run_tool,
    Transcribe: World._transcribe,
    OpenModel: World._open_again,
    OpenStandby: World._open_standby,
    ToStandby: World._to_standby,
    UseStandby: World._use_standby,
    CloseStandby: World._close_standby,
    HangUp: World._hang_up,
}
