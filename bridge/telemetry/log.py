"""Structured log lines: one JSON object each, with a call's id and its business's.

A separate thread writes the lines, so that a slow reader of stderr never stops the
event loop. The formatter masks whatever looks like a phone number, and every secret
that it was given. Nothing is logged per frame.
"""

import io
import logging
import logging.handlers
import os
import queue
import select
import sys
import threading
from collections.abc import Callable, Iterable, MutableMapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, Any

import orjson

from bridge.telemetry.masking import clean as clean, mask_phone as mask_phone
from bridge.telemetry.repeats import RepeatFilter

LOGGER = "kolbridge"
LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}
# Lines that wait for a stuck reader; more are dropped.
LINES_WAITING_MAX = 10_000
# How long the process waits for a reader when it ends; then lines are lost.
STOP_WAIT_S = 1.0
# How long a single line waits for a reader, where no writer thread runs.
LINE_WAIT_S = 0.1
_STDERR = 2


def of_call(call_sid: str, business_id: str = "") -> dict[str, str]:
    """Return the fields that a line of a call has beside its message."""
    found = {"call": call_sid, "business": business_id}
    return {name: value for name, value in found.items() if value}


class JsonFormatter(logging.Formatter):
    """Turns a record into one JSON line."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname.lower(),
            **of_call(getattr(record, "call", ""), getattr(record, "business", "")),
            "message": clean(record.getMessage(), self._secrets),
        }
        if record.exc_info:
            line["error"] = clean(self.formatException(record.exc_info), self._secrets)
        return orjson.dumps(line).decode()


class _QueueHandler(logging.handlers.QueueHandler):
    """Queues records unchanged; drops and counts them where the queue is full."""

    def __init__(self, waiting: queue.Queue[Any], drop: Callable[[], None]) -> None:
        super().__init__(waiting)
        self._drop = drop

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record

    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            self._drop()


class LogWriter:
    """The thread that writes the lines of one process, from `start` to `stop`.

    The thread writes to the descriptor of stderr, not to `sys.stderr`: a thread that
    waits for a reader there holds no lock that the interpreter needs at its exit.
    """

    def __init__(
        self, level: str, secrets: Iterable[str], stream: IO[str] | None = None
    ) -> None:
        self._waiting: queue.Queue[logging.LogRecord | None]
        self._waiting = queue.Queue(LINES_WAITING_MAX)
        self._handler = _QueueHandler(self._waiting, self._drop)
        self._repeats = RepeatFilter(self._handler.emit)
        self._handler.addFilter(self._repeats)
        self._formatter = JsonFormatter(secrets)
        self._stream = stream
        self._level = LEVELS[level]
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self.dropped_lines = 0
        self._count: Callable[[int], None] | None = None

    def start(self) -> None:
        """Start to write every line of this process."""
        root = logging.getLogger()
        root.addHandler(self._handler)
        root.setLevel(logging.WARNING)
        logging.getLogger(LOGGER).setLevel(self._level)
        # picows logs each connection at info and each pause of writing as a warning;
        # the legs count both.
        logging.getLogger("picows").setLevel(logging.ERROR)
        # asyncpg logs each try to fill its pool again, with a traceback; what needs the
        # database says that it is away.
        logging.getLogger("asyncpg").setLevel(logging.ERROR)
        self._thread.start()

    def count_with(self, count: Callable[[int], None]) -> None:
        """Report dropped lines to `count`, those dropped so far included."""
        self._count = count
        count(self.dropped_lines)

    def stop(self) -> None:
        """Write the waiting lines, then stop; after STOP_WAIT_S the rest is lost."""
        self._repeats.flush()
        logging.getLogger().removeHandler(self._handler)
        self._is_stopping = True
        with suppress(queue.Full):
            self._waiting.put_nowait(None)
        self._thread.join(STOP_WAIT_S)
        lost = self.dropped_lines + self._waiting.qsize()
        if lost:
            _say(f"{lost} log lines were dropped\n", 0.0)

    def _drop(self) -> None:
        self.dropped_lines += 1
        if self._count is not None:
            self._count(1)

    # --- in the thread ---

    def _run(self) -> None:
        while not (self._is_stopping and self._waiting.empty()):
            record = self._waiting.get()
            if record is None:
                continue
            try:
                self._write(self._formatter.format(record) + "\n")
            except Exception:
                # No reader is left, or this line cannot be formatted; the next may be.
                self._drop()

    def _write(self, line: str) -> None:
        if self._stream is not None:
            self._stream.write(line)
        else:
            write_in_time(_STDERR, line.encode(), None)


class CallLogger(logging.LoggerAdapter[logging.Logger]):
    """Logs with the call's id on each line, and the business's id where it is known."""

    def __init__(self, call_sid: str, business_id: str = "") -> None:
        super().__init__(logging.getLogger(LOGGER), of_call(call_sid, business_id))

    def process(
        self, msg: object, kwargs: MutableMapping[str, Any]
    ) -> tuple[object, MutableMapping[str, Any]]:
        """Put the id beside the message."""
        kwargs["extra"] = self.extra
        return msg, kwargs


def server_logger() -> logging.Logger:
    """Return the logger for lines that belong to no call."""
    return logging.getLogger(LOGGER)


def write_line(level: int, text: str, secrets: Iterable[str]) -> None:
    """Write a line at once, where no LogWriter runs; without a reader it is lost."""
    record = logging.LogRecord(LOGGER, level, __file__, 0, text, None, None)
    _say(JsonFormatter(secrets).format(record) + "\n", LINE_WAIT_S)


def write_in_time(fd: int, data: bytes, patience_s: float | None) -> None:
    """Write all of `data`; raises OSError where nobody reads.

    `patience_s` is the longest wait for the reader at each write; None means no limit.
    A pipe that is ready to be written takes PIPE_BUF bytes at once: no write blocks.
    """
    rest = memoryview(data)
    while rest:
        if not select.select((), (fd,), (), patience_s)[1]:
            raise TimeoutError
        rest = rest[os.write(fd, rest[: select.PIPE_BUF]) :]


def _say(text: str, patience_s: float) -> None:
    try:
        fd = sys.stderr.fileno()
    except io.UnsupportedOperation:
        sys.stderr.write(text)
        return
    with suppress(OSError):
        write_in_time(fd, text.encode(), patience_s)
