"""Turns: when the bridge itself ends a turn of the caller's.

In `gate` mode the bridge ends every turn. In the VAD modes the server ends and answers
them. The server may not hear a turn, or not its end: the bridge ends such a turn after
its silence and a second more (`Uplink.is_unended`), and asks for the answer when the
server confirms the item. If the server ended the turn meanwhile, it has nothing to
commit and refuses, which does no harm.
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
        call.sessions.await_sign(call.now)
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
