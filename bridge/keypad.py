"""Keypad: collects digits typed in a row; `#` or a pause ends them (PRODUCT §2).

The first digit silences the AI; the model is told of the row when it has ended.
"""

from typing import TYPE_CHECKING

from bridge import interruption, session, twilio
from bridge.plan import Phase
from bridge.timers import Timer

if TYPE_CHECKING:
    from bridge.call import Call

PAUSE_S = 1.5
# Longer than any card or account number; more is a stuck key.
DIGITS_MAX = 32


class Keypad:
    """The digits the model has not been told of yet."""

    def __init__(self) -> None:
        self._digits = ""
        self.dropped_digits = 0

    def press(self, digit: str, now: float) -> float:
        """Add a digit and return when the row has ended, if no other follows."""
        if len(self._digits) >= DIGITS_MAX:
            self.dropped_digits += 1
        else:
            self._digits += digit
        return now if digit == "#" else now + PAUSE_S

    @property
    def has_digits(self) -> bool:
        """Tell whether a row has begun."""
        return bool(self._digits)

    def take(self) -> str:
        """Return the row and begin a new one."""
        digits, self._digits = self._digits, ""
        return digits


def on_digit(call: "Call", message: twilio.Dtmf) -> None:
    """Take a digit; it interrupts the AI."""
    call.counters.digits += 1
    call.info("[DTMF] digit received")
    call.notes.caller_spoke(call.now)
    call.timers.set(Timer.KEYPAD, call.keypad.press(message.dtmf.digit, call.now))
    _silence(call)


def on_pause(call: "Call") -> None:
    """Tell the model what was typed, and have it answer."""
    if call.phase is Phase.WAITING:
        call.timers.set(Timer.KEYPAD, call.now + PAUSE_S)
    if not call.is_talking:
        return
    digits = call.keypad.take()
    _silence(call)
    call.info(f"[DTMF] {len(digits)} to the model")
    call.notes.digits_pressed(digits, call.now)
    call.tell(session.keypad(digits))
    call.request()


def _silence(call: "Call") -> None:
    if call.is_talking and call.playout.is_playing(call.now):
        interruption.interrupt(call, "caller pressed a key")
