"""The whole service by its endpoints: a call from its webhook to its record."""

import asyncio
import zipfile

import pytest

from bridge.recorder.recording import read
from bridge.recorder.replay import Replay
from bridge.sandbox.caller import Caller
from bridge.sandbox.timeline import HangUp
from bridge.service import server as server_module
from bridge.telemetry.log import LOGGER
from crm import calls, leads
from tests.bridge import builders, loopback, running_service, ws_peer


def run(story_of, database_url, home, loop="asyncio", **settings):
    async def told():
        async with running_service.served(database_url, home, **settings) as at:
            await story_of(at)

    ws_peer.run(told, ws_peer.LOOPS[loop])


@pytest.mark.parametrize("loop", ws_peer.LOOPS)
def test_call_goes_from_ring_to_record(database_url, tmp_path, loop):
    async def told(at):
        sid = running_service.new_sid()
        document = await at.ring(sid)
        assert [verb.tag for verb in document] == ["Connect", "Say"]
        parameters = running_service.parameters_of(document)
        assert parameters["from"] == running_service.CALLER
        assert parameters["to"] == at.number
        assert parameters["business"] == str(at.business_id)

        model, session = await at.configured_model()
        assert "Offer coffee." in session["instructions"]
        names = [tool["name"] for tool in session["tools"]]
        assert names == [
            "calendar_find_slots",
            "calendar_create_appointment",
            "calendar_cancel_appointment",
            "calendar_reschedule_appointment",
            "leads_upsert",
            "end_call",
        ]

        peer = await at.stream(sid, parameters["token"])
        assert (await model.event())["type"] == "response.create"
        model.send_text(
            b'{"type":"response.output_audio.delta","response_id":"r","item_id":"i",'
            b'"content_index":0,"delta":"%s"}' % (b"ICAg" * 160)
        )
        assert b'"media"' in await loopback.expect(peer)
        peer.send_text(loopback.STOP)
        await loopback.expect(peer, ws_peer.CLOSE)
        await loopback.expect(model, ws_peer.CLOSE)

        status, body = await at.post("/twilio/after-stream", CallSid=sid)
        assert (status, b"<Hangup" in body, b"<Say" in body) == (200, True, False)
        await ws_peer.until(
            lambda: at.server.metrics.value("records", outcome="written")
        )
        (row,) = await calls.recent(at.database, at.business_id)
        assert (row["call_sid"], row["end_reason"]) == (sid, "caller_hung_up")
        assert row["tx_frames"] == 3
        lead = await leads.find(at.database, at.business_id, running_service.CALLER)
        assert (lead.calls, lead.id) == (1, row["lead_id"])
        await peer.close()
        await model.close()

    run(told, database_url, tmp_path, loop)


def test_recorded_call_has_no_token_number_or_secret_and_is_made_again(
    database_url, tmp_path
):
    given = {}

    async def told(at):
        sid = running_service.new_sid()
        parameters = running_service.parameters_of(await at.ring(sid))
        given.update(parameters, sid=sid)
        model, _ = await at.configured_model()
        peer = await at.stream(sid, parameters["token"])
        peer.send_text(loopback.STOP)
        await loopback.expect(peer, ws_peer.CLOSE)
        await peer.close()
        await model.close()

    folder = tmp_path / "recordings"
    run(told, database_url, tmp_path, record_dir=str(folder), record_audio=True)

    path = folder / f"{given['sid']}.zip"
    with zipfile.ZipFile(path) as file:
        text = file.read("call.jsonl").decode()
    for hidden in (given["token"], given["to"], running_service.CALLER, "sk-test"):
        assert hidden not in text
    replay = Replay(read(path))
    assert [one.what for one in replay.run()][-1] == "ended"
    assert replay.difference is None


def test_model_that_refuses_gives_the_fallback_after_the_stream(database_url, tmp_path):
    async def told(at):
        at.model.status = b"401 Unauthorized"
        sid = running_service.new_sid()
        token = running_service.parameters_of(await at.ring(sid))["token"]
        board = at.server.switchboard
        await ws_peer.until(lambda: board.find_ended(sid))
        peer = await at.stream(sid, token)

        await loopback.expect(peer, ws_peer.CLOSE)
        _, body = await at.post("/twilio/after-stream", CallSid=sid)
        assert b"Sorry" in body
        assert at.fallbacks("model_unreachable") == 1
        await peer.close()

    run(told, database_url, tmp_path)


@pytest.mark.parametrize("how", ["token", "used", "call", "account"])
def test_stream_that_is_not_the_calls_is_closed(database_url, tmp_path, how, caplog):
    async def told(at):
        sid = running_service.new_sid()
        token = running_service.parameters_of(await at.ring(sid))["token"]
        account, reason = builders.ACCOUNT_SID, "wrong_token"
        good = None
        if how == "token":
            token = token[:-1] + ("0" if token[-1] != "0" else "1")
        elif how == "used":
            good = await at.stream(sid, token)
            await ws_peer.until(
                lambda: at.server.switchboard.find_driver(sid).twilio_leg
            )
            reason = "second_stream"
        elif how == "call":
            sid, reason = running_service.new_sid(), "no_such_call"
        else:
            account, reason = "AC" + "9" * 32, "wrong_account"
        peer = await at.stream(sid, token, account=account)

        assert (await loopback.expect(peer, ws_peer.CLOSE))[:2] == (1008).to_bytes(2)
        assert at.server.metrics.value("refused_streams", reason=reason) == 1
        (line,) = [one for one in caplog.records if "refused: " in one.message]
        assert hasattr(line, "call")
        assert how == "call" or line.business == str(at.business_id)
        for one in filter(None, (peer, good)):
            await one.close()

    run(told, database_url, tmp_path)


def test_unsigned_stream_gets_403_before_the_upgrade(database_url, tmp_path):
    async def told(at):
        assert await at.stream(running_service.new_sid(), "t", sign=False) is None
        assert at.server.metrics.value("rejected_signatures", endpoint="media") == 1

    run(told, database_url, tmp_path)


@pytest.mark.parametrize("signed", [{"signed": False}, {"token": "wrong"}])
def test_unsigned_webhook_gets_403(database_url, tmp_path, signed):
    async def told(at):
        for name in ("voice", "stream-status", "call-status", "after-stream"):
            path = f"/twilio/{name}"
            status, _ = await at.post(path, CallSid=running_service.new_sid(), **signed)
            assert status == 403
            assert at.server.metrics.value("rejected_signatures", endpoint=path) == 1

    run(told, database_url, tmp_path)


def test_closing_ends_calls_and_writes_their_records(database_url, tmp_path):
    async def told(at):
        sid = running_service.new_sid()
        token = running_service.parameters_of(await at.ring(sid))["token"]
        model, _ = await at.configured_model()
        peer = await at.stream(sid, token)
        await model.event()
        await at.server.close()

        (row,) = await calls.recent(at.database, at.business_id)
        assert (row["call_sid"], row["end_reason"]) == (sid, "shutdown")
        for one in (peer, model):
            await loopback.expect(one, ws_peer.CLOSE)
            await one.close()

    run(told, database_url, tmp_path)


@pytest.mark.parametrize("end", ["hang up", "close"])
def test_tool_that_runs_at_the_end_is_in_the_record(
    database_url, tmp_path, monkeypatch, end
):
    upsert, released = leads.upsert, asyncio.Event()

    async def slow(*of, **more):
        await released.wait()
        return await upsert(*of, **more)

    monkeypatch.setattr(leads, "upsert", slow)

    async def told(at):
        sid = running_service.new_sid()
        token = running_service.parameters_of(await at.ring(sid))["token"]
        model, _ = await at.configured_model()
        peer = await at.stream(sid, token)
        await model.event()
        model.send_text(
            b'{"type":"response.output_item.done","response_id":"r","item":{"id":"i",'
            b'"type":"function_call","call_id":"t","name":"leads_upsert","arguments":'
            b'"{\\"name\\":\\"Dana\\"}"}}'
        )
        line = at.server.switchboard.find_driver(sid)
        await ws_peer.until(lambda: line.unfinished)
        if end == "hang up":
            peer.send_text(loopback.STOP)
            await ws_peer.until(lambda: line.is_over)
            assert await calls.recent(at.database, at.business_id) == []
        asyncio.get_running_loop().call_later(0.05, released.set)
        await at.server.close()

        (row,) = await calls.recent(at.database, at.business_id)
        (tool,) = await calls.tools(at.database, at.business_id, sid)
        assert (tool.name, tool.ok) == ("leads_upsert", True)
        assert (row["outcome"], row["missing_fields"]) == ("lead", [])
        for one in (peer, model):
            await one.close()

    run(told, database_url, tmp_path)


def test_draining_takes_no_new_calls_and_waits_for_the_last(database_url, tmp_path):
    async def told(at):
        sid = running_service.new_sid()
        await at.ring(sid)
        model, _ = await at.configured_model()
        draining = asyncio.ensure_future(at.server.drain(at.settings.drain_seconds))
        await ws_peer.until(lambda: at.server.switchboard.is_draining)
        answer = await at.ring(running_service.new_sid())

        assert [verb.tag for verb in answer] == ["Say", "Hangup"]
        assert at.fallbacks("draining") == 1
        assert not draining.done()
        line = at.server.switchboard.find_driver(sid)
        line.receive(line.call.receive_hangup, "tested")
        await draining
        await model.close()

    run(told, database_url, tmp_path, drain_seconds=60)


def test_new_call_on_a_kept_connection_is_sent_to_the_service_that_has_the_port(
    database_url, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(server_module, "HEAD_WAIT_S", 0.01)
    caplog.set_level("INFO", LOGGER)
    alive = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"

    async def told(at):
        where = "127.0.0.1", at.server.port
        kept = [await asyncio.open_connection(*where) for _ in range(2)]
        for reader, writer in kept:
            writer.write(alive)
            await reader.readuntil(b"\r\n\r\n")
        await at.server.leave_port()
        await at.server.drain(0.0)

        (reader, writer), (other, to_other) = kept
        form = {"CallSid": running_service.new_sid(), "To": at.number}
        writer.write(at.form("/twilio/voice", **form))
        head, _, document = (await reader.read()).rpartition(b"\r\n\r\n")
        again = running_service.document_of(document).findtext("Redirect")
        assert again == f"{at.server.public_url}/twilio/voice"
        assert b"Connection: close" in head
        assert "call is passed on: another service has the port" in caplog.messages
        assert at.fallbacks("draining") == 0
        # The other one is open for what comes after its call.
        to_other.write(alive)
        assert b" 200 OK" in await other.read()
        for _, one in kept:
            one.close()

    run(told, database_url, tmp_path)


def test_notices_are_left_to_the_service_that_has_the_port(
    embedded_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(server_module, "HEAD_WAIT_S", 0.01)

    async def told(at):
        beside = {"notices", "limits"}
        assert beside <= {task.get_name() for task in asyncio.all_tasks()}
        await at.server.leave_port()
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert beside & names == {"limits"}

    run(told, embedded_url, tmp_path)


def test_drained_call_that_does_not_end_is_ended(database_url, tmp_path):
    async def told(at):
        await at.ring(running_service.new_sid())
        model, _ = await at.configured_model()
        await at.server.drain(at.settings.drain_seconds)

        assert list(at.server.switchboard.live_calls()) == []
        await model.close()

    run(told, database_url, tmp_path)


def test_taken_port_is_an_error_at_the_start(database_url, tmp_path):
    async def told(at):
        with pytest.raises(OSError, match="in use"):
            server_module.listen("127.0.0.1", at.server.port)

    run(told, database_url, tmp_path)


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_address_may_be_of_version_six(embedded_url, tmp_path, host):
    if not _has_version_six():
        pytest.skip("this machine has no IPv6")

    async def told(at):
        own = f"http://[::1]:{at.server.port}"
        caller = Caller(own, auth_token=running_service.AUTH_TOKEN, to_number=at.number)

        assert at.server.public_url == own
        media_url = at.server.switchboard.handshakes.media_url
        assert media_url.startswith(own.replace("http", "ws"))
        result = await caller.call([HangUp()], max_s=5)
        assert (result.webhook_status, result.handshake_status) == (200, 101)

    run(told, embedded_url, tmp_path, host=host)


def _has_version_six():
    try:
        server_module.listen("::1", 0).close()
    except OSError:
        return False
    return True


def test_every_line_of_a_call_has_its_business(embedded_url, tmp_path, caplog):
    caplog.set_level("INFO", LOGGER)

    async def told(at):
        sid = running_service.new_sid()
        await at.ring(sid)
        model, _ = await at.configured_model()
        await at.post(
            "/twilio/stream-status", CallSid=sid, StreamEvent="stream-started"
        )
        await at.post("/twilio/call-status", CallSid=sid, CallStatus="completed")
        await at.post(
            "/twilio/stream-status", CallSid=sid, StreamEvent="stream-stopped"
        )
        await model.close()
        await ws_peer.until(lambda: "[CRM] call written" in caplog.text)

        lines = [one for one in caplog.records if hasattr(one, "call")]
        assert {one.call for one in lines} == {sid}
        assert {one.business for one in lines} == {str(at.business_id)}
        assert len(lines) > 5

    run(told, embedded_url, tmp_path)
