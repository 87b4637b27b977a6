"""The two legs over loopback: what they take, what they drop, how they close."""

import asyncio
from socket import SO_SNDBUF, SOL_SOCKET

import pytest

from bridge.call.plan import Leg
from bridge.line import backlog, legs, websocket
from bridge.ports import port_demux
from bridge.realtime import openai
from bridge.telephony import twilio
from tests.bridge import builders, loopback, ws_peer


@loopback.told
async def test_stream_is_the_calls_from_its_start_message_on(place):
    line = place.new_driver()
    peer = await place.open_stream()
    peer.send_text(loopback.media_message())
    await ws_peer.until(lambda: line.call.fast_path.rx_frames == 1)

    assert line.call.call_record.stream_sid == builders.STREAM_SID
    await peer.close()


@pytest.mark.parametrize(
    ("first", "reason"),
    [
        (ws_peer.frame(ws_peer.TEXT, loopback.media_message()), "no_start"),
        (ws_peer.frame(ws_peer.TEXT, b"{"), "malformed"),
        (ws_peer.frame(ws_peer.BINARY, b"\x00"), "malformed"),
    ],
    ids=["media", "text", "binary"],  # a frame's mask is random
)
@loopback.told
async def test_stream_that_does_not_begin_with_start_is_closed(place, first, reason):
    peer = await place.open_stream(start=False)
    peer.send(first)

    assert (await loopback.expect(peer, ws_peer.CLOSE))[:2] == (1008).to_bytes(2)
    assert place.metrics.value("refused_streams", reason=reason) == 1
    await peer.close()


@loopback.told
async def test_a_message_of_an_unknown_event_may_come_before_start(place):
    line = place.new_driver()
    peer = await place.open_stream(start=False)
    for message in (b'{"event":"new"}', loopback.CONNECTED, b'{"event":"new","x":1}'):
        peer.send_text(message)
    peer.send_text(loopback.start_message())
    await ws_peer.until(lambda: line.twilio_leg is not None)

    assert place.metrics.value("refused_streams", reason="no_start") == 0
    await peer.close()


@loopback.told
async def test_messages_that_put_start_off_end_the_stream(place, monkeypatch):
    monkeypatch.setattr(legs, "START_WAIT_S", 60.0)
    line = place.new_driver()
    peer = await place.open_stream(start=False)
    for _ in range(legs.FIRST_MESSAGES_MAX):
        peer.send_text(loopback.CONNECTED)
    peer.send_text(loopback.start_message())

    assert (await loopback.expect(peer, ws_peer.CLOSE))[:2] == (1008).to_bytes(2)
    assert place.metrics.value("refused_streams", reason="no_start") == 1
    assert line.twilio_leg is None
    await peer.close()


@loopback.told
async def test_stream_without_start_is_not_waited_for(place, monkeypatch):
    monkeypatch.setattr(legs, "START_WAIT_S", 0.01)

    peer = await place.open_stream(start=False)
    peer.send_text(loopback.CONNECTED)

    assert (await loopback.expect(peer, ws_peer.CLOSE))[:2] == (1008).to_bytes(2)
    assert place.metrics.value("refused_streams", reason="no_start") == 1
    await peer.close()


@loopback.told
async def test_stream_the_lobby_refuses_is_closed_with_its_reason_counted(place):
    place.refusal = "token"
    peer = await place.open_stream()

    assert (await loopback.expect(peer, ws_peer.CLOSE))[:2] == (1008).to_bytes(2)
    assert place.metrics.value("refused_streams", reason="token") == 1
    await peer.close()


@loopback.told
async def test_what_is_no_message_is_counted_and_the_call_goes_on(place):
    call = place.new_driver().call
    peer = await place.open_stream()
    large = b'{"event":"mark","x":"' + b"y" * twilio.MESSAGE_BYTES_MAX + b'"}'
    for bad in (b"{", b'{"event":"media","media":{"payload":"%"}}', large):
        peer.send_text(bad)
    peer.send(ws_peer.frame(ws_peer.BINARY, b"\x00"))
    peer.send_text(b'{"event":"new","x":1}')
    peer.send_text(loopback.media_message())
    await ws_peer.until(lambda: call.fast_path.rx_frames == 1)

    assert call.counters.malformed_twilio == 4
    assert call.counters.unknown_twilio == 1
    await peer.close()


@loopback.told
async def test_fragments_are_joined_and_pings_between_them_answered(place):
    call = place.new_driver().call
    peer, message = await place.open_stream(), loopback.media_message()
    peer.send(ws_peer.frame(ws_peer.TEXT, message[:10], fin=False))
    peer.send(ws_peer.frame(ws_peer.PING, b"?"))
    peer.send(ws_peer.frame(ws_peer.CONTINUATION, message[10:20], fin=False))
    peer.send(ws_peer.frame(ws_peer.CONTINUATION, message[20:]))

    assert await peer.recv() == (ws_peer.PONG, b"?")
    await ws_peer.until(lambda: call.fast_path.rx_frames == 1)
    await peer.close()


@loopback.told
async def test_fragments_over_the_limit_are_dropped_to_the_last_one(place):
    call = place.new_driver().call
    peer = await place.open_stream()
    piece = b"x" * 9_000
    peer.send(ws_peer.frame(ws_peer.TEXT, piece, fin=False))
    peer.send(ws_peer.frame(ws_peer.CONTINUATION, piece, fin=False))
    peer.send(ws_peer.frame(ws_peer.CONTINUATION, piece))
    peer.send_text(loopback.media_message())
    await ws_peer.until(lambda: call.fast_path.rx_frames == 1)

    assert call.counters.malformed_twilio == 1
    await peer.close()


@loopback.told
async def test_frame_over_any_limit_closes_the_socket(place):
    line = place.new_driver()
    peer = await place.open_stream()
    peer.send_text(b"x" * 300_000)

    assert (await loopback.expect(peer, ws_peer.CLOSE))[:2] == (1009).to_bytes(2)
    await ws_peer.until(lambda: line.is_over)
    await peer.close()


@loopback.told
async def test_close_of_the_other_side_is_answered_and_told_to_the_call(place):
    line = place.new_driver()
    peer = await place.open_stream()
    peer.send(ws_peer.frame(ws_peer.CLOSE, (1000).to_bytes(2)))

    assert (await loopback.expect(peer, ws_peer.CLOSE))[:2] == (1000).to_bytes(2)
    assert await peer.ended() == b""
    await ws_peer.until(lambda: line.is_over)
    assert line.record().end_reason == "caller_leg_lost"
    await peer.close()


@loopback.told
async def test_socket_whose_close_is_not_answered_is_ended(place, monkeypatch):
    monkeypatch.setattr(websocket, "CLOSE_WAIT_S", 0.01)

    line, peer = await place.join()
    line.receive(line.call.receive_hangup, "tested")
    line.twilio_leg.close()

    assert (await loopback.expect(peer, ws_peer.CLOSE))[:2] == (1000).to_bytes(2)
    await ws_peer.until(lambda: not line.twilio_leg.is_open)
    await peer.close()


class Slow(legs.TwilioLeg):
    """A leg whose peer has not read `waiting` bytes."""

    def __init__(self, lobby, waiting):
        super().__init__(lobby)
        self._waiting = waiting

    def on_ws_connected(self, transport):
        super().on_ws_connected(transport)
        self.backlog.open(self, self._drop)

    def get_write_buffer_size(self):
        return self._waiting


@pytest.mark.parametrize(
    ("waiting", "arrives", "counted", "is_open"),
    [
        (backlog.AUDIO_WAITING_BYTES_MAX, ["media", "clear"], "", True),
        (
            backlog.AUDIO_WAITING_BYTES_MAX + 1,
            ["clear"],
            "twilio_audio_waiting",
            True,
        ),
        (backlog.WAITING_BYTES_MAX + 1, [], "twilio_waiting_bytes", False),
    ],
)
@loopback.told
async def test_peer_that_reads_slowly_loses_audio_first_and_then_its_socket(
    place, waiting, arrives, counted, is_open
):
    place.new_driver()
    place.admit_stream = lambda head: Slow(place, waiting)
    peer = await place.open_stream()
    await ws_peer.until(lambda: place.line.twilio_leg is not None)
    leg = place.line.twilio_leg
    leg.perform(twilio.OutboundAudio("x", b"\xff" * 160))
    if leg.is_open and is_open:
        leg.perform(twilio.Clear("x"))
    leg.flush()

    for event in arrives:
        assert event.encode() in await loopback.expect(peer)
    if counted:
        assert place.metrics.value("dropped", limit=counted) == 1
    if not is_open:
        await ws_peer.until(lambda: not leg.is_open)
    await peer.close()


@loopback.told
async def test_peer_that_reads_nothing_and_says_goodbye_is_not_waited_for(
    place, monkeypatch
):
    monkeypatch.setattr(websocket, "CLOSE_WAIT_S", 0.05)

    line, peer = await place.join()
    leg = line.twilio_leg
    peer.reader._transport.pause_reading()
    below = leg._transport.underlying_transport
    while below.get_write_buffer_size() < backlog.WAITING_BYTES_MAX // 2:
        leg.perform(twilio.Clear("x" * 1_000))
        leg.flush()
    peer.send(ws_peer.frame(ws_peer.CLOSE, (1000).to_bytes(2)))

    await ws_peer.until(lambda: not leg.is_open)
    await ws_peer.until(lambda: line.is_over)
    await peer.close()


@loopback.told
async def test_kernel_takes_seconds_of_audio_and_not_minutes(place):
    line, peer = await place.join()
    below = line.twilio_leg._transport.underlying_transport
    size = below.get_extra_info("socket").getsockopt(SOL_SOCKET, SO_SNDBUF)

    assert size == 2 * websocket.SEND_BUFFER_BYTES
    await peer.close()


@loopback.told
async def test_stream_whose_other_side_is_gone_without_a_word_is_cut(
    place, monkeypatch
):
    monkeypatch.setattr(port_demux, "STREAM_PING_S", 0.02)

    line, peer = await place.join()

    # Whoever lives would answer the ping.
    await ws_peer.until(lambda: line.is_over)
    assert line.record().end_reason == "caller_leg_lost"
    await peer.close()


@loopback.told
async def test_burst_is_written_at_once_each_message_in_a_frame_of_its_own(place):
    line, peer = await place.join()
    leg = line.twilio_leg
    names = ["a", "b" * 200, "c" * 70_000]
    for name in names:
        leg.perform(twilio.OutboundMark("MZ", twilio.MarkBody(name)))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(peer.recv(), 0.05)
    leg.flush()

    for name in names:
        assert f'"{name}"'.encode() in await loopback.expect(peer)
    await peer.close()


@loopback.told
async def test_model_is_asked_for_with_key_model_and_a_name_for_the_caller(place):
    place.new_driver()
    model = await place.open_model()

    (head,) = place.model.heads
    assert head.startswith("GET /v1/realtime?model=gpt-realtime-2.1 HTTP/1.1")
    assert "Authorization: Bearer sk-test\r\n" in head
    assert "OpenAI-Beta" not in head
    (identifier,) = (
        line.partition(": ")[2]
        for line in head.split("\r\n")
        if line.startswith("OpenAI-Safety-Identifier")
    )
    assert len(identifier) == 64
    assert place.line.call.plan.from_number[-4:] not in identifier
    await model.close()


@loopback.told
async def test_event_nobody_knows_is_counted_and_one_nobody_reads_is_not(place):
    call = place.new_driver().call
    model = await place.open_model()
    model.send_text(b'{"type":"rate_limits.updated","rate_limits":[]}')
    model.send_text(b'{"type":"response.sparkled"}')
    model.send_text(b'{"type":"response.output_audio.delta"}')
    model.send(ws_peer.frame(ws_peer.BINARY, b"\x00", mask=False))
    await ws_peer.until(lambda: call.counters.malformed_openai == 2)

    assert call.counters.unknown_openai == 1
    await model.close()


def test_model_that_closes_is_told_to_the_call_with_its_reason(caplog):
    async def told():
        async with loopback.opened() as place:
            line = place.new_driver()
            model = await place.open_model()
            model.send(
                ws_peer.frame(ws_peer.CLOSE, (4000).to_bytes(2) + b"gone", mask=False)
            )
            await ws_peer.until(lambda: line.call.counters.retried_handshakes == 1)

            assert "to be tried again: closed with 4000 gone" in caplog.text
            await model.close()

    with caplog.at_level("INFO", "kolbridge"):
        ws_peer.run(told)


@loopback.told
async def test_nothing_is_sent_where_there_is_no_socket(place):
    line = place.new_driver()
    line.model_leg.perform(openai.CommitAudio())
    line.model_leg.close()

    assert not line.model_leg.is_open


@loopback.told
async def test_legs_are_named_as_the_call_names_them(place):
    line = place.new_driver()
    standby = legs.OpenAILeg(line, place.metrics, Leg.STANDBY)

    assert legs.TwilioLeg.leg is Leg.TWILIO
    assert (line.model_leg.leg, standby.leg) == (Leg.OPENAI, Leg.STANDBY)


@pytest.mark.parametrize("has_started", [False, True])
def test_pongs_that_nobody_reads_do_not_pile_up(monkeypatch, has_started):
    monkeypatch.setattr(websocket, "LOOK_S", 0.01)
    monkeypatch.setattr(backlog, "WAITING_BYTES_MAX", 100_000)
    monkeypatch.setattr(legs, "START_WAIT_S", 60.0)

    async def told():
        async with loopback.opened() as place:
            place.new_driver()
            peer = await place.open_stream(start=has_started)
            peer.reader._transport.pause_reading()
            pings = ws_peer.frame(ws_peer.PING, b"x" * 125) * 100
            loop, began = asyncio.get_running_loop(), asyncio.get_running_loop().time()
            while not peer.writer.transport.is_closing() and loop.time() < began + 8:
                peer.send(pings)
                await asyncio.sleep(0)

            assert peer.writer.transport.is_closing()
            unread = place.metrics.value("refused_streams", reason="unread")
            cut = place.metrics.value("dropped", limit="twilio_waiting_bytes")
            assert (unread, cut) == ((0, 1) if has_started else (1, 0))
            peer.writer.transport.abort()

    ws_peer.run(told, ws_peer.LOOPS["uvloop"])
