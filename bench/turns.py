"""`python -m bench turns`: how fast a caller is let in, and how fast his turn ends.

Recorded speech, mixed with noise, goes through the pure core frame by frame, on
simulated time: the same figures on every machine. Two distributions, in ms:

- *barge-in*: from the true onset of the caller's speech over the AI to the `clear`;
- *turn end*: in `gate` mode, from the true end of his speech to the commit, less
  TURN_SILENCE_MS. It is the share that is ours; the rest was asked for.

The onset and the end are those of the clean recording (`bench.gate.subset.activity`).
What is not there: the network, and the microseconds a frame takes (`bench.walks`).
"""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson

from bench.gate import subset
from bench.load import spread
from bench.walks import answered
from bridge import openai, twilio
from bridge.call import Call
from bridge.options import FRAME_BYTES, FRAME_MS, CallOptions, merge

RATE = 8_000
FRAME_S = FRAME_MS / 1e3
# The gate knows the line by then, and the AI has been heard for a second.
ONSET_S = 3.0
AI_BEGINS_S = 2.0
AFTER_S = 3.0
LEVEL_DBOV = -26.0
NOISES = ("none", "pink", "fan", "hum")
SNRS_DB = (20, 10)
# Where in its frame a word begins makes up to 20 ms: several places are tried.
SHIFTS_MS = (0.0, 7.0, 13.0)
BINS_MS = 10


class Case(NamedTuple):
    """One caller in one noise: his line in mu-law, and when he speaks, in s."""

    name: str
    frames: list[bytes]
    onset_s: float
    end_s: float


def cases() -> Iterator[Case]:
    """Yield each voice in each noise, beginning at several places in a frame."""
    for voice_at, voice in enumerate(subset.VOICES):
        for noise in NOISES:
            for snr_db in SNRS_DB if noise != "none" else (60,):
                for shift_ms in SHIFTS_MS:
                    yield _case(voice, noise, snr_db, shift_ms, voice_at)


def _case(voice: str, noise: str, snr_db: int, shift_ms: float, seed: int) -> Case:
    rng = np.random.default_rng(seed)
    speech = subset.samples(voice)
    parts = subset.activity(speech)
    level = 10 ** (LEVEL_DBOV / 20)
    at_s = ONSET_S + shift_ms / 1e3
    near = np.zeros(int(RATE * (at_s + len(speech) / RATE + AFTER_S)))
    subset.put(near, at_s, speech / subset.active_rms(speech) * level)
    if noise != "none":
        ground = subset.background(noise, len(near), rng)
        near += ground / subset.rms(ground) * level * 10 ** (-snr_db / 20)
    near += rng.normal(0, 10 ** (-68 / 20), len(near))
    data = subset.mulaw(near)
    whole = len(data) - len(data) % FRAME_BYTES
    return Case(
        f"{voice} {noise} {snr_db} dB +{shift_ms:g} ms",
        [data[at : at + FRAME_BYTES] for at in range(0, whole, FRAME_BYTES)],
        at_s + parts[0][0],
        at_s + parts[-1][1],
    )


def barge_in_ms(case: Case) -> float | None:
    """Return the time from the onset to the clear; None if it never came."""
    call = answered()
    reply = subset.clip("ai-en-offer").audio * 2
    for now, actions in _walk(call, case, reply):
        if any(type(action) is twilio.Clear for action in actions):
            return (now - case.onset_s) * 1e3
    return None


def turn_end_ms(case: Case) -> float | None:
    """Return the time from the end of speech to the commit, less what was asked for."""
    call = answered(merge(CallOptions(), {"turn_detection": "gate"}))
    silence_ms = call.plan.options.turn_silence_ms
    ended_ms = None
    for now, actions in _walk(call, case, b""):
        if any(type(action) is openai.CommitAudio for action in actions):
            ended_ms = (now - case.end_s) * 1e3 - silence_ms
    return ended_ms


def _walk(call: Call, case: Case, reply: bytes) -> Iterator[tuple[float, list[Any]]]:
    """Play the caller's frames, and a reply of the AI's from AI_BEGINS_S on."""
    for number, frame in enumerate(case.frames, 1):
        now = number * FRAME_S
        actions: list[Any] = []
        while call.deadline is not None and call.deadline <= now:
            actions += call.receive_timeout(max(call.deadline, call.now))
        if reply and now >= AI_BEGINS_S:
            response = openai.Response(id="r")
            call.receive_openai(openai.ResponseCreated(response=response), now)
            call.receive_openai(openai.AudioDelta("r", "i", 0, reply), now)
            reply = b""
        media = twilio.Media(media=twilio.MediaBody(payload=frame, timestamp=""))
        yield now, actions + call.receive_twilio(media, now)


def measure(every: int = 1) -> dict[str, Any]:
    """Return both distributions over every n-th case, and what was missed."""
    found: dict[str, list[float]] = {"barge_in_ms": [], "turn_end_ms": []}
    missed: dict[str, list[str]] = {name: [] for name in found}
    for case in list(cases())[::every]:
        for name, how in (("barge_in_ms", barge_in_ms), ("turn_end_ms", turn_end_ms)):
            took_ms = how(case)
            if took_ms is None:
                missed[name].append(case.name)
            else:
                found[name].append(round(took_ms, 1))
    return {"values": found, "missed": missed}


def draw(path: Path, values: dict[str, list[float]]) -> None:
    """Draw both distributions."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(12, 4))
    titles = ("true onset to clear", "true end to commit, beyond the silence asked for")
    for axis, (name, found), title in zip(axes, values.items(), titles, strict=True):
        low, high = int(min(found)) // BINS_MS, int(max(found)) // BINS_MS + 2
        axis.hist(found, bins=[at * BINS_MS for at in range(low, high)])
        p99 = float(np.percentile(found, 99))
        axis.axvline(p99, color="tab:red", lw=1, label=f"p99 {p99:.0f} ms")
        axis.set(xlabel="ms", title=f"{name}: {title}")
        axis.legend()
    figure.tight_layout()
    figure.savefig(path)
    pyplot.close(figure)


def main(argv: list[str]) -> int:
    """Measure, print and draw."""
    parser = argparse.ArgumentParser(prog="python -m bench turns", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    parser.add_argument("--every", type=int, default=1, help="n-th case only (1)")
    args = parser.parse_args(argv)
    results = measure(args.every)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "turns.json").write_bytes(orjson.dumps(results))
    for name, found in results["values"].items():
        missed = results["missed"][name]
        print(f"{name}: {spread(found)} missed {len(missed)} of {len(found + missed)}")
        for case in missed:
            print(f"  missed: {case}")
    draw(args.out / "turns.png", results["values"])
    print(f"drawn: {args.out / 'turns.png'}")
    return 0
