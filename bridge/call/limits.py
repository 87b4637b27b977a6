"""Limits: what a call's own bounds have refused, counted, and told once of each kind.

Every buffer of a call is bounded where it is owned, and counts there what it lets go.
Here all these counts have their names, for the metrics and for the log.
"""

from collections.abc import Callable, Iterator

from bridge.call.plan import Log
from bridge.call.state import CallState

# What a call in good order lets go as well is not worth a line here.
_USUAL = ("late_deltas", "barge_in_ring_frames", "given_frames")


def _counters() -> dict[str, Callable[[CallState], int]]:
    return {
        "late_deltas": lambda call: call.counters.late_deltas,
        "barge_in_ring_frames": lambda call: call.uplink.withheld_dropped_frames,
        "given_frames": lambda call: call.uplink.given_dropped_frames,
        "untranscribed_turns": lambda call: call.untranscribed.dropped_turns,
        "flood": lambda call: call.fast_path.flood_messages,
        "unsent_playout_bytes": lambda call: call.playout.refused_bytes,
        "playout_parts": lambda call: call.playout.refused_parts,
        "marks_in_flight": lambda call: call.playout.forgotten_marks,
        "digits": lambda call: call.keypad.dropped_digits,
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
