"""`python -m bench turns`: how late a caller's turn ends, and how much of it is lost.

Recorded speech, mixed with noise, goes through the pure core frame by frame, on
simulated time. The figures are the same on every machine. For each mode the bench
reports the bridge's own share in ms: from the caller's last sound to the first frame of
the answer at Twilio, less TURN_SILENCE_MS and less the model's time.

- *gate*: the bridge commits and requests; the model answers MODEL_S later;
- *server_vad*: an ideal turn detection counts the appended audio. It ends the turn
  TURN_SILENCE_MS of audio after the last of the caller's speech. The share is the time
  by which the appended audio lags behind the caller's.

The last sound is that of the clean recording, within 30 dB of its loud parts
(`bench.cases`), also where noise covers it. *heard* is counted from the last sound that
the noise does not cover. *Committed early* are pauses of 0.30 to 0.47 s between words
(`bench.pauses`), which `gate` mode takes for the end of the turn. *lost* is speech that
was sent as silence or never, in ms of each call. The network and the microseconds a
frame takes (`bench.walks`) are left out.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.cases import Case, cases
from bench.command_line import parser_of
from bench.distributions import report
from bench.pauses import Words, words
from bench.walks import answered
from bridge.call.machine import Call
from bridge.realtime import openai
from bridge.settings.options import CallOptions, merge
from bridge.telephony import twilio
from dsp.g711 import FRAME_BYTES, FRAME_MS

FRAME_S = FRAME_MS / 1e3
MODEL_S = 0.3
# A silent caller is not prompted within the length of a recording.
OPTIONS = merge(CallOptions(), {"idle_prompt_ms": 600_000})
# The gate hears a word that begins after a pause within this time.
RESUMED_S = 0.3
ANSWER = b"\x80" * FRAME_BYTES
# At -39 dBFS: its echo could not hide a caller.
FAINT = b"\xe0\x60" * (FRAME_BYTES // 2)


def gate_ms(case: Case) -> float | None:
    """Return the bridge's share of a turn's end in `gate` mode; None without an end."""
    call = answered(merge(OPTIONS, {"turn_detection": "gate"}))
    silence_ms = call.plan.options.turn_silence_ms
    asked_at: float | None = None
    share_ms = None
    for now, actions in _walk(call, case.frames):
        if any(type(action) is openai.ResponseCreate for action in actions):
            asked_at = now
        if asked_at is not None and now >= asked_at + MODEL_S:
            if _answer(call, now):
                share_ms = (now - MODEL_S - case.end_s) * 1e3 - silence_ms
            asked_at = None
    return share_ms


def _answer(call: Call, now: float, sound: bytes = ANSWER) -> bool:
    """Let the model say a frame; tell whether it reached Twilio at once."""
    response = openai.Response(id=f"r{now}", status="completed")
    call.receive_openai(openai.ResponseCreated(response=response), now)
    delta = openai.AudioDelta(response.id, response.id, 0, sound)
    actions = call.receive_openai(delta, now)
    call.receive_openai(openai.AudioDone(response.id, response.id), now)
    call.receive_openai(openai.ResponseDone(response=response), now)
    return any(type(action) is twilio.OutboundAudio for action in actions)


def server_ms(case: Case) -> tuple[float | None, float]:
    """Return the appended audio's lag at a turn's end, and the speech lost, in ms."""
    call = answered(merge(OPTIONS, {"turn_detection": "server_vad"}))
    silence = call.plan.options.turn_silence_ms // FRAME_MS
    is_said, kept = _said(case), set()
    places = {id(frame): at for at, frame in enumerate(case.frames)}
    appended, last, is_open, share_ms = 0, 0, False, None
    for now, actions in _walk(call, case.frames):
        for action in actions:
            if type(action) is not openai.AppendAudio:
                continue
            appended += 1
            at = places.get(id(action.audio), -1)
            if at >= 0 and is_said[at]:
                kept.add(at)
                last = appended
                if not is_open:
                    call.receive_openai(openai.SpeechStarted("i", last * FRAME_MS), now)
                is_open = True
            elif is_open and appended - last == silence:
                stopped = openai.SpeechStopped("i", appended * FRAME_MS)
                call.receive_openai(stopped, now)
                share_ms = (now - case.end_s - silence * FRAME_S) * 1e3
                is_open = False
    return share_ms, float(FRAME_MS * (is_said.sum() - len(kept)))


def _said(case: Case) -> NDArray[np.bool_]:
    is_said = np.zeros(len(case.frames), bool)
    for start, end in case.speech:
        is_said[int(start / FRAME_S) : int(np.ceil(end / FRAME_S))] = True
    return is_said


def _ends(frames: list[bytes]) -> list[float]:
    """Return when turns end in `gate` mode.

    A silent answer would be asked for again, and a missing one waited for.
    """
    call = answered(merge(OPTIONS, {"turn_detection": "gate"}))
    ended: list[float] = []
    for now, actions in _walk(call, frames):
        kinds = {type(action) for action in actions}
        if kinds & {openai.CommitAudio, openai.ClearAudio}:
            ended.append(now)
        if openai.ResponseCreate in kinds:
            _answer(call, now, FAINT)
    return ended


def early(spoken: Words) -> int:
    """Return how many pauses between words end the turn."""
    ended = _ends(spoken.frames)
    return sum(
        any(start < now <= end + RESUMED_S for now in ended)
        for start, end in spoken.pauses
    )


def _walk(call: Call, frames: list[bytes]) -> Iterator[tuple[float, list[Any]]]:
    """Play the caller's frames."""
    for number, frame in enumerate(frames, 1):
        now = number * FRAME_S
        actions: list[Any] = []
        while call.deadline is not None and call.deadline <= now:
            actions += call.receive_timeout(max(call.deadline, call.now))
        media = twilio.Media(media=twilio.MediaBody(payload=frame, timestamp=""))
        yield now, actions + call.receive_twilio(media, now)


def measure(every: int = 1) -> dict[str, Any]:
    """Return the distributions over every n-th case, and the cases without an end."""
    names = ("gate_ms", "gate_heard_ms", "server_vad_ms", "lost_ms")
    found: dict[str, list[float]] = {name: [] for name in names}
    missed: list[str] = []
    for case in list(cases())[::every]:
        covered_ms = (case.end_s - case.heard_end_s) * 1e3
        by_gate, (by_server, lost_ms) = gate_ms(case), server_ms(case)
        if by_gate is None or by_server is None:
            missed.append(case.name)
            continue
        row = (by_gate, by_gate + covered_ms, by_server, lost_ms)
        for name, value in zip(names, row, strict=True):
            found[name].append(round(value, 1))
    paused: dict[str, list[int]] = {}
    for spoken in list(words())[::every]:
        count = paused.setdefault(spoken.name, [0, 0])
        count[0] += early(spoken)
        count[1] += len(spoken.pauses)
    return {"values": found, "missed": missed, "early": paused}


def main(argv: list[str]) -> int:
    """Measure, print and draw."""
    parser = parser_of("turns", __doc__)
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    parser.add_argument("--every", type=int, default=1, help="play every n-th case (1)")
    args = parser.parse_args(argv)
    results = measure(args.every)
    report(args.out, "turns", results)
    for name, (count, pauses) in results["early"].items():
        print(f"committed early, {name}: {count} of {pauses} pauses")
    print(f"never ended: {len(results['missed'])}")
    for case in results["missed"]:
        print(f"  never ended: {case}")
    return 0
