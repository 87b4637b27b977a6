"""Keypad: collects digits typed in a row; `#` or a pause ends them (PRODUCT §2)."""

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

    def take(self) -> str:
        """Return the row and begin a new one."""
        digits, self._digits = self._digits, ""
        return digits
