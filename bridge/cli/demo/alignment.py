"""Finds the model's audio in the caller's recording.

Frames are matched by position and time, not by bytes alone: the demo's fan noise
repeats every ten seconds, so a frame of noise can equal one beside speech.
"""

from collections.abc import Iterator

from bridge.media.playout import SILENCE_BYTE
from bridge.sandbox.result import CallResult
from bridge.sandbox.session import Session
from dsp.g711 import FRAME_BYTES, FRAME_MS

SILENCE = SILENCE_BYTE * FRAME_BYTES
# Frames withheld under the AI's voice are at most this old when they are sent; it is
# half of the fan's loop.
AGE_MS_MAX = 5_000
# The caller's clock is read after a frame was sent.
_LEAD_FRAMES = 2


def frames(audio: bytes) -> list[bytes]:
    """Return the whole frames of a recording."""
    whole = len(audio) - len(audio) % FRAME_BYTES
    return [audio[at : at + FRAME_BYTES] for at in range(0, whole, FRAME_BYTES)]


def positions(result: CallResult, session: Session) -> list[int | None]:
    """Return for each audible frame that the model received its position.

    The model receives frames in the caller's order, each once; None is a frame that the
    caller has not sent within AGE_MS_MAX before.
    """
    near = frames(result.near)
    found: list[int | None] = []
    next_at = 0
    for at_ms, frame in _given(session, result.started_at or 0.0):
        latest = min(int(at_ms / FRAME_MS) + _LEAD_FRAMES, len(near) - 1)
        first = max(next_at, int((at_ms - AGE_MS_MAX) / FRAME_MS))
        place = next((i for i in range(first, latest + 1) if near[i] == frame), None)
        found.append(place)
        if place is not None:
            next_at = place + 1
    return found


def _given(session: Session, started_at: float) -> Iterator[tuple[float, bytes]]:
    for piece in session.audio:
        for frame in frames(piece.audio):
            if frame != SILENCE:
                yield (piece.at - started_at) * 1e3, frame
