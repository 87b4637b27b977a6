"""A line with two sessions: opened side by side, changed between two frames."""

from bridge.call.plan import CloseStandby, OpenStandby, ToStandby, UseStandby
from bridge.realtime import openai
from tests.bridge import loopback, ws_peer
from tests.bridge.line.test_driver import talking


async def two_sessions(place):
    """Open a second session beside the first; return the line and the model's ends."""
    peer, model = await talking(place)
    line = place.line
    line.receive(lambda now: [OpenStandby("old")])
    again = await place.model.peers.get()
    await ws_peer.until(lambda: line.open_sessions == 2)
    return line, peer, model, again


@loopback.told
async def test_next_session_is_opened_beside_the_first_and_takes_its_place(place):
    line, peer, model, again = await two_sessions(place)
    old = line.model_leg
    again.send_text(loopback.CREATED)  # the call has not asked for it: no answer
    line.receive(lambda now: [ToStandby(openai.CommitAudio())])
    assert (await again.event())["type"] == "input_audio_buffer.commit"
    frames = [openai.AppendAudio(bytes([one]) * 160) for one in (1, 2)]
    line.receive(lambda now: [frames[0], UseStandby("old"), frames[1]])

    assert (await model.event())["type"] == "input_audio_buffer.append"
    assert (await model.recv())[0] == ws_peer.CLOSE
    assert (await again.event())["type"] == "input_audio_buffer.append"
    assert line.model_leg is not old
    again.send_text(b"{")
    await ws_peer.until(lambda: line.call.counters.malformed_openai)
    await model.close()
    await ws_peer.until(lambda: not old.is_open)
    assert line.open_sessions == 1
    assert not line.is_over
    await again.close()
    await peer.close()


@loopback.told
async def test_next_session_that_is_given_up_is_closed_even_while_it_opens(place):
    peer, model = await talking(place)
    line = place.line
    line.receive(lambda now: [OpenStandby("old"), CloseStandby("no")])
    line.receive(lambda now: [OpenStandby("old")])
    again = await place.model.peers.get()
    await ws_peer.until(lambda: line.open_sessions == 2)
    line.receive(lambda now: [CloseStandby("no")])
    assert (await again.recv())[0] == ws_peer.CLOSE
    await again.close()
    await ws_peer.until(lambda: line.open_sessions == 1)
    assert not line.is_over
    await model.close()
    await peer.close()


@loopback.told
async def test_next_session_that_cannot_be_had_leaves_the_call_alone(place):
    peer, model = await talking(place)
    line = place.line
    place.model.status = b"503 Service Unavailable"
    line.receive(lambda now: _open_standby(line.call))
    await ws_peer.until(lambda: line.call.counters.failed_standbys)
    assert not line.is_over
    assert line.open_sessions == 1
    await model.close()
    await peer.close()


def _open_standby(call):
    return call.sessions.standby.open(call.now)


@loopback.told
async def test_both_sessions_are_closed_at_the_end(place):
    line, peer, model, again = await two_sessions(place)
    line.receive(line.call.receive_hangup, "tested")
    for one in (model, again):
        await loopback.expect(one, ws_peer.CLOSE)
        await one.close()
    await ws_peer.until(lambda: not line.is_connected)
    await peer.close()
