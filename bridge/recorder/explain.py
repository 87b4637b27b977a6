"""Explains in words for a person what a call decided at each message.

`of_step` reads one recorded step, and needs nothing else. `Watch` observes a replayed
call and adds what only the core knows: why the feed was held, why voice over the AI did
not interrupt it, when turns and playout began and ended. `Watch` decides nothing.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from bridge.call.barge_in import EVIDENCE_FRAMES
from bridge.call.machine import Call
from bridge.recorder.recording import Step

# The start of the call's log lines that report a decision, and the decision.
_LINES = (
    ("[BARGE_IN] false alarm", "went on"),
    ("[BARGE_IN]", "interrupted"),
    ("[DTMF]", "keypad"),
    ("[OPERATOR]", "operator"),
    ("[REALTIME] Greeting sent", "greeting asked"),
    ("[REALTIME] Greeting begins", "greeted"),
    ("[REALTIME] Session configured", "session ready"),
    ("[REALTIME] Caller said", "caller said"),
    ("[REALTIME] AI said", "AI said"),
)
# The model's events that start and stop things.
_EVENTS = {
    "input_audio_buffer.speech_started": "model hears voice",
    "input_audio_buffer.speech_stopped": "model hears the end",
    "response.created": "answer begins",
    "response.done": "answer complete",
}
# Actions that concern the session itself, and what they decide.
_SESSIONS = {
    "open_model": "model reopened",
    "open_standby": "next session asked",
    "use_standby": "session changed",
    "close_standby": "next session given up",
}
_CAUSES = {
    "receive_timeout": "a timer",
    "receive_tool_result": "a tool's answer",
    "receive_disconnect": "a lost leg",
    "receive_limit": "a limit of the business",
    "receive_transport": "the caller's connection",
    "receive_hangup": "an order from outside",
    "receive_operator_audio": "an operator's voice",
    "receive_operator_words": "an operator's words",
}


class Decision(NamedTuple):
    """One thing that started, stopped or was decided, and why; time in s."""

    at_s: float
    what: str
    why: str


def of_step(step: Step, opened_at: float, timers: str = "") -> Iterator[Decision]:
    """Return the decisions at one recorded message; `timers` are the due timers."""
    cause = f"a timer: {timers}" if timers else _cause(step)
    at_s = step.now - opened_at
    message = _message(step)
    kind = message.get("type", "")
    if kind in _EVENTS:
        yield Decision(at_s, _EVENTS[kind], _detail(message))
    if step.method == "receive_disconnect":
        leg, why = step.what
        if isinstance(why, dict):
            yield Decision(at_s, f"{leg} leg refused", str(why["reason"]))
        else:
            yield Decision(at_s, f"{leg} leg lost", str(why))
    if step.actions is None:
        yield Decision(at_s, "bridge failed", f"at {cause}: a bug of ours")
    for action in step.actions or ():
        found = _of_action(action, cause)
        if found is not None:
            yield Decision(at_s, *found)


def _of_action(action: dict[str, Any], cause: str) -> tuple[str, str] | None:
    if "log" in action:
        return _of_line(*action["log"])
    if "run_tool" in action:
        return "tool asked", str(action["run_tool"][1])
    for name, what in _SESSIONS.items():
        if name in action:
            return what, str(action[name][0])
    if "hang_up" in action:
        return "ended", f"{action['hang_up'][0]}, on {cause}"
    kind = action.get("type")
    if kind == "response.create":
        return "answer asked", f"on {cause}"
    if kind == "input_audio_buffer.commit":
        return "turn committed", f"on {cause}"
    if kind == "input_audio_buffer.clear":
        return "turn dropped", "too little speech for an answer"
    return None


def _of_line(level: str, text: str, is_speech: bool) -> tuple[str, str] | None:
    for start, what in _LINES:
        if text.startswith(start):
            return what, text.removeprefix(start).lstrip(": ")
    return (level, text) if level in ("warning", "error") else None


def _cause(step: Step) -> str:
    """Return what came, by the vendor's name for it."""
    message = _message(step)
    name = message.get("type") or message.get("event")
    return str(name or _CAUSES.get(step.method, step.method.removeprefix("receive_")))


def _message(step: Step) -> dict[str, Any]:
    is_message = bool(step.what) and isinstance(step.what[0], dict)
    return step.what[0] if is_message else {}


def _detail(message: dict[str, Any]) -> str:
    """Return the offset or the id that tells one event from another."""
    response = message.get("response", {})
    for key in ("audio_start_ms", "audio_end_ms"):
        if key in message:
            return f"{key}={message[key]} of audio given"
    reason = (response.get("status_details") or {}).get("reason")
    named = f"{response.get('id', '')} {response.get('status', '')}".strip()
    return f"{named} ({reason})" if reason else named


class Watch:
    """Observes a call after each message, and reports what changed and why."""

    def __init__(self, call: Call, opened_at: float) -> None:
        self._call = call
        self._opened_at = opened_at
        self._was_playing = False
        self._tx_frames = 0
        self._was_held = False
        self._was_turn_open = False
        self._limit_told = ""

    def look(self, step: Step) -> Iterator[Decision]:
        """Return what this message changed inside the call."""
        call = self._call
        at_s = step.now - self._opened_at
        is_cleared = any(one.get("event") == "clear" for one in step.actions or ())
        for what, why in self._changes(step.now, is_cleared):
            yield Decision(at_s, what, why)
        is_playing = self._is_ai_heard(step.now)
        self._was_playing = is_playing and not is_cleared
        self._tx_frames = call.playout.frames_sent
        self._was_held = call.playout.is_held
        self._was_turn_open = call.uplink.is_turn_open

    def _changes(self, now: float, is_cleared: bool) -> Iterator[tuple[str, str]]:
        call, uplink = self._call, self._call.uplink
        is_playing = self._is_ai_heard(now)
        has_sent = call.playout.frames_sent > self._tx_frames
        if has_sent and is_playing and not self._was_playing:
            yield "AI audible", f"frame {call.playout.frames_sent} sent"
        if call.playout.is_held and not self._was_held:
            yield "AI held", f"{self._voice()}, AI audible {self._audible_ms(now)} ms"
        if self._was_playing and not is_playing and not is_cleared:
            yield "AI silent", "all that was sent has been heard"
        if uplink.is_turn_open and not self._was_turn_open:
            yield "turn opens", self._gate()
        if self._was_turn_open and not uplink.is_turn_open:
            yield "turn ends", f"quiet for {uplink.quiet_ms} ms"
        why_not = self._why_not(now, is_playing, is_cleared)
        if why_not:
            yield "not interrupted", why_not

    def _is_ai_heard(self, now: float) -> bool:
        """Tell whether the caller hears the AI; what an operator says has no sign."""
        is_passing = self._call.playout.is_passing
        return not is_passing and self._call.playout.is_playing(now)

    def _why_not(self, now: float, is_playing: bool, is_cleared: bool) -> str:
        """Say what keeps voice over the AI from interrupting, once while it does."""
        is_voice = self._call.uplink.voice.own_frames >= EVIDENCE_FRAMES
        limit = ""
        if is_voice and is_playing and not is_cleared:
            limit = self._limit(now)
        is_told = not limit or limit.split(":")[0] == self._limit_told
        self._limit_told = limit.split(":")[0]
        return "" if is_told else f"{limit}; {self._voice()}"

    def _limit(self, now: float) -> str:
        """Return why the caller cannot interrupt now, or an empty text."""
        if not self._call.is_talking:
            return "the call is ending"
        soon = self._call.barge_in.too_soon(now, self._call.playout.audible_since)
        if soon is None:
            return ""
        rule, passed_ms, of_ms = soon
        since = "AI audible " if rule == "grace" else ""
        return f"{rule}: {since}{passed_ms:.0f} of {of_ms} ms"

    def _audible_ms(self, now: float) -> int:
        return round((now - self._call.playout.audible_since) * 1e3)

    def _voice(self) -> str:
        frames = self._call.uplink.voice.own_frames
        needed = self._call.barge_in.frames_needed
        return f"voice {frames:g} of {needed} frames ({self._gate()})"

    def _gate(self) -> str:
        gate = self._call.uplink.gate
        return f"rms={gate.rms:.0f} snr={gate.snr_db:.1f}"
