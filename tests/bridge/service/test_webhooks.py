"""The HTTP endpoints: their answers, also twice, unsigned or without a database."""

import asyncio

import pytest

from bridge.service import server
from bridge.switchboard import dispatch
from bridge.switchboard.ended import EndedCalls
from crm import businesses
from tests.bridge import loopback, running_service, ws_peer


def run(story_of, database_url, home, **settings):
    async def told():
        async with running_service.served(database_url, home, **settings) as at:
            await story_of(at)

    ws_peer.run(told)


def says(document):
    return document.findtext("Say")


def test_webhook_that_comes_twice_opens_one_call(database_url, tmp_path):
    async def told(at):
        sid = running_service.new_sid()
        first, second = await asyncio.gather(at.ring(sid), at.ring(sid))
        third = await at.ring(sid)

        tokens = {
            running_service.parameters_of(answer)["token"]
            for answer in (first, second, third)
        }
        assert len(tokens) == 1
        assert len(list(at.server.switchboard.live_calls())) == 1
        await at.model.peers.get()
        assert at.model.peers.empty()

    run(told, database_url, tmp_path)


def test_unknown_number_is_said_to_be_out_of_service(database_url, tmp_path, caplog):
    async def told(at):
        document = await at.ring(running_service.new_sid(), To="+15559999999")

        assert "not in service" in says(document)
        assert at.server.metrics.value("unknown_numbers") == 1
        assert "no business has +155…99" in caplog.messages

    run(told, database_url, tmp_path)


def test_call_that_another_account_signed_is_to_a_number_of_nobody(
    database_url, tmp_path
):
    async def told(at):
        setting = at.database, at.business_id, "number_account", "AC" + "1" * 32
        await businesses.set_setting(*setting)
        document = await at.ring(running_service.new_sid())
        assert "not in service" in says(document)

        document = await at.ring(running_service.new_sid(), AccountSid="AC" + "1" * 32)
        assert document.find("Connect") is not None
        assert len(list(at.server.switchboard.live_calls())) == 1

    run(told, database_url, tmp_path)


def test_call_over_the_limit_gets_the_fallback(database_url, tmp_path):
    async def told(at):
        await at.ring(running_service.new_sid())
        document = await at.ring(running_service.new_sid())

        assert says(document).startswith("Sorry")
        assert [verb.tag for verb in document] == ["Say", "Hangup"]
        assert at.fallbacks("full") == 1
        page = at.server._exposition().decode()
        label = f'{{business="{at.business_id}"}}'
        assert f"kolbridge_business_fallbacks_total{label} 1.0" in page

    run(told, database_url, tmp_path, max_calls_per_worker=1)


def test_number_that_was_called_before_has_its_own_fallback(
    database_url, tmp_path, monkeypatch
):
    """However full the service is, and without a look at the database."""
    # Nobody reads this call's record, and its database is closed.
    monkeypatch.setattr(server, "RECORDS_WAIT_S", 0.05)

    async def told(at):
        async with at.database.owner() as connection:
            await connection.execute(
                "update businesses set language = 'he' where id = $1", at.business_id
            )
        await at.ring(running_service.new_sid())
        await at.database.close()
        document = await at.ring(running_service.new_sid())
        other = await at.ring(running_service.new_sid(), To="+12025550199")

        assert says(document).startswith("מצטערים")
        assert document.find("Say").get("language") == "he-IL"
        assert says(other).startswith("Sorry")
        assert at.fallbacks("full") == 2

    run(told, database_url, tmp_path, max_calls_per_worker=1)


def test_call_without_a_database_gets_the_fallback(database_url, tmp_path, caplog):
    async def told(at):
        await at.database.close()
        document = await at.ring(running_service.new_sid())

        assert says(document) == "Please call the shop."
        assert at.fallbacks("opening_failed") == 1
        assert "call could not be opened" in caplog.messages

    run(told, database_url, tmp_path, fallback_sentence="Please call the shop.")


def test_call_whose_database_is_slow_gets_the_fallback(
    database_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(dispatch, "OPEN_WAIT_S", 0.01)

    async def told(at):
        async def never(ringing, now):
            await asyncio.Event().wait()

        at.server.switchboard._plan_for = never
        await at.ring(running_service.new_sid())

        assert at.fallbacks("database_late") == 1
        await ws_peer.until(lambda: not at.server.switchboard._opening)

    run(told, database_url, tmp_path)


def test_unsigned_webhook_is_taken_where_signatures_are_off(database_url, tmp_path):
    async def told(at):
        sid = running_service.new_sid()
        fields = {"CallSid": sid, "From": running_service.CALLER, "To": at.number}
        status, body = await at.post("/twilio/voice", signed=False, **fields)

        assert (status, b"<Stream" in body) == (200, True)

    run(told, database_url, tmp_path, twilio_validate_signatures=False)


def test_signature_is_checked_against_the_public_url(database_url, tmp_path):
    async def told(at):
        sid = running_service.new_sid()
        document = await at.ring(sid)

        connect = document.find("Connect")
        assert connect.get("action") == "https://bridge.example/x/twilio/after-stream"
        stream = connect.find("Stream")
        assert stream.get("url") == "wss://bridge.example/x/twilio/media"

    run(told, database_url, tmp_path, public_url="https://bridge.example/x/")


def test_call_that_twilio_says_is_over_is_ended(database_url, tmp_path):
    async def told(at):
        sid = running_service.new_sid()
        await at.ring(sid)
        for status in ("in-progress", "completed", "completed"):
            answer, _ = await at.post(
                "/twilio/call-status", CallSid=sid, CallStatus=status
            )
            assert answer == 204

        ended = at.server.switchboard.find_ended(sid)
        assert (ended.reason, ended.failed) == ("caller_hung_up", False)

    run(told, database_url, tmp_path)


def test_call_that_failed_at_twilio_was_not_hung_up_by_its_caller(
    database_url, tmp_path
):
    async def told(at):
        sid = running_service.new_sid()
        await at.ring(sid)
        await at.post("/twilio/call-status", CallSid=sid, CallStatus="failed")

        assert at.server.switchboard.find_ended(sid).reason == "call_failed"

    run(told, database_url, tmp_path)


def test_stream_that_could_not_start_ends_its_call(database_url, tmp_path, caplog):
    async def told(at):
        sid = running_service.new_sid()
        await at.ring(sid)
        await at.post(
            "/twilio/stream-status",
            CallSid=sid,
            StreamEvent="stream-error",
            StreamError="31920 handshake",
        )
        _, body = await at.post("/twilio/after-stream", CallSid=sid)

        assert b"Sorry" in body
        assert at.fallbacks("stream_error") == 1
        assert "Twilio could not stream: 31920 handshake" in caplog.messages

    run(told, database_url, tmp_path)


def test_stream_status_that_is_fine_changes_nothing(database_url, tmp_path):
    async def told(at):
        sid = running_service.new_sid()
        await at.ring(sid)
        status, _ = await at.post(
            "/twilio/stream-status", CallSid=sid, StreamEvent="stream-started"
        )

        assert status == 204
        assert at.server.switchboard.find_driver(sid) is not None

    run(told, database_url, tmp_path)


def test_call_whose_stream_never_came_gets_the_fallback(database_url, tmp_path):
    async def told(at):
        sid = running_service.new_sid()
        await at.ring(sid)
        _, body = await at.post("/twilio/after-stream", CallSid=sid)

        assert b"Sorry" in body
        assert at.fallbacks("stream_failed") == 1

    run(told, database_url, tmp_path)


def test_stream_that_is_over_at_twilio_ends_its_call(database_url, tmp_path):
    async def told(at):
        sid = running_service.new_sid()
        token = running_service.parameters_of(await at.ring(sid))["token"]
        peer = await at.stream(sid, token)
        await ws_peer.until(lambda: at.server.switchboard.find_driver(sid).twilio_leg)
        _, body = await at.post("/twilio/after-stream", CallSid=sid)

        assert b"<Hangup" in body
        await loopback.expect(peer, ws_peer.CLOSE)
        await peer.close()

    run(told, database_url, tmp_path)


def test_call_nobody_remembers_gets_the_fallback(database_url, tmp_path):
    async def told(at):
        _, body = await at.post(
            "/twilio/after-stream", CallSid=running_service.new_sid()
        )

        assert b"Sorry" in body
        assert at.fallbacks("unknown_call") == 1

    run(told, database_url, tmp_path)


def test_media_path_without_a_websocket_says_what_it_is(database_url, tmp_path):
    async def told(at):
        assert await at.get("/twilio/media") == (426, b"this is a WebSocket")

    run(told, database_url, tmp_path)


def test_path_nobody_knows_is_not_found(database_url, tmp_path):
    async def told(at):
        assert (await at.get("/nothing"))[0] == 404

    run(told, database_url, tmp_path)


@pytest.mark.parametrize(("refuses", "says"), [(False, b"<Hangup"), (True, b"Sorry")])
def test_call_of_another_process_goes_on_as_its_record_says(
    database_url, tmp_path, refuses, says
):
    async def told(at):
        if refuses:
            at.model.status = b"401 Unauthorized"
        sid = running_service.new_sid()
        await at.ring(sid)
        board = at.server.switchboard
        if not refuses:
            line = board.find_driver(sid)
            line.receive(line.call.receive_hangup, "end_call:goodbye")
        await ws_peer.until(lambda: board.find_ended(sid))
        # Another process knows only what is written.
        board._ended = EndedCalls()
        _, body = await at.post("/twilio/after-stream", CallSid=sid, To=at.number)

        assert says in body
        assert (b"<Say" in body) is refuses
        assert at.fallbacks("model_unreachable") == refuses
        assert at.fallbacks("unknown_call") == 0

    run(told, database_url, tmp_path)


def test_call_without_a_record_gets_the_fallback(database_url, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "RECORD_LOOK_S", 0.0)

    async def told(at):
        sid = running_service.new_sid()
        _, body = await at.post("/twilio/after-stream", CallSid=sid, To=at.number)
        assert b"Sorry" in body
        await at.database.close()
        _, body = await at.post("/twilio/after-stream", CallSid=sid, To=at.number)

        assert b"Sorry" in body
        assert at.fallbacks("unknown_call") == 2

    run(told, database_url, tmp_path)
