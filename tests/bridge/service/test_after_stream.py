"""What a caller gets whose stream has ended, with a stream that is cut."""

from bridge.call import streams
from bridge.recorder.recording import read
from bridge.recorder.replay import Replay
from bridge.service import after_stream
from bridge.service.after_stream import AfterStream
from bridge.switchboard.ended import Ended, EndedCalls
from bridge.telephony.twiml import Sentence
from tests.bridge import loopback, running_service, ws_peer
from tests.bridge.service.test_webhooks import run


async def talking(at):
    """Return a call's id and line and the caller's end of its stream."""
    sid = running_service.new_sid()
    token = running_service.parameters_of(await at.ring(sid))["token"]
    peer = await at.stream(sid, token)
    line = at.server.switchboard.find_driver(sid)
    await ws_peer.until(lambda: line.twilio_leg)
    return sid, line, peer


async def cut(line, peer):
    """End the socket as a proxy does that is killed."""
    peer.writer.transport.abort()
    await ws_peer.until(lambda: line.twilio_leg is None)


async def ask(at, sid, status="in-progress", **headers):
    _, body = await at.post(
        "/twilio/after-stream",
        headers=headers,
        CallSid=sid,
        CallStatus=status,
        To=at.number,
    )
    return body


def run_told(story_of):
    def test(database_url, tmp_path):
        run(story_of, database_url, tmp_path)

    test.__name__ = story_of.__name__
    test.__doc__ = story_of.__doc__
    return test


@run_told
async def test_caller_who_is_still_there_is_connected_to_the_same_call(at):
    sid, line, peer = await talking(at)
    first_token = line.token
    await cut(line, peer)
    await at.post(
        "/twilio/stream-status",
        CallSid=sid,
        StreamEvent="stream-error",
        StreamError="31903 broken pipe",
    )
    parameters = running_service.parameters_of(
        running_service.document_of(await ask(at, sid))
    )

    assert at.server.switchboard.find_driver(sid) is line
    assert parameters["token"] != first_token
    again = await at.stream(sid, parameters["token"])
    await ws_peer.until(lambda: line.twilio_leg)
    assert line.call.counters.resumed_streams == 1
    again.send_text(loopback.STOP)
    await loopback.expect(again, ws_peer.CLOSE)
    assert line.record().end_reason == "caller_hung_up"
    await again.close()


@run_told
async def test_stream_that_twilio_has_left_is_left_by_us_too(at):
    """The question may come before our end of a broken connection tells of it."""
    sid, line, peer = await talking(at)
    parameters = running_service.parameters_of(
        running_service.document_of(await ask(at, sid))
    )

    assert await peer.ended() is not None
    again = await at.stream(sid, parameters["token"])
    await ws_peer.until(lambda: line.twilio_leg)
    assert not line.is_over
    await peer.close()
    await again.close()


@run_told
async def test_question_that_comes_twice_has_one_answer(at):
    sid, line, peer = await talking(at)
    await cut(line, peer)
    key = {"I-Twilio-Idempotency-Token": "one"}
    first = await ask(at, sid, **key)
    again = await at.stream(
        sid, running_service.parameters_of(running_service.document_of(first))["token"]
    )
    await ws_peer.until(lambda: line.twilio_leg)

    assert await ask(at, sid, **key) == first
    # So it is without Twilio's token, where it follows closely.
    assert await ask(at, sid) == first
    assert line.twilio_leg is not None
    # Another question is another loss.
    other = await ask(at, sid, **{"I-Twilio-Idempotency-Token": "two"})
    assert b"<Stream" in other
    assert other != first
    await again.close()


@run_told
async def test_caller_who_has_hung_up_ends_the_call(at):
    sid, line, peer = await talking(at)
    await cut(line, peer)
    body = await ask(at, sid, status="completed")

    assert b"<Hangup" in body
    assert b"<Say" not in body
    assert line.record().end_reason == "caller_hung_up"


def test_late_question_is_answered_with_a_word(database_url, tmp_path, monkeypatch):
    monkeypatch.setattr(streams, "ASK_S", 0.01)

    async def told(at):
        sid, line, peer = await talking(at)
        await cut(line, peer)
        await ws_peer.until(lambda: line.is_over)
        assert line.record().end_reason == "caller_leg_lost"
        body = await ask(at, sid)

        assert b"Sorry" in body
        assert at.fallbacks("caller_leg_lost") == 1

    run(told, database_url, tmp_path)


def test_caller_who_does_not_come_back_was_lost_by_us(
    database_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(streams, "RETURN_S", 0.01)

    async def told(at):
        sid, line, peer = await talking(at)
        await cut(line, peer)
        assert b"<Stream" in await ask(at, sid)
        await ws_peer.until(lambda: line.is_over)
        record = line.record()
        body = await ask(at, sid)

        assert (record.end_reason, record.failed) == ("transport_lost", True)
        assert b"Sorry" in body
        assert at.fallbacks("transport_lost") == 1

    run(told, database_url, tmp_path)


@run_told
async def test_call_that_our_bug_ended_is_not_hung_up_on_without_a_word(at):
    sid, line, peer = await talking(at)
    line.crash()

    assert b"Sorry" in await ask(at, sid)
    assert at.fallbacks("internal_error") == 1
    await peer.close()


@run_told
async def test_call_that_ended_with_a_goodbye_is_just_hung_up(at):
    sid, line, peer = await talking(at)
    line.receive(line.call.receive_hangup, "end_call:goodbye")
    body = await ask(at, sid)

    assert b"<Hangup" in body
    assert b"<Say" not in body
    await peer.close()


def test_answers_are_remembered_up_to_a_limit(database_url, tmp_path, monkeypatch):
    monkeypatch.setattr(after_stream, "ANSWERS_MAX", 2)

    async def told(at):
        async def find_recorded(number, call_sid):
            return Ended("end_call:goodbye", False, Sentence("Sorry.", "en"), "b1")

        after = AfterStream(at.server.switchboard, None, find_recorded, None)
        for number in range(5):
            await after.answer("CA1", at.number, "in-progress", str(number))

        assert list(after._answers) == [("CA1", "3"), ("CA1", "4")]

    run(told, database_url, tmp_path)


def test_call_whose_caller_is_said_to_have_left_is_looked_up_too(
    database_url, tmp_path
):
    """Another process recorded it; Twilio knows better who is there."""

    async def told(at):
        sid, line, peer = await talking(at)
        peer.send_text(loopback.STOP)
        await ws_peer.until(lambda: line.is_over)
        at.server.switchboard._ended = EndedCalls()
        body = await ask(at, sid)

        assert b"Sorry" in body
        assert at.fallbacks("caller_hung_up") == 1
        await peer.close()

    run(told, database_url, tmp_path)


def test_recorded_call_that_lost_its_stream_is_made_again(database_url, tmp_path):
    folder = tmp_path / "recordings"
    found = []

    async def told(at):
        sid, line, peer = await talking(at)
        await cut(line, peer)
        parameters = running_service.parameters_of(
            running_service.document_of(await ask(at, sid))
        )
        again = await at.stream(sid, parameters["token"])
        await ws_peer.until(lambda: line.twilio_leg)
        line.receive(line.call.receive_limit, "limit_cost_per_day", 60.0)
        again.send_text(loopback.STOP)
        await loopback.expect(again, ws_peer.CLOSE)
        await again.close()
        found.append(sid)

    run(told, database_url, tmp_path, record_dir=str(folder), record_audio=True)

    replay = Replay(read(folder / f"{found[0]}.zip"))
    assert [one.what for one in replay.run()][-1] == "ended"
    assert replay.difference is None
