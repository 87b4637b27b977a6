"""Repeats of a warning, counted instead of written.

The first REPEATS_WRITTEN repeats of a warning in WINDOW_S are written, per call or for
the service. Further repeats are counted, and the count is written as a line when the
window ends or at the end. Warnings that differ only in their numbers count as one kind.
One call writes at most WARNINGS_WRITTEN warnings of all kinds in a window. At most
KINDS_MAX kinds are tracked.
"""

import logging
import re
import threading
from collections import OrderedDict
from collections.abc import Callable
from time import monotonic

WINDOW_S = 10.0
REPEATS_WRITTEN = 5
WARNINGS_WRITTEN = 100
KINDS_MAX = 1_000
# Enough of a line to tell two kinds apart.
KIND_CHARS = 60
_NUMBER = re.compile(r"\d+")

# A call's id or None, the level, and what a line's repeats have in common.
_Kind = tuple[object, int, str]


class _Window:
    """The counts of one kind since its first line. Only the text of that line is kept,
    because a log record would keep an error's frames alive."""

    def __init__(self, like: logging.LogRecord, text: str, began_at: float) -> None:
        self.began_at = began_at
        self.lines = 0
        self.held = 0
        self._text = text
        self._name, self._level = like.name, like.levelno
        self._of = {
            name: getattr(like, name)
            for name in ("call", "business")
            if hasattr(like, name)
        }

    def count_line(self) -> logging.LogRecord:
        """Return the line that says how many lines were held back."""
        text = f"{self._text} (and {self.held} more, not written)"
        line = logging.LogRecord(
            self._name, self._level, __file__, 0, "%s", (text,), None
        )
        line.__dict__.update(self._of)
        return line


class RepeatFilter(logging.Filter):
    """Filters the lines of a handler; `write` receives the lines with the counts.

    Lines below WARNING pass: each reports one event. Threads may log at the same time.
    """

    def __init__(
        self,
        write: Callable[[logging.LogRecord], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        super().__init__()
        self._write = write
        self._clock = clock
        self._windows: OrderedDict[_Kind, _Window] = OrderedDict()
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a line is written; first write the counts of ended windows."""
        now = self._clock()
        with self._lock:
            over = self._take_over(now)
            passes = record.levelno < logging.WARNING or self._passes(record, now)
        self._tell(over)
        return passes

    def flush(self) -> None:
        """Write the counts of all lines that were held back."""
        with self._lock:
            over = list(self._windows.values())
            self._windows.clear()
        self._tell(over)

    def _passes(self, record: logging.LogRecord, now: float) -> bool:
        whole = self._window(record, "", now)
        if whole.lines >= WARNINGS_WRITTEN:
            whole.held += 1
            return False
        window = self._window(record, _kind_of(record), now)
        if window.lines >= REPEATS_WRITTEN:
            window.held += 1
            return False
        whole.lines += 1
        window.lines += 1
        return True

    def _window(self, record: logging.LogRecord, kind: str, now: float) -> _Window:
        key = (getattr(record, "call", None), record.levelno, kind)
        found = self._windows.get(key)
        if found is None:
            text = record.getMessage() if kind else "warnings of all kinds"
            found = self._windows[key] = _Window(record, text, now)
        return found

    def _take_over(self, now: float) -> list[_Window]:
        """Remove the ended windows, oldest first, and more where there are too many."""
        over = []
        while self._windows:
            kind, window = next(iter(self._windows.items()))
            is_over = now - window.began_at >= WINDOW_S
            if not is_over and len(self._windows) < KINDS_MAX:
                break
            over.append(self._windows.pop(kind))
        return over

    def _tell(self, over: list[_Window]) -> None:
        for window in over:
            if window.held:
                self._write(window.count_line())


def _kind_of(record: logging.LogRecord) -> str:
    """Return what a line has in common with its repeats."""
    form = str(record.msg)
    if form == "%s":
        form = record.getMessage()
    return _NUMBER.sub("0", form[:KIND_CHARS])
