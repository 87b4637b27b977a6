"""Limits: what the bounds of one call have refused, with names for log and metrics.

The owner of each buffer bounds it and counts what it drops. This module names these
counts, and returns one line of the log for each that has grown for the first time.
"""

from collections.abc import Callable, Iterator

from bridge.call.plan import Log
from bridge.call.state import CallState

# A call in good order drops these, too: they have no line in the log.
_USUAL = ("late_deltas", "barge_in_ring_frames", "given_frames")


def _counters() -> dict[str, Callable[[CallState], int]]:
    return {
        "late_deltas": lambda call: call.counters.late_deltas,
        "barge_in_ring_frames": lambda call: call.uplink.withheld_dropped_frames,
        "given_frames": lambda call: call.uplink.given_dropped_frames,
        "turn_seconds": lambda call: call.uplink.turn_end.long_turns,
        "untranscribed_turns": lambda call: call.untranscribed.dropped_turns,
        "flood": lambda call: call.fast_path.flood_messages,
        "unsent_playout_bytes": lambda call: call.playout.refused_bytes,
        "playout_parts": lambda call: call.playout.refused_parts,
        "marks_in_flight": lambda call: call.playout.forgotten_marks,
        "digits": lambda call: call.keypad.dropped_digits,
        "operator_frames": lambda call: call.counters.operator_dropped_frames,
        "operator_voice_frames": lambda call: call.operator_voice.dropped_frames,
        "operator_untranscribed": lambda call: call.counters.operator_untranscribed,
        "tool_calls": lambda call: call.counters.refused_tools,
        "turns": lambda call: call.call_record.transcript.dropped_turns,
        "turn_chars": lambda call: call.call_record.transcript.dropped_chars,
        "usage_kinds": lambda call: call.call_record.dropped_usage,
        "latencies": lambda call: call.call_record.dropped_latencies,
    }


OF_CALL = _counters()


def lines(call: CallState) -> Iterator[Log]:
    """Return a line for each limit that has refused something for the first time."""
    for name, read in OF_CALL.items():
        if (
            name not in _USUAL
            and name not in call.call_record.limits_told
            and read(call)
        ):
            call.call_record.limits_told.add(name)
            yield Log("warning", f"over the limit of {name}: counted from here on")
