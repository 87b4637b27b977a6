"""Explained: the decisions of a whole call, of which each process has a part.

A part is replayed as far as it gives the recorded answers; what comes after that is
read from the recorded answers themselves. The command line and the console show these.
"""

from collections.abc import Iterator
from itertools import chain

import msgspec

from bridge.recorder import explain
from bridge.recorder.explain import Decision
from bridge.recorder.parts import Part
from bridge.recorder.recording import Recording
from bridge.recorder.replay import Measures, Replay


class Explained(msgspec.Struct, frozen=True):
    """What a part decided; `why_noted` says why its end, or all of it, was not made
    again."""

    decisions: list[Decision]
    measures: Measures
    why_noted: str = ""


def beginning(part: Part, before: Part | None) -> Decision:
    """Say where another process went on, and for how long nothing is recorded."""
    what = f"part {part.recording.header.plan.generation} begins"
    if before is None:
        return Decision(part.begins_s, what, "the parts before it are not here")
    silent_s = part.begins_s - before.ends_s
    if silent_s < 0:
        why = "another process went on; the one before stopped later"
    else:
        why = f"another process went on, {silent_s:.3f} s after the last message"
    return Decision(part.begins_s, what, why)


def noted(part: Part, first: int = 0) -> Iterator[Decision]:
    """Return the decisions that were noted then, from message `first` on."""
    zero = part.recording.header.opened_at - part.begins_s
    steps = part.recording.steps[first:]
    return chain.from_iterable(explain.of_step(step, zero) for step in steps)


def explained(part: Part, *, replays: bool = True) -> Explained:
    """Return all decisions of a part."""
    recording = part.recording
    why_not = recording.why_not_replayed if replays else "it could not be made again"
    if why_not:
        return Explained(
            list(noted(part)), Measures([], [], [], [], [], [], [], []), why_not
        )
    steps = recording.steps
    # At a message at which the bridge failed, it would fail again.
    failed = next((at for at, one in enumerate(steps) if one.actions is None), None)
    whole = Recording(recording.header, steps[:failed], recording.audio)
    replay = Replay(whole, part.begins_s)
    decisions = list(replay.run())
    why = "the bridge failed there" if failed is not None else ""
    first = len(whole.steps)
    if replay.difference is not None:
        first = replay.difference.message - 1
        why = (
            f"from {replay.difference.at_s:.1f} s on, today's version decides otherwise"
        )
    decisions += noted(part, first)
    return Explained(decisions, replay.measures, why)
