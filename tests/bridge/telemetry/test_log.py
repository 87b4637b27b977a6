"""Log lines are JSON, carry the call, and give away neither numbers nor secrets."""

import io
import logging
import os
import re
import select
import threading
from contextlib import suppress

import orjson

from bridge.telemetry import log

SID = "CA" + "1" * 32


def record(message, level=logging.INFO, **extra):
    made = logging.LogRecord(log.LOGGER, level, "x.py", 1, message, (), None)
    made.__dict__.update(extra)
    return made


def line(message, secrets=(), **extra):
    return orjson.loads(log.JsonFormatter(secrets).format(record(message, **extra)))


def test_line_has_time_level_call_and_message():
    made = line("hello", call=SID, created=0.25)

    assert made == {
        "time": "1970-01-01T00:00:00.250+00:00",
        "level": "info",
        "call": SID,
        "message": "hello",
    }


def test_line_of_no_call_has_no_call_field():
    assert "call" not in line("hello")


def test_error_comes_with_its_trace():
    try:
        raise ValueError("no good +15551230000")
    except ValueError as error:
        made = line("failed", exc_info=(ValueError, error, error.__traceback__))

    assert "ValueError: no good +155…00" in made["error"]


def test_known_secrets_are_blotted_out():
    made = line("key sk-abcdefgh refused", secrets=("sk-abcdefgh", "short"))

    assert made["message"] == "key *** refused"


def test_text_that_is_no_unicode_does_not_stop_the_line():
    assert line("bad \udcff")["message"] == "bad ?"


def test_line_shows_no_number_and_nothing_hidden():
    made = log.JsonFormatter().format(record("from 050-123 4567 \u202e\x1b[31m\x7f"))

    assert "4567" not in made
    assert orjson.loads(made)["message"] == "from 050-…67 <U+202E><U+001B>[31m<U+007F>"


def test_repeats_of_a_warning_are_counted_and_not_written():
    stream = io.StringIO()
    writer = log.LogWriter("info", (), stream)
    writer.start()
    for at in range(1_000):
        log.CallLogger(SID).warning("message %d dropped", at)
    writer.stop()

    lines = [orjson.loads(text) for text in stream.getvalue().splitlines()]
    assert len(lines) == 6
    assert lines[-1]["message"] == "message 0 dropped (and 995 more, not written)"
    assert lines[-1]["call"] == SID


def test_writer_writes_what_was_logged_before_it_stops():
    stream = io.StringIO()
    writer = log.LogWriter("info", (), stream)
    writer.start()
    log.CallLogger(SID).info("one")
    log.CallLogger(SID, "b1").info("one of b1")
    log.server_logger().warning("two")
    log.server_logger().debug("three")
    writer.stop()

    lines = [orjson.loads(text) for text in stream.getvalue().splitlines()]
    told = [(one.get("call"), one.get("business"), one["message"]) for one in lines]
    assert told == [
        (SID, None, "one"),
        (SID, "b1", "one of b1"),
        (None, None, "two"),
    ]


def test_tries_of_the_database_driver_are_not_logged():
    stream = io.StringIO()
    writer = log.LogWriter("info", (), stream)
    writer.start()
    logging.getLogger("asyncpg.pool").warning("Failed to restore the pool")
    log.server_logger().warning("the database is away")
    writer.stop()

    (line,) = stream.getvalue().splitlines()
    assert orjson.loads(line)["message"] == "the database is away"


def test_lines_for_a_stuck_reader_are_dropped_and_counted(monkeypatch, capsys):
    monkeypatch.setattr(log, "LINES_WAITING_MAX", 2)
    writer = log.LogWriter("info", (), io.StringIO())
    for _ in range(5):
        writer._handler.emit(record("x"))
    counted = []
    writer.count_with(counted.append)
    writer._handler.emit(record("x"))
    writer.start()
    writer.stop()

    assert "4 log lines were dropped" in capsys.readouterr().err
    assert counted == [3, 1]


class Pipe:
    """A stderr of the process's own, at first without a reader."""

    def __init__(self, monkeypatch):
        self.reads, writes = os.pipe()
        self._writes = writes
        os.set_blocking(writes, False)
        with suppress(BlockingIOError):
            while True:
                os.write(writes, b"x" * select.PIPE_BUF)
        os.set_blocking(writes, True)
        monkeypatch.setattr(log, "_STDERR", writes)

    def read(self):
        """Read all there is, and all that comes until the writer's end is closed."""
        found = b""
        while data := os.read(self.reads, 1 << 20):
            found += data
        return found.lstrip(b"x")

    def close_writing(self):
        os.close(self._writes)


def test_end_does_not_wait_for_who_does_not_read(monkeypatch, capsys):
    monkeypatch.setattr(log, "STOP_WAIT_S", 0.05)
    monkeypatch.setattr(log, "LINES_WAITING_MAX", 10)
    pipe = Pipe(monkeypatch)
    writer = log.LogWriter("info", ())
    writer.start()
    for _ in range(50):
        log.server_logger().info("line")
    writer.stop()

    # One is in the thread's hands.
    assert re.search(r"(49|50) log lines were dropped", capsys.readouterr().err)
    pipe.close_writing()


def test_reader_who_comes_late_gets_all_but_the_surplus(monkeypatch):
    monkeypatch.setattr(log, "STOP_WAIT_S", 10.0)
    monkeypatch.setattr(log, "LINES_WAITING_MAX", 100)
    pipe = Pipe(monkeypatch)
    writer = log.LogWriter("info", ())
    writer.start()
    for at in range(500):
        log.server_logger().info("line %d", at)
    found = []
    reader = threading.Thread(target=lambda: found.append(pipe.read()))
    reader.start()
    writer.stop()
    pipe.close_writing()
    reader.join()

    lines = [orjson.loads(line)["message"] for line in found[0].splitlines()]
    assert lines[:100] == [f"line {at}" for at in range(100)]
    assert len(lines) == 500 - writer.dropped_lines


def test_reader_who_is_gone_costs_lines_and_nothing_else(monkeypatch):
    pipe = Pipe(monkeypatch)
    os.close(pipe.reads)
    writer = log.LogWriter("info", ())
    writer.start()
    log.server_logger().info("line")
    writer.stop()

    assert writer.dropped_lines == 1
    pipe.close_writing()


def test_line_written_at_once_does_not_wait_for_ever(monkeypatch, capfd):
    log.write_line(logging.ERROR, "worker ended", ())
    assert orjson.loads(capfd.readouterr().err)["message"] == "worker ended"

    monkeypatch.setattr(log, "LINE_WAIT_S", 0.01)
    pipe = Pipe(monkeypatch)
    stderr = os.fdopen(os.dup(log._STDERR), "w")
    monkeypatch.setattr("sys.stderr", stderr)
    log.write_line(logging.ERROR, "worker ended", ())
    monkeypatch.undo()
    stderr.close()
    pipe.close_writing()
    assert b"worker" not in pipe.read()
