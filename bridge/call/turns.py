"""Turns: when the bridge itself ends a turn of the caller's.

In `gate` mode that is how every turn ends. In the VAD modes the server ends them, and
answers; a turn that it does not hear, or not the end of, is ended here after the turn's
silence and a second more (`Uplink.is_unended`). Its answer is asked for when the server
says that it made an item: a turn that it has ended meanwhile, and answers, leaves
nothing to commit, which it refuses without harm.
"""

from bridge.call.state import CallState
from bridge.realtime import openai


def end_turn(call: CallState) -> None:
    """Commit the turn that has ended; in `gate` mode, ask for the answer."""
    uplink = call.uplink
    is_gate = call.plan.options.turn_detection == "gate"
    if uplink.is_worth_committing:
        call.tell(openai.CommitAudio())
        call.untranscribed.ask(uplink)
        if not is_gate:
            call.info("[REALTIME] A turn whose end the model did not hear: committed")
        elif call.is_talking:  # a goodbye is not answered
            call.request()
    elif is_gate:
        call.tell(openai.ClearAudio())
        call.untranscribed.clear(uplink)
    uplink.close_turn()
    if is_gate:
        uplink.note_committed()
