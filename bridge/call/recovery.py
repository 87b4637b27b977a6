"""Recovery: what is done about an answer that fails, or of which nothing can be heard.

Theory of operation. A caller must hear something of every answer. So one without a
sound is as bad as a failed one, whatever the server calls it: empty, text alone,
filtered, out of tokens, an item that cannot be answered, digital silence, or an `error`
that no end of the answer follows. Of such answers in a row

    the first    is asked for once more (a failed one after a pause, and one that is
                 over a limit of the account's again and again, for no session helps);
    the second   is, without a sound, replaced by a sentence of ours; a failed one is
                 asked of another session, for this one may answer nothing but errors;
    the others   are asked of other sessions, up to FAILURES_MAX: then the call fails.

An answer that is heard, or calls a tool, begins the row anew. In the last words of a
call there is one more try, and then the end. `Recovery` holds what came of the answer
that runs; who asks, and when the caller leaves us the floor, is
`bridge.call.model_events`'s and `bridge.call.floor`'s.
"""

from enum import Enum
from typing import TYPE_CHECKING

from bridge.call import ending, floor, interruption, model_events, session_config
from bridge.call.plan import ERROR_CHARS_MAX, Log, Phase
from bridge.call.timers import Timer
from bridge.realtime import openai

if TYPE_CHECKING:
    from bridge.call.machine import Call

# Before a failed answer is asked for again: what failed at once fails at once again.
RETRY_WAIT_S = 1.0
# The same, once another session has failed, too.
RETRY_WAIT_LATER_S = 3.0
# An end of what was never announced: its announcement may still be on its way.
UNANNOUNCED_WAIT_S = 0.5
# An answer of which nothing has come for so long after an error will not come, and how
# often it is looked for.
ERROR_WAIT_S = 3.0
ERROR_LOOK_S = 0.5
FAILURES_MAX = 4
# Mu-law within 24 of 0: -62 dBFS and less.
SILENT = bytes((*range(0x7C, 0x80), *range(0xFC, 0x100)))


class Mute(Enum):
    """Why nothing of an answer can be heard."""

    EMPTY = "empty"
    TEXT = "text"
    FILTERED = "filtered"
    TOKENS = "tokens"
    NAMELESS = "nameless"
    CANCELLED = "cancelled"
    SILENT = "silent"


class Recovery:
    """What one call knows of the answer that runs, and of bad ones in a row."""

    def __init__(self) -> None:
        self.failures = 0
        self.has_sound = False
        self.has_tool = False
        self.is_nameless = False
        # What is asked for next is a sentence of ours, not the answer once more.
        self.is_own_due = False
        self._deltas = 0
        # What stood when an error came that may have cost an answer, and its text.
        self._watched: tuple[str | None, str | None, int] | None = None
        self._watched_at = 0.0
        self._error = ""

    def begin(self) -> None:
        """Another answer runs: nothing has come of it."""
        self.has_sound = self.has_tool = self.is_nameless = False
        self._deltas = 0

    def note_audio(self, audio: bytes) -> None:
        """A piece of the answer's sound has come."""
        self._deltas += 1
        if not self.has_sound:
            self.has_sound = bool(audio.strip(SILENT))

    def mute_kind(self, response: openai.Response) -> Mute | None:
        """Say why nothing of the answer that has ended was heard, if nothing was."""
        if self.has_sound or self.has_tool:
            return None
        details = response.status_details
        reason = details.reason if details is not None else None
        if response.status == "cancelled":
            return Mute.CANCELLED
        if reason == "content_filter":
            return Mute.FILTERED
        if response.status == "incomplete":
            return Mute.TOKENS
        if self.is_nameless:
            return Mute.NAMELESS
        if self._deltas:
            return Mute.SILENT
        return Mute.TEXT if response.has_text else Mute.EMPTY

    def watch(self, call: "Call", text: str) -> bool:
        """An error has come; tell whether it is the first since the answer went on."""
        progress, watched = self._progress(call), self._watched
        self._error = text
        if progress == watched:
            return False
        self._watched, self._watched_at = progress, call.now
        return True

    def forget(self) -> None:
        """Nothing is watched any more."""
        self._watched = None

    def unfollowed(self, call: "Call") -> str | None:
        """Return the error, if nothing has come of the answer for ERROR_WAIT_S."""
        self.watch(call, self._error)
        is_over = call.now >= self._watched_at + ERROR_WAIT_S
        return self._error if is_over else None

    def _progress(self, call: "Call") -> tuple[str | None, str | None, int]:
        return call.responses.active_id, call.responses.asked_id, self._deltas


def is_bad(call: "Call", response: openai.Response, *, is_announced: bool) -> bool:
    """Judge an answer that has ended by itself; see to another one if it was none."""
    if response.status == "failed":
        details = response.status_details
        error = details.error if details is not None else None
        names = {error.code, error.type} if error is not None else set()
        text = f"response failed: {error.code or error.type}" if error else "it failed"
        on_failed(call, names, text)
        return True
    kind = call.recovery.mute_kind(response)
    if kind is None:
        call.recovery.failures = 0
        return False
    _on_mute(call, kind, 0.0 if is_announced else UNANNOUNCED_WAIT_S)
    return True


def on_failed(
    call: "Call", names: set[str | None], text: str, wait_s: float = RETRY_WAIT_S
) -> None:
    """An answer has failed: have another one, or give up."""
    call.counters.failed_answers += 1
    if names & session_config.FATAL_CODES:
        ending.fail(call, "model_failed", text)
        return
    recovery = call.recovery
    recovery.failures += 1
    recovery.is_own_due = False
    call.log(Log("warning", f"[REALTIME] {text[:ERROR_CHARS_MAX]}: asking once more"))
    if _is_over(call, "model_failed", text):
        return
    is_limited = bool(names & session_config.LIMITED_CODES)
    if recovery.failures % 2 == 0 and not is_limited:
        call.lose_session(text)
        return
    if recovery.failures > 1:
        wait_s = RETRY_WAIT_LATER_S
    call.timers.set(Timer.RETRY, call.now + wait_s)


def _on_mute(call: "Call", kind: Mute, wait_s: float) -> None:
    name = f"mute_{kind.value}"
    setattr(call.counters, name, getattr(call.counters, name) + 1)
    call.recovery.failures += 1
    call.recovery.is_own_due = call.recovery.failures > 1
    text = f"an answer without sound: {kind.value}"
    call.log(Log("warning", f"[REALTIME] {text}"))
    if kind is Mute.SILENT:
        _drop_silence(call)
    if _is_over(call, "model_mute", text):
        return
    if call.recovery.failures > 2:
        call.lose_session(text)
    elif wait_s:
        call.timers.set(Timer.RETRY, call.now + wait_s)
    else:
        floor.when_free(call, ask_again)


def _is_over(call: "Call", reason: str, text: str) -> bool:
    """End the call where nothing more is tried; tell whether that is so."""
    failures = call.recovery.failures
    if call.phase is Phase.ENDING and failures > 1:
        ending.hang_up_when_heard(call)
        return True
    if failures > FAILURES_MAX:
        ending.fail(call, reason, text)
        return True
    return False


def _drop_silence(call: "Call") -> None:
    """Let what is said next not wait behind an answer of silence."""
    if call.streams.sid and call.playout.is_playing(call.now):
        interruption.interrupt(call, "the answer is silent")
    elif not call.streams.sid:
        for cut in call.playout.interrupt(call.now):
            call.notes.transcript.cut(cut)


def on_retry_due(call: "Call") -> None:
    """Ask once more, as soon as the caller leaves us the floor."""
    floor.when_free(call, ask_again)


def ask_again(call: "Call") -> None:
    """Ask once more for what was bad, unless other words come in its place."""
    if call.responses.is_busy:
        return  # what runs is the second try
    if call.phase is Phase.ENDING:
        ending.ask_goodbye(call)
    elif call.greeting.is_due:
        is_own = call.recovery.is_own_due
        if is_own:  # from here on, what the caller says is heard
            call.greeting.end()
        ask_for = session_config.own_greeting if is_own else session_config.greeting
        call.request(ask_for(call.plan))
    elif call.tool_calls.open:
        return  # the tools' answer is the second try
    elif call.is_talking:
        is_own = call.recovery.is_own_due
        call.request(
            session_config.say_again(call.plan) if is_own else call.responses.params
        )


def on_error(call: "Call", error: openai.ErrorBody, text: str) -> None:
    """An error that may have cost an answer: at once where it names what was asked."""
    responses = call.responses
    if error.event_id is not None and error.event_id == responses.asked_id:
        is_wanted = responses.is_wanted
        model_events.ask(call, responses.note_refused(error.event_id, try_again=False))
        if is_wanted:
            on_failed(call, {error.code, error.type}, text)
        return
    # What was wrong with an event of ours costs no answer.
    is_about_event = {error.code, error.type} & session_config.REFUSED_CODES
    is_about_item = (error.code or "").startswith("item_")
    is_nobodys = error.event_id is None and not is_about_event and not is_about_item
    if responses.is_busy and is_nobodys:
        watch(call, text)


def watch(call: "Call", text: str) -> None:
    """Look in ERROR_WAIT_S whether the answer goes on, that an error may have cost."""
    if call.recovery.watch(call, text):
        call.timers.set(Timer.ERROR, call.now + ERROR_LOOK_S)


def on_error_unfollowed(call: "Call") -> None:
    """Give up an answer of which nothing has come since an error."""
    responses = call.responses
    if not call.is_session_ready or not (responses.is_busy or responses.is_waiting):
        call.recovery.forget()
        return
    text = call.recovery.unfollowed(call)
    if text is None:
        call.timers.set(Timer.ERROR, call.now + ERROR_LOOK_S)
        return
    call.recovery.forget()
    call.actions += responses.cancel()
    model_events.ask(call, responses.give_up())
    on_failed(call, set(), f"no answer after {text}", wait_s=0.0)
