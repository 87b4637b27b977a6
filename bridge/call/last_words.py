"""Last words: how long an ending call stays open for what is still to be heard.

A goodbye is short; if it never comes, the call ends without it. The caller hears what
the model said before it to its end, within a limit.
"""

from math import inf

from bridge.call.timers import OwnTimers, Timer, Timers

# How long a goodbye may take to come, and how long the whole ending may last.
LAST_WORDS_S = 15.0
ENDING_S_MAX = 60.0
# How long after the end of the ledger the echo of a mark may arrive.
LAST_MARK_S = 1.0


class LastWords:
    """The owner of one call's last words, and of the timer LAST_WORDS."""

    def __init__(self, timers: Timers) -> None:
        self._timers = OwnTimers(timers, Timer.LAST_WORDS)
        # The model was asked for a goodbye.
        self.is_asked = False
        # When the call ends, even if speech is still to be heard.
        self.ends_at = inf

    def begin(self, now: float) -> None:
        """Start the limits: the conversation is over except for the last words."""
        self.ends_at = now + ENDING_S_MAX
        self._timers.set(Timer.LAST_WORDS, now + LAST_WORDS_S)

    def note_asked(self) -> None:
        """Note that the model was asked for a goodbye."""
        self.is_asked = True

    def await_mark(self, audible_until: float) -> None:
        """Wait for the mark that confirms playout: all speech is sent."""
        self._timers.set(Timer.LAST_WORDS, audible_until + LAST_MARK_S)

    def are_over(self, now: float, *, is_speaking: bool) -> bool:
        """Tell whether the call ends now that LAST_WORDS is due; else set it anew."""
        if not is_speaking or now >= self.ends_at:
            return True
        self._timers.set(Timer.LAST_WORDS, min(now + LAST_WORDS_S, self.ends_at))
        return False
