"""Bad answers: how a call gets another answer where one failed or had no sound."""

from collections.abc import Callable

from bridge.call import (
    goodbye,
    hangup,
    interruption,
    session_config,
    session_rollover,
)
from bridge.call.floor import Due
from bridge.call.plan import ERROR_CHARS_MAX, Log, Phase
from bridge.call.recovery import RETRY_WAIT_S, Mute, Remedy
from bridge.call.state import CallState
from bridge.realtime import openai


def is_bad(call: CallState, response: openai.Response, *, is_announced: bool) -> bool:
    """Tell whether a response that has ended was bad; then ask for another one."""
    if response.status == "failed":
        details = response.status_details
        error = details.error if details is not None else None
        names = {error.code, error.type} if error is not None else set()
        text = f"response failed: {error.code or error.type}" if error else "it failed"
        _on_failed(call, names, text)
        return True
    kind = call.recovery.mute_kind(response)
    if kind is None:
        call.recovery.note_good()
        return False
    _on_mute(call, kind, is_announced=is_announced)
    return True


def _on_failed(
    call: CallState, names: set[str | None], text: str, wait_s: float = RETRY_WAIT_S
) -> None:
    """Ask for another answer after a failed one, or give up."""
    call.counters.failed_answers += 1
    if names & session_config.FATAL_CODES:
        hangup.fail(call, "model_failed", text)
        return
    remedy = call.recovery.note_failed(
        call.now,
        wait_s,
        is_ending=call.phase is Phase.ENDING,
        is_limited=bool(names & session_config.LIMITED_CODES),
    )
    call.log(Log("warning", f"[REALTIME] {text[:ERROR_CHARS_MAX]}: asking once more"))
    _REMEDIES[remedy](call, "model_failed", text)


def _on_mute(call: CallState, kind: Mute, *, is_announced: bool) -> None:
    name = f"mute_{kind.value}"
    setattr(call.counters, name, getattr(call.counters, name) + 1)
    remedy = call.recovery.note_mute(
        call.now, is_ending=call.phase is Phase.ENDING, is_announced=is_announced
    )
    text = f"an answer without sound: {kind.value}"
    call.log(Log("warning", f"[REALTIME] {text}"))
    if kind is Mute.SILENT:
        _drop_silence(call)
    _REMEDIES[remedy](call, "model_mute", text)


def _drop_silence(call: CallState) -> None:
    """Drop an answer of silence, so that the next speech does not wait for it."""
    if call.streams.sid and call.playout.is_playing(call.now):
        interruption.interrupt(call, "the answer is silent")
    elif not call.streams.sid:
        for cut in call.playout.interrupt(call.now):
            call.call_record.transcript.cut(cut)


def on_retry_due(call: CallState) -> None:
    """Ask once more, as soon as the caller has ended."""
    if call.take_floor(Due.SECOND_TRY):
        ask_again(call)


def ask_again(call: CallState) -> None:
    """Ask once more for a bad answer, unless another one takes its place."""
    if call.responses.is_busy:
        return  # the second try runs
    is_own = call.recovery.is_own_due
    if call.phase is Phase.ENDING:
        goodbye.ask_goodbye(call)
    elif call.greeting.is_due:
        if is_own:  # from here on the caller is heard
            call.greeting.end()
        ask_for = session_config.own_greeting if is_own else session_config.first_words
        call.request(ask_for(call.plan))
    elif call.tool_calls.open:
        return  # the tools' answer is the second try
    elif call.is_talking:
        call.request(
            session_config.say_again(call.plan) if is_own else call.responses.params
        )


def on_error(call: CallState, error: openai.ErrorBody, text: str) -> None:
    """Act on an error that may have cost an answer.

    An error that names the request costs it at once. Others are watched.
    """
    responses = call.responses
    if error.event_id is not None and error.event_id == responses.asked_id:
        is_wanted = responses.is_wanted
        call.ask(responses.note_refused(error.event_id, call.now, try_again=False))
        if is_wanted:
            _on_failed(call, {error.code, error.type}, text)
        return
    # An error about another event that the bridge sent costs no answer.
    is_about_event = session_config.is_refusal(error)
    is_about_item = (error.code or "").startswith("item_")
    is_nobodys = error.event_id is None and not is_about_event and not is_about_item
    if responses.is_busy and is_nobodys:
        watch(call, text)


def watch(call: CallState, text: str) -> None:
    """Watch whether the running answer goes on after an error."""
    responses = call.responses
    call.recovery.watch(responses.active_id, responses.asked_id, text, call.now)


def on_error_unfollowed(call: CallState) -> None:
    """Give up an answer that has sent nothing since an error."""
    responses = call.responses
    if not call.is_session_ready or not (responses.is_busy or responses.is_waiting):
        call.recovery.forget()
        return
    text = call.recovery.look(responses.active_id, responses.asked_id, call.now)
    if text is not None:
        call.cancel_answer()
        call.ask(responses.give_up(call.now))
        _on_failed(call, set(), f"no answer after {text}", wait_s=0.0)


_REMEDIES: dict[Remedy, Callable[[CallState, str, str], None]] = {
    Remedy.WAIT: lambda call, _, text: None,  # until RETRY is due
    Remedy.ASK: lambda call, _, text: on_retry_due(call),
    Remedy.OTHER_SESSION: lambda call, _, text: session_rollover.on_lost(call, text),
    Remedy.HANG_UP: lambda call, _, text: hangup.hang_up_when_heard(call),
    Remedy.FAIL: hangup.fail,
}
