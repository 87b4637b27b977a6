"""Repeats of a warning are counted; other lines, and the first of each, are written."""

import logging

from bridge.telemetry import repeats
from bridge.telemetry.repeats import (
    KINDS_MAX,
    REPEATS_WRITTEN,
    WARNINGS_WRITTEN,
    WINDOW_S,
)

SID = "CA" + "1" * 32


class Log:
    """What a filter lets pass and writes, at a time that is given."""

    def __init__(self):
        self.now = 100.0
        self.written = []
        self.filter = repeats.RepeatFilter(self.write, lambda: self.now)

    def write(self, record):
        self.written.append((record.getMessage(), getattr(record, "call", None)))

    def say(self, text, *args, level=logging.WARNING, **extra):
        record = logging.LogRecord("kolbridge", level, "x.py", 1, text, args, None)
        record.__dict__.update(extra)
        if self.filter.filter(record):
            self.write(record)

    def texts(self):
        return [text for text, _ in self.written]


def test_repeats_are_counted_and_told_when_the_window_is_over():
    log = Log()
    for at in range(1_000):
        log.say("dropped %d", at, call=SID, business="b")
    assert log.texts() == [f"dropped {at}" for at in range(REPEATS_WRITTEN)]

    log.now += WINDOW_S
    log.say("dropped %d", 1_000, call=SID)
    assert log.written[REPEATS_WRITTEN:] == [
        ("dropped 0 (and 995 more, not written)", SID),
        ("dropped 1000", SID),
    ]


def test_calls_levels_and_kinds_are_counted_apart():
    log = Log()
    for _ in range(20):
        log.say("late", call=SID)
        log.say("late", call="CA2")
        log.say("late")
        log.say("late", level=logging.ERROR)
        log.say("lost")

    assert len(log.written) == 5 * REPEATS_WRITTEN


def test_texts_that_came_whole_are_one_kind_but_for_their_numbers():
    log = Log()
    for at in range(20):
        log.say("%s", f"mark {at} was never sent")
        log.say(f"mark {at} was never sent either")

    assert len(log.written) == 2 * REPEATS_WRITTEN


def test_one_call_has_only_so_many_warnings_however_they_differ():
    log = Log()
    letters = "abcdefghijklmnop"
    for one in letters:
        for two in letters:
            log.say("%s", f"{one}{two} cannot be read", call=SID)
    log.say("another call's", call="CA2")
    assert len(log.written) == WARNINGS_WRITTEN + 1

    log.filter.flush()
    assert log.texts()[-1] == "warnings of all kinds (and 156 more, not written)"


def test_lines_of_events_always_pass():
    log = Log()
    for _ in range(100):
        log.say("[REALTIME] Connected", level=logging.INFO)

    assert len(log.written) == 100


def test_memory_is_bounded():
    log = Log()
    for at in range(3 * KINDS_MAX):
        log.say("late", call=f"CA{at}")

    assert len(log.filter._windows) <= KINDS_MAX + 1
