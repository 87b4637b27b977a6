"""LoopCorrection: what is done about an AI that says the same again and again.

The first loop is corrected. A loop that goes on in spite of its correction ends the
call; another loop is corrected anew. `bridge.call.loops` tells what a loop is.
"""

from enum import Enum

from bridge.call import loops
from bridge.call.transcript import Transcript, Turn


class Verdict(Enum):
    """What is to be done now."""

    NOTHING = "there is no loop, or its correction may still help"
    CORRECT = "tell the model that it repeats itself"
    END = "the loop has gone on in spite of its correction"


class LoopCorrection:
    """The owner of which loop of one call was corrected last."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript = transcript
        # The turn at which the last loop was corrected.
        self._corrected: Turn | None = None

    def judge(self) -> Verdict:
        """After a response: judge the AI's newest turn."""
        turns, corrected = self._transcript.placed(), self._corrected
        newest = loops.find(turns)
        if newest is None or newest is corrected:
            return Verdict.NOTHING
        is_kept = corrected in turns  # a long call lets its oldest turns go
        if corrected is None or not is_kept or not loops.is_same(turns, corrected):
            self._corrected = newest
            return Verdict.CORRECT
        return Verdict.END if loops.goes_on(turns, corrected) else Verdict.NOTHING
