"""Dtmf: what a call does with the keys that the caller presses.

The first digit stops the AI. The model is given the row of digits when it has ended.
"""

from bridge.call import bad_messages, interruption, session_config
from bridge.call.plan import Leg, Phase
from bridge.call.state import CallState
from bridge.telephony import twilio


def on_digit(call: CallState, message: twilio.Dtmf) -> None:
    """Take a digit; it interrupts the AI. A flood of them is malformed."""
    if call.keypad.is_flooded(call.now):
        bad_messages.on_malformed(
            call, (Leg.TWILIO, "expected at most 12 keys a second")
        )
        return
    call.counters.digits += 1
    call.info("[DTMF] digit received")
    call.call_record.caller_spoke(call.now)
    call.keypad.press(message.dtmf.digit, call.now)
    _silence(call)


def on_pause(call: CallState) -> None:
    """Give the model the digits, and ask for an answer."""
    if call.phase is Phase.WAITING:
        call.keypad.put_off(call.now)
    if not call.is_talking:
        return
    digits = call.keypad.take()
    _silence(call)
    call.info(f"[DTMF] {len(digits)} to the model")
    call.call_record.digits_pressed(digits, call.now)
    call.tell(session_config.keypad(digits))
    call.request()


def _silence(call: CallState) -> None:
    if call.is_talking and call.playout.is_playing(call.now):
        interruption.interrupt(call, "caller pressed a key")
