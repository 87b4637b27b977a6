"""Replay: runs a recorded call again in the core, and compares it byte for byte.

`Replay.run` gives the `Call` every message at its recorded time and compares each
answer with the recorded answer. The first difference ends the replay. A bug of the
bridge that a recording holds is raised again: a recording serves that purpose.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from bridge.call.machine import Call
from bridge.recorder import explain
from bridge.recorder.explain import Decision
from bridge.recorder.recording import Recording, Step, show
from bridge.telephony import twilio


class Difference(NamedTuple):
    """Where a replayed call first differs from the recording; numbers from 1."""

    message: int
    action: int
    at_s: float
    recorded: Any
    recomputed: Any


class Measures(NamedTuple):
    """A call at each of the caller's messages: s, 16-bit RMS, dB and dBFS."""

    at_s: list[float]
    rms: list[float]
    floor_rms: list[float]
    snr_db: list[float]
    is_gate_open: list[bool]
    given_frames: list[int]
    far_dbfs: list[int]
    underruns: list[int]

    @classmethod
    def new(cls) -> "Measures":
        """Return measures of nothing yet."""
        return cls([], [], [], [], [], [], [], [])


class Replay:
    """A replay of one recording; its results are complete when `run` has ended.

    `begins_s` is where the recording begins in its call: the times of decisions and
    measures count from the call's opening.
    """

    def __init__(self, recording: Recording, begins_s: float = 0.0) -> None:
        self.recording = recording
        # The call's opening on the clock of the steps.
        self._zero = recording.header.opened_at - begins_s
        self.difference: Difference | None = None
        self.measures = Measures.new()
        self.steps: list[Step] = []

    def run(self) -> Iterator[Decision]:
        """Replay the call; return its decisions one by one.

        Ends at the first difference. Raises RecordingError where the audio is missing.
        """
        header = self.recording.header
        call = Call(header.plan, header.opened_at)
        watch = explain.Watch(call, self._zero)
        for number, step in enumerate(self.recording.steps, 1):
            due = call.timers.due(step.now) if step.method == "receive_timeout" else []
            again = self._again(call, step)
            self.steps.append(again)
            self.difference = _compare(number, step, again, self._zero)
            if self.difference is not None:
                return
            yield from watch.look(again)
            timers = ", ".join(timer.value for timer in due)
            yield from explain.of_step(again, self._zero, timers)

    def accept(self) -> list[Step]:
        """Replay the call and return its steps with the core's present answers."""
        header = self.recording.header
        call = Call(header.plan, header.opened_at)
        return [self._again(call, step) for step in self.recording.steps]

    def _again(self, call: Call, step: Step) -> Step:
        method = getattr(call, step.method)
        how = {"politely": True} if step.politely else {}
        actions = method(*self.recording.arguments(step), step.now, **how)
        if step.method == "receive_twilio":
            self._measure(call, step)
        shown = [show(one) for one in twilio.messages_of(actions)]
        return msgspec.structs.replace(step, actions=shown)

    def _measure(self, call: Call, step: Step) -> None:
        gate, made = call.uplink.gate, self.measures
        made.at_s.append(step.now - self._zero)
        made.rms.append(gate.rms)
        made.floor_rms.append(gate.floor_rms)
        made.snr_db.append(gate.snr_db)
        made.is_gate_open.append(call.uplink.is_gate_open)
        made.given_frames.append(call.uplink.forwarded_frames)
        made.far_dbfs.append(call.playout.far_dbfs(step.now))
        made.underruns.append(call.playout.underruns)


def _compare(
    number: int, step: Step, again: Step, opened_at: float
) -> Difference | None:
    """Return the first action that differs; either side may lack the action."""
    recorded, recomputed = step.actions or [], again.actions or []
    if step.actions is None or recorded == recomputed:
        return None
    same = 0
    for one, other in zip(recorded, recomputed, strict=False):
        if one != other:
            break
        same += 1
    return Difference(
        message=number,
        action=same + 1,
        at_s=step.now - opened_at,
        recorded=recorded[same] if same < len(recorded) else None,
        recomputed=recomputed[same] if same < len(recomputed) else None,
    )
