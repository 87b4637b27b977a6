"""Whatever fails behind a webhook, Twilio gets 200 and what to do next."""

import asyncio
from xml.etree.ElementTree import fromstring

import asyncpg
import pytest

from bridge.records import writer
from bridge.service import webhook_guard
from bridge.service.webhook_guard import ANSWER_WAIT_S
from bridge.switchboard.ended import EndedCalls
from crm import calls
from tests.bridge import running_service, ws_peer


def told(url, home, story, **settings):
    async def run():
        async with running_service.served(url, home, **settings) as place:
            await story(place)

    ws_peer.run(run)


def breaks(*_, **__):
    raise RuntimeError("surprise")


@pytest.mark.parametrize(
    ("path", "broken"),
    [
        ("/twilio/voice", "open_call"),
        ("/twilio/after-stream", "find_ended"),
        ("/twilio/after-stream", "find_driver"),
    ],
)
def test_caller_hears_the_fallback(
    embedded_url, tmp_path, monkeypatch, caplog, path, broken
):
    async def story(place):
        monkeypatch.setattr(place.server.switchboard, broken, breaks)
        status, body = await place.post(path, CallSid=running_service.new_sid())

        assert status == 200
        assert [verb.tag for verb in fromstring(body)] == ["Say", "Hangup"]
        assert place.server.metrics.value("webhook_failures", endpoint=path) == 1
        assert place.fallbacks("webhook_failed") == 1
        assert "RuntimeError: surprise" in caplog.text

    told(embedded_url, tmp_path, story)


@pytest.mark.parametrize("path", ["/twilio/call-status", "/twilio/stream-status"])
def test_what_asks_nothing_is_told_nothing(embedded_url, tmp_path, monkeypatch, path):
    async def story(place):
        monkeypatch.setattr(place.server.switchboard, "find_driver", breaks)
        fields = {"CallSid": running_service.new_sid(), "StreamEvent": "stream-error"}
        status, body = await place.post(path, CallStatus="completed", **fields)

        assert (status, body) == (204, b"")

    told(embedded_url, tmp_path, story)


def test_answer_that_never_comes_is_one_in_time(embedded_url, tmp_path, monkeypatch):
    assert ANSWER_WAIT_S < 15
    monkeypatch.setattr(webhook_guard, "ANSWER_WAIT_S", 0.01)

    async def hangs(*_):
        await asyncio.sleep(3_600)

    async def story(place):
        monkeypatch.setattr(place.server.switchboard, "open_call", hangs)
        status, body = await place.post(
            "/twilio/voice", CallSid=running_service.new_sid()
        )
        assert status == 200
        assert fromstring(body).find("Hangup") is not None

    told(embedded_url, tmp_path, story)


def test_refusal_that_is_meant_stays_one(embedded_url, tmp_path):
    async def story(place):
        sid = running_service.new_sid()
        status, _ = await place.post("/twilio/after-stream", signed=False, CallSid=sid)
        assert status == 403

    told(embedded_url, tmp_path, story)


async def until_read_only(place):
    """Wait until the server's processes have read what was changed."""
    async with asyncio.timeout(10.0):
        while not place.server.readiness.degraded:
            await place.server.readiness.check()


async def administer(url, *statements):
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("set default_transaction_read_only = off")
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


def test_record_outlives_a_server_that_is_read_only(
    embedded_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(writer, "RETRY_S_MIN", 0.01)
    off = (
        "alter system reset default_transaction_read_only",
        "select pg_reload_conf()",
    )

    async def story(place):
        sid = running_service.new_sid()
        await place.ring(sid)
        line = place.server.switchboard.find_driver(sid)
        on = "alter system set default_transaction_read_only = on"
        await administer(embedded_url, on, "select pg_reload_conf()")
        try:
            await until_read_only(place)
            line.receive(line.call.receive_hangup, "caller_hung_up")
            metrics = place.server.metrics
            await ws_peer.until(lambda: metrics.value("records", outcome="retried"))
            # Nobody knows how it ended but the record that waits.
            place.server.switchboard._ended = EndedCalls()
            status, body = await place.post(
                "/twilio/after-stream", CallSid=sid, To=place.number
            )
            assert (status, fromstring(body)[-1].tag) == (200, "Hangup")
        finally:
            await administer(embedded_url, *off)
        await ws_peer.until(lambda: metrics.value("records", outcome="written"))
        row = await calls.find(place.database, place.business_id, sid)
        assert row["end_reason"] == "caller_hung_up"
        assert metrics.value("records", outcome="refused") == 0

    told(embedded_url, tmp_path, story)
