"""Floor: what the model is asked to say waits until the caller has finished speaking.

Theory of operation. A tool's answer, a second try or a warning must not be spoken over
the caller. In the VAD modes the server answers the caller's turn by itself, and uses
the results of the tools; what is still due then is said in the next pause. A line may
never be quiet, because of music or a television: the wait ends after FLOOR_WAIT_S. What
waits is checked every LOOK_S. Each entry is said once, however often it was requested.
"""

from enum import Enum

from bridge.call.timers import OwnTimers, Timer, Timers
from bridge.media.uplink import Uplink
from bridge.settings.options import CallOptions

FLOOR_WAIT_S = 8.0
LOOK_S = 0.1
# How much later than the bridge the server may detect the end of the caller's turn.
HEAR_MS = 300


class Due(Enum):
    """What may have to wait for the floor."""

    TOOL_ANSWER = "an answer to what the tools have said"
    SECOND_TRY = "another answer in the place of a bad one"
    WARNING = "the call must end soon"
    APOLOGY = "the line was lost, and is back"
    OPERATOR = "an operator asks the model to speak"


class Floor:
    """The owner of what waits for the floor in one call, and of the timer FLOOR."""

    def __init__(self, timers: Timers, options: CallOptions) -> None:
        self._timers = OwnTimers(timers, Timer.FLOOR)
        self._options = options
        # What waits, and until when at the latest; in the order in which it came.
        self._waiting: dict[Due, float] = {}

    @property
    def is_wanted(self) -> bool:
        """Tell whether anything waits for the floor."""
        return bool(self._waiting)

    def is_callers(self, uplink: Uplink, answer_by: float | None) -> bool:
        """Tell whether the caller speaks, or awaits the server's answer.

        `answer_by` is when that answer must have begun; None if none is awaited.
        """
        options = self._options
        is_theirs = uplink.is_turn_open
        # With semantic_vad, only the server knows when the turn ends.
        if options.turn_detection != "semantic_vad":
            quiet_ms = options.turn_silence_ms + HEAR_MS
            is_theirs = is_theirs and uplink.quiet_ms < quiet_ms
        return is_theirs or answer_by is not None

    def take(self, what: Due, now: float, *, is_callers: bool) -> bool:
        """Tell whether `what` may be said now; else it waits, and `look` returns it."""
        if not is_callers:
            self.drop(what)
            return True
        self._waiting.setdefault(what, now + FLOOR_WAIT_S)
        self._timers.set(Timer.FLOOR, now + LOOK_S)
        return False

    def drop(self, what: Due) -> bool:
        """Remove `what` from what waits; tell whether it was there."""
        return self._waiting.pop(what, None) is not None

    def drop_all(self) -> None:
        """Remove all that waits: only last words are said from now on."""
        self._waiting.clear()
        self._timers.cancel(Timer.FLOOR)

    def look(self, now: float, *, is_callers: bool) -> list[Due]:
        """Return what must be said now; call this when FLOOR is due.

        Each is dropped when it is said; the one before may have made it needless.
        """
        due = [
            what
            for what, latest in self._waiting.items()
            if not is_callers or now >= latest
        ]
        if len(due) < len(self._waiting):
            self._timers.set(Timer.FLOOR, now + LOOK_S)
        return due
