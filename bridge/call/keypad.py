"""Keypad: collects digits typed in a row; `#` or a pause ends them.

The first digit silences the AI; the model is told of the row when it has ended.
"""

from typing import TYPE_CHECKING

from bridge.call import ending, interruption, session_config
from bridge.call.plan import Leg, Phase
from bridge.call.timers import OwnTimers, Timer, Timers
from bridge.telephony import twilio

if TYPE_CHECKING:
    from bridge.call.machine import Call

PAUSE_S = 1.5
# Longer than any card or account number; more is a stuck key.
DIGITS_MAX = 32
# A key sounds for 40 ms at least and is quiet as long (ITU-T Q.24); the network may
# deliver a row of DIGITS_MAX at once. What comes faster was pressed by nobody.
KEY_S = 0.08


class Keypad:
    """The digits the model has not been told of yet."""

    def __init__(self, timers: Timers) -> None:
        self._timers = OwnTimers(timers, Timer.KEYPAD)
        self._digits = ""
        # When fingers could have pressed all the keys that came.
        self._pressed_by = 0.0
        self.dropped_digits = 0

    def is_flooded(self, now: float) -> bool:
        """Take note of a key; tell whether fingers could not have pressed it by now."""
        pressed_by = max(self._pressed_by, now) + KEY_S
        if pressed_by > now + (DIGITS_MAX + 0.5) * KEY_S:
            return True
        self._pressed_by = pressed_by
        return False

    def press(self, digit: str, now: float) -> None:
        """Add a digit; KEYPAD says when the row has ended, if no other follows."""
        if len(self._digits) >= DIGITS_MAX:
            self.dropped_digits += 1
        else:
            self._digits += digit
        self._timers.set(Timer.KEYPAD, now if digit == "#" else now + PAUSE_S)

    def put_off(self, now: float) -> None:
        """Nobody can take the row yet."""
        self._timers.set(Timer.KEYPAD, now + PAUSE_S)

    @property
    def has_digits(self) -> bool:
        """Tell whether a row has begun."""
        return bool(self._digits)

    def take(self) -> str:
        """Return the row and begin a new one."""
        digits, self._digits = self._digits, ""
        return digits


def on_digit(call: "Call", message: twilio.Dtmf) -> None:
    """Take a digit; it interrupts the AI. A flood of them is malformed."""
    if call.keypad.is_flooded(call.now):
        ending.on_malformed(call, (Leg.TWILIO, "expected at most 12 keys a second"))
        return
    call.counters.digits += 1
    call.info("[DTMF] digit received")
    call.call_record.caller_spoke(call.now)
    call.keypad.press(message.dtmf.digit, call.now)
    _silence(call)


def on_pause(call: "Call") -> None:
    """Tell the model what was typed, and have it answer."""
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


def _silence(call: "Call") -> None:
    if call.is_talking and call.playout.is_playing(call.now):
        interruption.interrupt(call, "caller pressed a key")
