"""A session is replaced while its caller talks, through real sockets: nobody notices.

Two calls stand side by side in one process, with the same caller, frame by frame; the
session of one grows old. What the model is given, and when, must be the same in both.
"""

import asyncio
import base64
import time
from contextlib import asynccontextmanager

import pytest

from bench.simulation.scenario import number_of, stamp
from bridge.call import session_rollover
from bridge.ports.connections import Connections
from bridge.ports.port_demux import PortDemux
from bridge.sandbox.clips import clip
from bridge.sandbox.realtime import RealtimeServer
from bridge.sandbox.script import Faults, Reply, Script
from tests.bridge import builders, loopback, ws_peer

FRAME_S = 0.02
# When the old session's successor is asked for, and how long that takes to configure.
DUE_S = 2.2
CONFIGURE_MS = 400
QUIET = b"\xfe\x7e" * 80
SPEECH = builders.clip("human-en-command-1")
ANSWER = Reply(clip("ai-en-offer").audio[:2_400], "On Tuesday.")
SCRIPT = Script(greeting=[ANSWER], otherwise=[ANSWER])
PATIENCE_S = 30.0


class Caller:
    """One call: its loopback, and the caller's end of its stream."""

    def __init__(self, place, peer):
        self.place = place
        self.call = place.line.call
        self._peer = peer

    def say(self, frame, number):
        message = loopback.media_message(stamp(frame, number))
        at = f'"timestamp":"{number * 20}","payload"'.encode()
        self._peer.send_text(message.replace(b'"payload"', at))


@asynccontextmanager
async def calling(model):
    """Bring a call to where its caller may talk."""
    place = loopback.Loopback(None, int(model.url.split(":")[2].split("/")[0]))
    loop = asyncio.get_running_loop()
    port_demux = await loop.create_server(
        lambda: PortDemux(place, asyncio.Protocol, Connections(place.metrics)),
        "127.0.0.1",
        0,
    )
    place.port = port_demux.sockets[0].getsockname()[1]
    sessions = len(model.sessions)
    plan = builders.plan(noise_calibration_ms=200, idle_prompt_ms=600_000)
    line = place.new_driver(plan)
    line.open_model()
    await ws_peer.until(lambda: len(model.sessions) > sessions)
    await ws_peer.until(lambda: line.call.is_session_ready)
    peer = await place.open_stream()
    try:
        yield Caller(place, peer)
    finally:
        line.receive(line.call.receive_hangup, "test over")
        await ws_peer.until(lambda: not line.is_connected)
        await peer.close()
        port_demux.close()
        await port_demux.wait_closed()


async def talk(callers, frames, first=0):
    """Send each caller the same frames in real time; return when each was sent."""
    sent, began = [], time.monotonic() - first * FRAME_S
    for number, frame in enumerate(frames, first):
        await asyncio.sleep(max(0.0, began + number * FRAME_S - time.monotonic()))
        sent.append(time.monotonic())
        for caller in callers:
            caller.say(frame(callers) if callable(frame) else frame, number)
    return sent


def heard(sessions):
    """Return the caller's frames that reached these sessions, and when, in order."""
    return [
        (number_of(piece.audio), piece.at, at)
        for at, session in enumerate(sessions)
        for piece in session.audio
        if piece.audio != builders.SILENCE
    ]


async def side_by_side(frames, scripts=SCRIPT, last=()):
    """Run two calls; return their sessions, the old one's call, and when was sent."""
    async with RealtimeServer(
        scripts, api_key="sk-test", configure_ms=CONFIGURE_MS, thinking_ms=150
    ) as model:
        async with calling(model) as plain, calling(model) as renewed:
            call = renewed.call
            call.timers.set(session_rollover.Timer.RENEW, call.now + DUE_S)
            sent = await talk((plain, renewed), frames)
            await asyncio.sleep(0.1)
            complaints = [one.violations for one in model.sessions]
            assert complaints == [[] for _ in complaints[:-1]] + [list(last)]
        return model.sessions[:1], model.sessions[1:], call, sent


def run(frames, **options):
    return asyncio.run(asyncio.wait_for(side_by_side(frames, **options), PATIENCE_S))


def turns(*quiet):
    """A caller who says the same again after each of these rests."""
    frames = []
    for rest in quiet:
        frames += [QUIET] * rest + SPEECH[:50]
    return frames + [QUIET] * 40


@pytest.mark.parametrize("rest", (26, 44))
def test_every_frame_reaches_one_session_and_none_is_late(rest):
    # The second turn begins while the standby session is prepared, or takes its place.
    plain, renewed, call, _ = run(turns(30, rest, 85))

    assert call.counters.changed_sessions == 1
    assert len(renewed) == 2
    assert renewed[0].closed_at is not None
    control, ours = heard(plain), heard(renewed)
    assert [one[0] for one in ours] == [one[0] for one in control]
    assert {session for _, _, session in ours} == {0, 1}
    late_s = [a[1] - b[1] for a, b in zip(ours, control, strict=True)]
    assert max(late_s) < FRAME_S
    # The new session knows all that was said before, in its order.
    said = [(one.fields["role"], one.text) for one in renewed[0].conversation]
    told = [(one.fields["role"], one.text) for one in renewed[1].conversation]
    assert told[: len(said)] == said


def test_a_standby_session_that_is_refused_is_nobodys_loss():
    refusing = Script(faults=Faults(refuse_update="invalid_value"))
    plain, renewed, call, _ = run(
        turns(30, 60),
        scripts=[SCRIPT, SCRIPT, refusing],
        last=["invalid_value: Refused by the sandbox."],
    )

    assert call.counters.failed_standbys == 1
    assert call.counters.changed_sessions == call.counters.reopened_sessions == 0
    assert [one[0] for one in heard(renewed)] == [one[0] for one in heard(plain)]


async def lost_in_the_midst(frames, lost_at):
    """Cut the model's socket at that frame of a call; return both sessions."""
    async with RealtimeServer(
        SCRIPT, api_key="sk-test", thinking_ms=150, transcription_ms=5_000
    ) as model:
        async with calling(model) as caller:
            await talk((caller,), frames[:lost_at])
            model.sessions[0].drop(1011)
            await talk((caller,), frames[lost_at:], lost_at)
            await asyncio.sleep(0.3)
            assert [one.violations for one in model.sessions] == [[], []]
        return model.sessions, caller.call


def cut_off(lost_at):
    """The frames of one turn that each of two sessions heard, and both sessions."""
    frames = [QUIET] * 30 + SPEECH[:65] + [QUIET] * 85
    run_it = asyncio.wait_for(lost_in_the_midst(frames, lost_at), PATIENCE_S)
    sessions, call = asyncio.run(run_it)
    assert call.counters.reopened_sessions == 1
    first, second = ([one[0] for one in heard([session])] for session in sessions)
    return first, second, sessions[1]


def test_a_turn_that_is_cut_off_reaches_the_next_session_from_its_first_frame():
    first, second, session = cut_off(60)

    assert second[: len(first)] == first
    assert second[len(first) :] == list(range(first[-1] + 1, second[-1] + 1))
    assert len(second) > 2 * len(first)
    assert [one.fields["role"] for one in session.conversation] == ["user", "assistant"]


def test_a_turn_that_was_not_written_down_reaches_the_next_session_as_sound():
    first, second, session = cut_off(150)
    turn, answer = session.conversation

    assert second == []
    (part,) = turn.fields["content"]
    sound = base64.b64decode(part["audio"])
    frames = [sound[at : at + 160] for at in range(0, len(sound), 160)]
    assert [number_of(one) for one in frames if one != builders.SILENCE] == first
    assert answer.fields["role"] == "assistant"
