"""Conversation start: what a call does once the model and the caller are connected."""

from bridge.call import goodbye, greeting, session_config, speech
from bridge.call.plan import Log, Phase
from bridge.call.state import CallState


def greet_when_ready(call: CallState) -> None:
    """Ask for the greeting once the model is ready; talk once both sides are."""
    if not call.is_session_ready:
        return
    if call.greeting.state is greeting.State.DUE:
        _ask_for_first_words(call)
    if not call.streams.sid:
        return
    call.enter(Phase.TALKING)
    call.silence.begin(call.now)
    call.greeting.wait(call.now)
    speech.feed(call)
    resumed = call.plan.resumed
    if resumed is not None and resumed.end_reason:
        goodbye.end_as_begun(call, resumed.end_reason)


def _ask_for_first_words(call: CallState) -> None:
    """Ask for the greeting, or for an apology in a call that another process has led.

    What had to be answered when that process was lost is answered next.
    """
    resumed = call.plan.resumed
    call.greeting.note_asked()
    call.request(session_config.first_words(call.plan))
    if resumed is None or not resumed.is_greeted:
        call.info("[REALTIME] Greeting sent")
        return
    if resumed.is_answer_due and not resumed.end_reason:
        call.request()
    call.info("[REALTIME] Apology sent: another process has lost the line")


def on_greeting_late(call: CallState) -> None:
    """Listen to the caller although no greeting came."""
    call.greeting.end()
    call.log(Log("warning", "[REALTIME] No greeting came: listening"))


def begin_anew(call: CallState) -> None:
    """Drop the unheard greeting: another session greets from the beginning."""
    for cut in call.playout.interrupt(call.now):
        call.call_record.transcript.cut(cut)
    call.responses.begin_anew()
    if call.greeting.state is greeting.State.ASKED:
        call.greeting.note_lost()
