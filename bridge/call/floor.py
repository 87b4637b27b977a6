"""Floor: what the model is asked to say waits until the caller has finished speaking.

Theory of operation. A tool's answer, a second try or a warning that came into the
caller's words would talk over them. In the VAD modes the server answers the caller's
turn by itself, with what the tools have said; what is still due then is said in the
next pause. A line that is never quiet, for music or a television, is not waited for
longer than FLOOR_WAIT_S. What waits is looked at every LOOK_S, and is each said once,
however often it was asked for.
"""

from enum import Enum

from bridge.call.timers import OwnTimers, Timer, Timers
from bridge.media.uplink import Uplink
from bridge.settings.options import CallOptions

FLOOR_WAIT_S = 8.0
LOOK_S = 0.1
# How much later than we the server may hear that the caller's turn has ended.
HEAR_MS = 300


class Due(Enum):
    """What may have to wait for the floor."""

    TOOL_ANSWER = "an answer to what the tools have said"
    SECOND_TRY = "another answer in the place of a bad one"
    WARNING = "the call must end soon"
    APOLOGY = "the line was lost, and is back"


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
        """Tell whether the caller speaks, or awaits the server's answer to it.

        The server's answer is awaited until `answer_by`, if it is.
        """
        options = self._options
        is_theirs = uplink.is_turn_open
        if options.turn_detection != "semantic_vad":  # there, only the server knows
            quiet_ms = options.turn_silence_ms + HEAR_MS
            is_theirs = is_theirs and uplink.quiet_ms < quiet_ms
        return is_theirs or answer_by is not None

    def take(self, what: Due, now: float, *, is_callers: bool) -> bool:
        """Tell whether it may be said now; else it waits, and `look` returns it."""
        if not is_callers:
            self.drop(what)
            return True
        self._waiting.setdefault(what, now + FLOOR_WAIT_S)
        self._timers.set(Timer.FLOOR, now + LOOK_S)
        return False

    def drop(self, what: Due) -> None:
        """It is not wanted any more, if it waited."""
        self._waiting.pop(what, None)

    def drop_all(self) -> None:
        """Nothing that waits is wanted any more: only last words are said."""
        self._waiting.clear()
        self._timers.cancel(Timer.FLOOR)

    def look(self, now: float, *, is_callers: bool) -> list[Due]:
        """FLOOR is due: return what must be said now."""
        due = [
            what
            for what, latest in self._waiting.items()
            if not is_callers or now >= latest
        ]
        for what in due:
            del self._waiting[what]
        if self._waiting:
            self._timers.set(Timer.FLOOR, now + LOOK_S)
        return due
