"""Floor: what we would have the model say waits until the caller has ended.

A tool's answer, a second try or a warning that came into the caller's words would talk
over him. In the VAD modes the server answers his turn by itself, with what the tools
have said; what is still due then is done in the next pause. A line that is never quiet,
for music or a television, is not waited for longer than FLOOR_WAIT_S.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from bridge.call.timers import Timer

if TYPE_CHECKING:
    from bridge.call.machine import Call

FLOOR_WAIT_S = 8.0
LOOK_S = 0.1
# How much later than we the server may hear that his turn has ended, and say so.
HEAR_MS = 300

# What waits, and until when at the latest.
Waiting = dict[Callable[["Call"], None], float]


def is_callers(call: "Call") -> bool:
    """Tell whether the caller speaks, or awaits the server's answer to what he said."""
    options = call.plan.options
    is_his = call.uplink.is_turn_open
    if options.turn_detection != "semantic_vad":  # there, only the server knows
        is_his = is_his and call.uplink.quiet_ms < options.turn_silence_ms + HEAR_MS
    return is_his or call.responses.answer_by is not None


def when_free(call: "Call", act: Callable[["Call"], None]) -> None:
    """Do it now, or as soon as the caller leaves us the floor; once, if asked twice."""
    if not is_callers(call):
        call.waiting.pop(act, None)
        act(call)
        return
    call.waiting.setdefault(act, call.now + FLOOR_WAIT_S)
    call.timers.set(Timer.FLOOR, call.now + LOOK_S)


def on_look(call: "Call") -> None:
    """Do what may be done by now."""
    is_free = not is_callers(call)
    for act, latest in list(call.waiting.items()):
        if is_free or call.now >= latest:
            del call.waiting[act]
            act(call)
    if call.waiting:
        call.timers.set(Timer.FLOOR, call.now + LOOK_S)
