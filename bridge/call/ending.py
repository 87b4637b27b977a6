"""Ending: how a call ends, and who may end it.

`Ending` is what a call knows about its own end; the functions below it carry it out:
the silent caller, the last words, the failures. A call that ends with `fail` lets the
caller hear the fallback sentence.
"""

from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec

from bridge.call import last_turn, limits, session_config, tool_answers
from bridge.call.floor import Due
from bridge.call.plan import (
    ERROR_CHARS_MAX,
    CallPlan,
    End,
    Fail,
    HangUp,
    Leg,
    Log,
    Phase,
    ToolResult,
)
from bridge.call.silence import Verdict
from bridge.call.streams import CALLER_LOST
from bridge.telephony import twilio

if TYPE_CHECKING:
    from bridge.call.machine import Call

END_CALL = "end_call"
LEFT_BY_CALLER = ("caller_hung_up", CALLER_LOST)
# A peer that sends this much rubbish is broken.
MALFORMED_MAX = 50


class EndCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of `end_call`."""

    reason: Literal["completed", "goodbye", "declined"] = "completed"


class Wish(NamedTuple):
    """An `end_call` that is not decided yet."""

    arguments: str
    response_id: str


class Ending:
    """What one call knows about its own end."""

    def __init__(self, plan: CallPlan) -> None:
        self.missing = plan.missing_fields
        self.reason = ""
        # Why the last words are being said, whoever hangs up in them.
        self.goodbye_reason = ""
        # Nothing that the caller has said can get words any more.
        self.is_written = True
        self.failed = False
        # The item at which a loop was corrected.
        self.corrected_loop: str | None = None
        # By the tool call's id; those that the caller has interrupted are `stopped`.
        self.wishes: dict[str, Wish] = {}
        self.stopped: set[str] = set()

    def learn(self, result: ToolResult) -> None:
        """Take from a tool's result which required fields are still missing."""
        if result.missing_fields is not None:
            self.missing = result.missing_fields

    def wish(self, tool_call_id: str, arguments: str, response_id: str) -> None:
        """Take the model's wish to end the call, for `decide` to answer later."""
        self.wishes[tool_call_id] = Wish(arguments, response_id)

    def stop(self) -> None:
        """The caller has interrupted: no wish of before is honoured."""
        self.stopped |= self.wishes.keys()

    def decide(
        self, tool_call_id: str, arguments: str, *, is_stopped: bool = False
    ) -> ToolResult:
        """Answer the model's wish to end the call.

        It is honoured when the business has what it requires, or when the caller said
        goodbye or declined; else the model learns what is missing. Who has stopped the
        response by speaking is not hung up on.
        """
        ok, output = self._judge(arguments, is_stopped)
        return ToolResult(
            tool_call_id=tool_call_id,
            name=END_CALL,
            arguments=arguments,
            output=msgspec.json.encode(output).decode(),
            ok=ok,
            duration_ms=0.0,
        )

    def _judge(
        self, arguments: str, is_stopped: bool
    ) -> tuple[bool, dict[str, object]]:
        if is_stopped:
            return False, {"error": "the caller interrupted: listen first"}
        try:
            asked = msgspec.json.decode(arguments, type=EndCall)
        except msgspec.ValidationError as error:
            return False, {"error": f"end_call: {error}"}
        except msgspec.DecodeError as error:
            return False, {"error": f"end_call: arguments are no JSON: {error}"}
        if asked.reason == "completed" and self.missing:
            missing = list(self.missing)
            return False, {"error": "required fields are missing", "missing": missing}
        self.reason = f"end_call:{asked.reason}"
        return True, {"ok": True}


def on_idle(call: "Call") -> None:
    """Ask a silent caller once whether they are there; then end politely."""
    verdict = call.silence.look(
        call.now,
        call.call_record.active_at,
        call.playout.ends_at(),
        is_at_work=call.responses.is_busy or bool(call.tool_calls.open),
    )
    if verdict is Verdict.ASK:
        call.request(session_config.still_there())
    elif verdict is Verdict.END:
        end_politely(call, "silence")


def on_limit(call: "Call", what: tuple[str, float]) -> None:
    """A limit of the business leaves the call so many seconds: warn, then end."""
    limit, left_s = what
    if not call.is_talking or call.time_limit.limit:
        return
    left_s = call.time_limit.shorten(limit, left_s, call.now)
    call.info(f"[LIMIT] {limit}: the call ends in {left_s:.0f} s")


def on_time_up(call: "Call") -> None:
    """The call has lasted as long as it may."""
    end_politely(call, call.time_limit.reason)


def on_warning_due(call: "Call") -> None:
    """Have the model say, in the next pause, that the call must end soon."""
    if not call.is_talking or call.time_limit.has_warned:
        return
    if call.responses.is_busy or call.playout.is_playing(call.now):
        call.time_limit.put_off(call.now)
    else:
        call.when_free(Due.WARNING)


def warn(call: "Call") -> None:
    """The floor is free: have the model say that the call must end soon."""
    call.time_limit.note_warned()
    call.request(session_config.closing_soon())


def consider_wishes(call: "Call", *, is_late: bool = False) -> None:
    """Decide on the model's wishes to end, once all else it asked for has answered.

    What is still missing may be in a tool call of the same response, before or after.
    Whoever speaks by the time that a slow tool has answered is listened to first.
    """
    wishes = call.ending.wishes
    responses = call.responses
    if not wishes or call.tool_calls.open - wishes.keys():
        return
    if any(wish.response_id == responses.active_id for wish in wishes.values()):
        return
    call.ending.wishes = {}
    for tool_call_id, wish in wishes.items():
        is_stopped = (
            tool_call_id in call.ending.stopped
            or responses.is_cancelled(wish.response_id)
            or (is_late and call.has_caller_floor)
        )
        result = call.ending.decide(tool_call_id, wish.arguments, is_stopped=is_stopped)
        if result.ok and call.is_talking:
            _leave(call)
        tool_answers.give_result(call, result)
    if call.phase is Phase.ENDING:
        say_last_words(call)
        _speak_on(call)


def _leave(call: "Call") -> None:
    """Leave the conversation; the last words are still to be heard."""
    call.enter(Phase.ENDING)
    call.timers.clear()
    call.actions += call.sessions.let_go("the call ends")
    call.last_words.begin(call.now)


def _speak_on(call: "Call") -> None:
    """Nobody interrupts any more: what was held goes on."""
    if call.phase is not Phase.ENDED:
        call.playout.resume()
        call.feed()


def end_politely(call: "Call", reason: str) -> None:
    """End the call with a goodbye, or at once where nobody could hear it."""
    if call.phase is Phase.ENDING:
        return
    if not call.is_talking:
        end(call, reason)
        return
    call.ending.reason = reason
    ask_goodbye(call)
    _leave(call)
    _speak_on(call)


def say_last_words(call: "Call") -> None:
    """After a response: hang up once it is heard, or ask for a goodbye first."""
    if call.phase is not Phase.ENDING or call.responses.is_busy:
        return
    is_speaking = call.playout.is_playing(call.now) or call.playout.has_unsent
    if is_speaking or call.last_words.is_asked:
        hang_up_when_heard(call)
        return
    ask_goodbye(call)


def ask_goodbye(call: "Call") -> None:
    """Ask for the last words."""
    call.last_words.note_asked()
    call.request(session_config.goodbye(call.ending.reason))


def hang_up_when_heard(call: "Call") -> None:
    """Hang up if the last words were heard; else wait for their mark, not for ever."""
    if call.phase is not Phase.ENDING or call.responses.is_busy:
        return
    if call.playout.has_unsent:
        return
    if call.playout.marks_in_flight == 0 and not call.playout.is_playing(call.now):
        end(call, call.ending.reason)
        return
    call.last_words.await_mark(call.playout.ends_at())


def on_last_words_over(call: "Call") -> None:
    """Hang up without the mark or the goodbye that did not come."""
    playout = call.playout
    is_speaking = playout.deadline is not None or playout.ends_at() > call.now
    if call.last_words.are_over(call.now, is_speaking=is_speaking):
        end(call, call.ending.reason)


def end(call: "Call", reason: str) -> None:
    """End the call now; unheard turns are cut to what was heard."""
    has_left = reason in LEFT_BY_CALLER
    for cut in call.playout.interrupt(call.now, has_left=has_left):
        call.call_record.transcript.cut(cut)
    if call.phase is Phase.ENDING:
        call.ending.goodbye_reason = call.ending.reason
    call.ending.reason = reason
    call.enter(Phase.ENDED)
    call.timers.clear()
    last_turn.commit(call, reason)
    call.actions += limits.lines(call)
    call.actions.append(call.call_record.stop_line(call, reason))
    if call.call_record.is_answered and call.playout.frames_sent == 0:
        call.actions.append(Log("error", "tx=0: the caller heard nothing"))
    call.actions.append(HangUp(reason, call.ending.failed))


def on_mark(call: "Call", message: twilio.Mark) -> None:
    """Twilio has played to a mark: the last words may have been heard."""
    if call.playout.receive_mark(message.mark.name, call.now):
        hang_up_when_heard(call)
    else:
        on_malformed(call, (Leg.TWILIO, "expected a mark we sent, once"))


def on_stop(call: "Call", message: twilio.Stop) -> None:
    """The caller has hung up."""
    end(call, "caller_hung_up")


def fail(call: "Call", reason: str, text: str) -> None:
    """End the call so that the caller hears the fallback sentence."""
    call.log(Log("error", f"[REALTIME] {reason}: {text[:ERROR_CHARS_MAX]}"))
    call.ending.failed = True
    end(call, reason)


def obey(call: "Call", order: End | Fail) -> None:
    """End the call, for an owner has decided so."""
    if isinstance(order, Fail):
        fail(call, order.reason, order.text)
    else:
        end(call, order.reason)


def on_malformed(call: "Call", what: tuple[Leg, str]) -> None:
    """Count a message that could not be read; log the first, end past the limit."""
    leg, error = what
    name = f"malformed_{leg.value}"
    count = getattr(call.counters, name) + 1
    setattr(call.counters, name, count)
    if leg is Leg.TWILIO:
        call.fast_path.note_malformed()
    if count == 1:
        call.log(Log("warning", f"dropped from {leg.value}: {error}"))
    elif count > MALFORMED_MAX:
        fail(call, name, f"more than {MALFORMED_MAX} malformed messages")


def on_unknown(call: "Call", what: tuple[Leg, str]) -> None:
    """Count a message of a type nobody here knows; log the first."""
    leg, kind = what
    name = f"unknown_{leg.value}"
    count = getattr(call.counters, name) + 1
    setattr(call.counters, name, count)
    if count == 1:
        call.log(Log("info", f"unknown type from {leg.value}: {kind[:64]}"))
