"""Parts: the recordings of one call that several processes had, read as one.

A process that goes on with a call writes a file of its own, named after the generation
in which the process owns the call: `CA0123.zip`, then `CA0123.2.zip`. Each file begins
with the checkpoint that its process went on from, so each can be replayed alone. The
clocks of the machines say where a part begins.
"""

from pathlib import Path
from typing import NamedTuple

from bridge.call.plan import CallPlan
from bridge.recorder.recording import SUFFIX, Recording


class Part(NamedTuple):
    """A part of a call, which begins `begins_s` after the call was opened."""

    path: Path
    recording: Recording
    begins_s: float

    @property
    def ends_s(self) -> float:
        """Return when the part's last message came."""
        steps, opened_at = self.recording.steps, self.recording.header.opened_at
        return self.begins_s + (steps[-1].now - opened_at if steps else 0.0)


def file_name(plan: CallPlan) -> str:
    """Return the name of the file for a process's part of a call."""
    part = "" if plan.generation == 1 else f".{plan.generation}"
    return f"{plan.call_sid}{part}{SUFFIX}"


def number_of(name: str, call_sid: str) -> int | None:
    """Return which part of a call a file of this name is; None if it is none."""
    if name == f"{call_sid}{SUFFIX}":
        return 1
    begins = name.startswith(f"{call_sid}.") and name.endswith(SUFFIX)
    number = name[len(call_sid) + 1 : -len(SUFFIX)] if begins else ""
    return int(number) if number.isascii() and number.isdecimal() else None


def files_of(folder: Path, call_sid: str) -> list[Path]:
    """Return the files of a call's parts, in order; that of the first where none is."""
    first = folder / f"{call_sid}{SUFFIX}"
    found = {
        number: path
        for path in folder.glob(f"{call_sid}.*{SUFFIX}")
        if (number := number_of(path.name, call_sid)) is not None
    }
    later = [found[number] for number in sorted(found)]
    return [first, *later] if first.exists() or not later else later


def joined(found: list[tuple[Path, Recording]]) -> list[Part]:
    """Return the parts of one call on one time axis, whose zero is the call's opening.

    Of a call whose first part is missing, the checkpoint says how long it had lasted.
    """
    first = found[0][1].header
    resumed = first.plan.resumed
    before_s = 0.0 if resumed is None else resumed.at_s
    opened_at = first.began_at - before_s
    return [
        Part(path, recording, max(recording.header.began_at - opened_at, 0.0))
        for path, recording in found
    ]
