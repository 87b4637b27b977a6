"""Greeting: the first words of a call, and the moment from which it talks.

The model is asked for them as soon as its session is ready; what it has said when the
caller comes waits in the ledger.
"""

from typing import TYPE_CHECKING

from bridge.call import session_config
from bridge.call.plan import Log, Phase
from bridge.call.timers import Timer

if TYPE_CHECKING:
    from bridge.call.machine import Call

# A caller is not left unheard for a greeting that never comes.
GREETING_WAIT_S = 8.0


def greet_when_ready(call: "Call") -> None:
    """Ask for the greeting once the model is there; talk once both sides are."""
    if not call.is_session_ready:
        return
    if call.is_greeting_due and not call.is_greeting_asked:
        call.is_greeting_asked = True
        call.request(session_config.greeting(call.plan))
        call.info("[REALTIME] Greeting sent")
    if not call.stream_sid:
        return
    call.phase = Phase.TALKING
    call.timers.set(Timer.IDLE, call.now + call.plan.options.idle_prompt_ms / 1e3)
    if call.is_greeting_due:
        call.timers.set(Timer.GREETING, call.now + GREETING_WAIT_S)
    call.feed()


def on_greeting_late(call: "Call") -> None:
    """Listen to the caller without having greeted him."""
    if call.is_greeting_due:
        call.is_greeting_due = False
        call.log(Log("warning", "[REALTIME] No greeting came: listening"))
