"""The fast path between real sockets: taken for what is usual, left for what is not."""

import asyncio
from contextlib import suppress

import pytest

from bridge.line import legs
from bridge.line.backlog import AUDIO_WAITING_BYTES_MAX, WAITING_BYTES_MAX, Backlog
from bridge.line.fast_path import Appender
from bridge.telephony import twilio
from tests.bridge import builders, loopback, ws_peer
from tests.bridge.media.test_fast_path import text

VOICE = builders.clip("human-en-reader-1")[:100]


class Transport:
    """A socket of picows' in which so many bytes wait, and what it was given."""

    def __init__(self, waiting_bytes):
        self.underlying_transport = self
        self.get_write_buffer_size = lambda: waiting_bytes
        self.sent = []

    def send_reuse_external_bytearray(self, kind, buffer, room):
        self.sent.append(bytes(buffer[room:]))


@pytest.mark.parametrize(
    ("waiting_bytes", "takes_audio", "takes_else", "dropped"),
    [
        (0, True, True, []),
        (AUDIO_WAITING_BYTES_MAX, True, True, []),
        (AUDIO_WAITING_BYTES_MAX + 1, False, True, [False]),
        (WAITING_BYTES_MAX, False, True, [False]),
        (WAITING_BYTES_MAX + 1, False, False, [True, True]),
    ],
)
def test_audio_is_dropped_first_and_then_the_peer(
    waiting_bytes, takes_audio, takes_else, dropped
):
    backlog, told = Backlog(), []
    backlog.open(Transport(waiting_bytes - 7), told.append)

    assert backlog.takes(True, 7) is takes_audio
    assert backlog.takes(False, 7) is takes_else
    assert told == dropped
    backlog.close()
    assert not backlog.takes(False)


@pytest.mark.parametrize("over_bytes", [0, 1])
def test_model_that_reads_slowly_is_given_no_audio_the_short_way(over_bytes):
    transport = Transport(AUDIO_WAITING_BYTES_MAX + over_bytes)
    backlog, told = Backlog(), []
    appender = Appender(backlog)
    backlog.open(transport, told.append)
    appender.open(transport)
    appender.append(builders.SILENCE)

    assert len(transport.sent) == 1 - over_bytes
    assert told == [False] * over_bytes


async def listening(place):
    """Return the line and both its other ends, once it hears the caller."""
    line = place.new_driver(builders.plan())
    peer, model = await place.open_stream(), await place.open_model()
    model.send_text(loopback.CREATED)
    assert (await model.event())["type"] == "session.update"
    model.send_text(loopback.UPDATED)
    peer.send_text(text(builders.SILENCE, 0))
    await ws_peer.until(
        lambda: line.call.fast_path.is_open and line.call.fast_path.rx_frames == 1
    )
    return line, peer, model


@loopback.told
async def test_usual_frames_never_take_the_long_way(place, monkeypatch):
    line, peer, model = await listening(place)
    monkeypatch.setattr(twilio, "decode", None)
    for number, frame in enumerate(VOICE, 1):
        peer.send_text(text(frame, number))
    await ws_peer.until(lambda: line.call.fast_path.rx_frames == 1 + len(VOICE))

    assert (await model.event())["type"] == "input_audio_buffer.append"
    assert not line.is_over
    monkeypatch.undo()
    peer.send_text(loopback.STOP)
    await ws_peer.until(lambda: line.is_over)
    assert line.record().end_reason == "caller_hung_up"
    await peer.close()
    await model.close()


@loopback.told
async def test_our_own_bug_on_it_ends_the_call(place, monkeypatch, caplog):
    line, peer, model = await listening(place)
    monkeypatch.setattr(line, "weigh", None)
    for number, frame in enumerate(VOICE, 1):
        peer.send_text(text(frame, number))
    await ws_peer.until(lambda: line.is_over)

    assert line.record().end_reason == "internal_error"
    assert "internal error: the call ends" in caplog.text
    await peer.close()
    await model.close()


@loopback.told
async def test_model_that_is_gone_is_given_nothing(place):
    line, peer, model = await listening(place)
    gone = line.model_leg.appender
    await model.close()
    await ws_peer.until(lambda: line.model_leg.appender is not gone)

    gone.append(builders.SILENCE)
    assert line.fast_path.appender is line.model_leg.appender
    await peer.close()


KEY = b'{"event":"dtmf","dtmf":{"digit":"1"}}'


@loopback.told
async def test_a_flood_is_dropped_and_not_read_for_a_while(place, monkeypatch):
    monkeypatch.setattr(legs, "FLOOD_REST_S", 0.2)
    line, peer, model = await listening(place)
    fast_path, counters = line.call.fast_path, line.call.counters
    for _ in range(10_000):
        peer.send_text(KEY)
    peer.send_text(text(builders.SILENCE, 1))
    await ws_peer.until(lambda: fast_path.flood_messages)
    # What had been read with it, some KB, and no more.
    dropped = fast_path.flood_messages
    assert dropped < 1_000
    assert counters.malformed_twilio >= 1
    await asyncio.sleep(0.05)
    assert fast_path.flood_messages == dropped

    # It is read on, as much as the kernel holds back, and comes to an end.
    await ws_peer.until(lambda: fast_path.flood_messages > dropped)
    assert fast_path.flood_messages < dropped + 2 * 2 * legs.RECEIVE_BUFFER_BYTES / len(
        KEY
    )
    assert not line.is_over
    monkeypatch.setattr(legs, "FLOOD_REST_S", 0.0)
    while not line.is_over:
        for _ in range(200):
            peer.send_text(KEY)
        await asyncio.sleep(0.01)
    assert line.record().end_reason == "malformed_twilio"
    await peer.close()
    await model.close()


@loopback.told
async def test_audio_with_blanks_goes_the_long_way_and_is_no_flood(place):
    line, peer, model = await listening(place)
    for number in range(1, 101):
        peer.send_text(text(VOICE[0], number).replace(b'":', b'": '))
    await ws_peer.until(lambda: line.call.fast_path.rx_frames == 101)
    assert line.call.fast_path.flood_messages == 0
    await peer.close()
    await model.close()


@loopback.told
async def test_who_is_lost_while_his_flood_rests_leaves_no_timer(place, monkeypatch):
    line, peer, model = await listening(place)
    for _ in range(100):
        peer.send_text(KEY)
    await ws_peer.until(lambda: line.call.fast_path.flood_messages)
    leg = line.twilio_leg
    leg._transport.disconnect(False)
    await ws_peer.until(lambda: not leg.is_open)
    assert leg._rest_timer.cancelled()
    with suppress(ConnectionResetError):  # what they sent and nobody read
        await peer.close()
    await model.close()
