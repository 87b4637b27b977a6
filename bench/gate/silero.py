"""Silero VAD as a rival, if `silero-vad` and `onnxruntime` are installed.

It hears 32 ms at a time. A frame is speech if the newest probability at the frame's end
is 0.5 or more. It is given the gate's own preroll and hangover.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bench.gate.scene_sounds import Mask
from bench.gate.subset import RATE
from bridge.settings.options import CallOptions
from dsp.g711 import FRAME_BYTES, FRAME_MS, decode

CHUNK, CONTEXT = 256, 32  # samples
THRESHOLD = 0.5


class Silero:
    """The network; call it with a caller's side in mu-law."""

    def __init__(self) -> None:
        import onnxruntime  # not of the repository's packages

        found = find_spec("silero_vad")
        assert found is not None and found.origin is not None, "needs silero-vad"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        path = Path(found.origin).parent / "data" / "silero_vad.onnx"
        self._session: Any = onnxruntime.InferenceSession(str(path), options)

    def __call__(self, near: bytes) -> Mask:
        """Return for each frame whether it is sent, then or later as preroll."""
        frames = len(near) // FRAME_BYTES
        heard = self._probabilities(near)
        ends = (np.arange(frames) + 1) * FRAME_BYTES // CHUNK - 1
        is_speech = np.where(ends < 0, 0.0, heard[np.maximum(ends, 0)]) >= THRESHOLD
        return _widened(is_speech)

    def _probabilities(self, near: bytes) -> np.ndarray[Any, Any]:
        audio = np.frombuffer(decode(near), "<i2").astype(np.float32) / 32_768
        audio = np.pad(audio, (CONTEXT, -len(audio) % CHUNK))
        state = np.zeros((2, 1, 128), np.float32)
        found = []
        for end in range(CONTEXT + CHUNK, len(audio) + 1, CHUNK):
            chunk = audio[None, end - CHUNK - CONTEXT : end]
            values = {"input": chunk, "state": state, "sr": np.array(RATE, np.int64)}
            out, state = self._session.run(None, values)
            found.append(float(out[0, 0]))
        return np.array(found)


def _widened(is_speech: Mask) -> Mask:
    """Add preroll and hangover."""
    options = CallOptions()
    sent = is_speech.copy()
    for later in range(1, options.audio_hangover_frames + 1):
        sent[later:] |= is_speech[:-later]
    for earlier in range(1, options.audio_preroll_ms // FRAME_MS + 1):
        sent[:-earlier] |= is_speech[earlier:]
    return sent
