"""Other voice detectors, behind the same state machine, for `judging`.

Each that is installed (`silero-vad`, `ten-vad`, `webrtcvad-wheels`,
`livekit-local-inference`) gives a score for each frame. SPEECH begins at a score of 0.5
and ends after HANGOVER frames under 0.35; PREROLL frames go before it. With the far
bound, a frame more than 14 dB under the loudest audio played in the last half second
counts as its echo: none of them knows what was played, and without that bound each
takes the AI's echo for a caller.
"""

import importlib.util
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.cli.gate_trial import Recording
from dsp.g711 import FRAME_BYTES, decode, frame_levels

Scores = NDArray[np.float32]
Scorer = Callable[[NDArray[np.int16]], Scores]

PREROLL, HANGOVER = 10, 4
START, STOP = 0.5, 0.35
FAR_BOUND_DB, FAR_FRAMES, FAR_HEARD_DBFS = 14.0, 25, -60.0
RATE = 8_000


def installed() -> dict[str, Any]:
    """Return the gates of the packages that are installed, by name."""
    found: dict[str, Scorer] = {
        "silero-vad": _silero,
        "ten-vad": _ten,
        "livekit-local-inference": _livekit,
        "webrtcvad 3": _webrtc,
    }
    packages = {"silero-vad": "silero_vad", "ten-vad": "ten_vad"}
    packages |= {"livekit-local-inference": "livekit.local_inference"}
    packages |= {"webrtcvad 3": "webrtcvad"}
    gates: dict[str, Any] = {}
    for name, scorer in found.items():
        if _has(packages[name]) and _runs(name, scorer):
            gates[name] = partial(_decide, scorer=scorer, is_bounded=False)
            gates[f"{name}, far bound"] = partial(
                _decide, scorer=scorer, is_bounded=True
            )
    return gates


def _runs(name: str, scorer: Scorer) -> bool:
    """Try a detector on silence: a package may lack a library of the machine's."""
    try:
        scorer(np.zeros(RATE, np.int16))
    except Exception as error:
        print(f"{name}: installed, but does not run: {error}")
        return False
    return True


def silero_sent(near: bytes) -> NDArray[np.bool_]:
    """Return for each frame whether silero-vad sends it, then or later as preroll."""
    _, sent = _decide(Recording("", near, b""), _silero, is_bounded=False)
    return np.array(sent, bool)


def _has(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _decide(
    found: Recording, scorer: Scorer, is_bounded: bool
) -> tuple[list[int], list[int]]:
    pcm = np.frombuffer(decode(found.near), "<i2")
    frames = len(pcm) // FRAME_BYTES
    scores = scorer(pcm)[:frames]
    scores = np.pad(scores, (0, frames - len(scores)))
    if is_bounded:
        scores = np.where(_is_echo(pcm, found.far), 0, scores)
    return _machine(scores)


def _is_echo(pcm: NDArray[np.int16], far: bytes) -> NDArray[np.bool_]:
    frames = len(pcm) // FRAME_BYTES
    near = pcm[: frames * FRAME_BYTES].reshape(-1, FRAME_BYTES).astype(float)
    near_db = 10 * np.log10(np.mean(near * near, axis=1) / 32768**2 + 1e-12)
    far_db = np.array(list(frame_levels(far)), float)[:frames] - 127.0
    loudest = np.array(
        [far_db[max(0, at - FAR_FRAMES) : at + 1].max() for at in range(frames)]
    )
    return (loudest >= FAR_HEARD_DBFS) & (near_db < loudest - FAR_BOUND_DB)


def _machine(scores: Scores) -> tuple[list[int], list[int]]:
    states, sent = [0] * len(scores), [0] * len(scores)
    is_open, low = False, 0
    for at, score in enumerate(scores):
        if not is_open and score >= START:
            is_open, low = True, 0
            first = max(0, at - PREROLL)
            sent[first:at] = [1] * (at - first)
        elif is_open:
            low = low + 1 if score < STOP else 0
            is_open = low <= HANGOVER
        states[at] = 2 if is_open else 0
        sent[at] = max(sent[at], int(is_open))
    return states, sent


def _per_frame(scores: list[float], window: int, rate: int, samples: int) -> Scores:
    """The newest score that is known at the end of each frame."""
    frames = samples // FRAME_BYTES
    ends = np.arange(1, frames + 1) * FRAME_BYTES * rate // RATE
    at = np.minimum(ends // window, len(scores))
    every = np.array([0.0, *scores], np.float32)
    return every[at]


def _wide(pcm: NDArray[np.int16]) -> NDArray[np.int16]:
    """The signal at 16 kHz."""
    import soxr

    return np.asarray(soxr.resample(pcm, RATE, 2 * RATE))


def _silero(pcm: NDArray[np.int16]) -> Scores:
    """silero-vad's ONNX model at 8 kHz: windows of 256 samples after 32 of context."""
    session = _silero_session()
    x = pcm.astype(np.float32) / 32768
    state, before = np.zeros((2, 1, 128), np.float32), np.zeros(32, np.float32)
    scores = []
    for at in range(0, len(x) - 255, 256):
        part = x[at : at + 256]
        given = {
            "input": np.concatenate([before, part])[None],
            "state": state,
            "sr": np.array(RATE, np.int64),
        }
        out, state = session.run(None, given)
        before = part[-32:]
        scores.append(float(out[0, 0]))
    return _per_frame(scores, 256, RATE, len(pcm))


def _silero_session() -> Any:
    import onnxruntime

    if "silero" not in _loaded:
        spec = importlib.util.find_spec("silero_vad")
        if spec is None or spec.origin is None:
            raise ImportError("silero_vad")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        _loaded["silero"] = onnxruntime.InferenceSession(
            str(Path(spec.origin).parent / "data" / "silero_vad.onnx"),
            options,
            providers=["CPUExecutionProvider"],
        )
    return _loaded["silero"]


_loaded: dict[str, Any] = {}


def _ten(pcm: NDArray[np.int16]) -> Scores:
    from ten_vad import TenVad

    detector, x = TenVad(160, START), _wide(pcm)
    scores = [
        float(detector.process(np.ascontiguousarray(x[at : at + 160]))[0])
        for at in range(0, len(x) - 159, 160)
    ]
    return _per_frame(scores, 160, 2 * RATE, len(pcm))


def _livekit(pcm: NDArray[np.int16]) -> Scores:
    from livekit.local_inference import VAD

    x = _wide(pcm)
    with VAD() as detector:
        scores = [
            float(detector.predict(np.ascontiguousarray(x[at : at + 512])))
            for at in range(0, len(x) - 511, 512)
        ]
    return _per_frame(scores, 512, 2 * RATE, len(pcm))


def _webrtc(pcm: NDArray[np.int16]) -> Scores:
    import webrtcvad

    detector, data = webrtcvad.Vad(3), pcm.astype("<i2").tobytes()
    size = 2 * FRAME_BYTES
    return np.array(
        [
            detector.is_speech(data[at : at + size], RATE)
            for at in range(0, len(data) - size + 1, size)
        ],
        np.float32,
    )
