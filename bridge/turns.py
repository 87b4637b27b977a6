"""Turns: when the bridge itself ends a turn of the caller's.

In `gate` mode that is how every turn ends. In the VAD modes the server ends them.
"""

from typing import TYPE_CHECKING

from bridge import openai

if TYPE_CHECKING:
    from bridge.call import Call


def consider_end(call: "Call") -> None:
    """In `gate` mode: commit after enough quiet, and ask for the answer."""
    options, uplink = call.plan.options, call.uplink
    if options.turn_detection != "gate" or uplink.quiet_ms < options.turn_silence_ms:
        return
    if uplink.is_worth_committing:
        call.actions.append(openai.CommitAudio())
        call.unwritten.ask(uplink)
        if call.is_talking:  # a goodbye is not answered
            call.request()
    else:
        call.actions.append(openai.ClearAudio())
        call.unwritten.clear(uplink)
    uplink.close_turn()
    uplink.note_committed()
