"""Keypad: collects digits typed in a row; `#` or a pause ends them.

`bridge.call.dtmf` says what the call does with them.
"""

from bridge.call.timers import OwnTimers, Timer, Timers

PAUSE_S = 1.5
# Longer than any card or account number; more is a stuck key.
DIGITS_MAX = 32
# A key sounds for 40 ms at least and is quiet as long (ITU-T Q.24). The network may
# deliver a row of DIGITS_MAX at once. No caller presses keys faster.
KEY_S = 0.08


class Keypad:
    """The owner of the digits that the model has not been given yet."""

    def __init__(self, timers: Timers) -> None:
        self._timers = OwnTimers(timers, Timer.KEYPAD)
        self._digits = ""
        # By when a caller could have pressed all the keys that came.
        self._pressed_by = 0.0
        self.dropped_digits = 0

    def is_flooded(self, now: float) -> bool:
        """Note a key; tell whether no caller could have pressed it by now."""
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

    @property
    def digits(self) -> str:
        """The digits of the row that has not ended."""
        return self._digits

    def restore(self, digits: str, now: float) -> None:
        """Go on with a row that another process has kept."""
        self._digits = digits[:DIGITS_MAX]
        if digits:
            self.put_off(now)

    def put_off(self, now: float) -> None:
        """Wait once more: the conversation has not begun."""
        self._timers.set(Timer.KEYPAD, now + PAUSE_S)

    @property
    def has_digits(self) -> bool:
        """Tell whether a row has begun."""
        return bool(self._digits)

    def take(self) -> str:
        """Return the row and begin a new one."""
        digits, self._digits = self._digits, ""
        return digits
