"""Ready is whoever takes calls; what is away is said, and nobody is dialled to tell."""

import asyncio

import orjson

from bridge.service import readiness
from bridge.service.readiness import Readiness, probe
from bridge.telemetry.metrics import Metrics
from tests.bridge import running_service, ws_peer


class Away:
    """A database that does not answer."""

    async def ping(self):
        raise ConnectionRefusedError


def run(story_of, database_url, home, **settings):
    async def told():
        async with running_service.served(database_url, home, **settings) as at:
            await story_of(at)

    ws_peer.run(told)


async def ready(at):
    status, body = await at.get("/readyz")
    return status, orjson.loads(body)


def test_service_is_ready_until_it_drains(database_url, tmp_path):
    async def told(at):
        assert await at.get("/healthz") == (200, b"ok")
        while (await ready(at))[1]["model"] == readiness.UNKNOWN:
            pass

        assert await ready(at) == (
            200,
            {"calls": "ok", "database": "ok", "model": "ok"},
        )
        at.server.switchboard.is_draining = True
        status, body = await ready(at)
        assert (status, body["calls"]) == (503, "draining")

    run(told, database_url, tmp_path)


def test_service_without_database_or_model_is_ready_and_degraded(
    database_url, tmp_path
):
    async def told(at):
        await at.database.close()
        await at.server.readiness.check()
        while (await ready(at))[1]["model"] == readiness.UNKNOWN:
            pass
        status, body = await ready(at)

        assert (status, body["database"]) == (200, "unreachable")
        assert body["model"].startswith("unreachable: ")
        assert body["degraded"] == ["database", "model"]
        _, page = await at.watch("/metrics")
        assert b"kolbridge_degraded_database 1.0" in page
        assert b"kolbridge_degraded_model 1.0" in page

    run(told, database_url, tmp_path, openai_realtime_url="ws://127.0.0.1:9/v1")


def test_to_ask_dials_nobody_and_takes_no_connection(
    database_url, tmp_path, monkeypatch
):
    dialled, pinged = [], []

    async def dial(url, tls):
        dialled.append(url)
        return "ok"

    monkeypatch.setattr(readiness, "probe", dial)

    async def told(at):
        await ws_peer.until(lambda: dialled)
        ping = at.database.ping
        at.database.ping = lambda: pinged.append(1) or ping()
        found = await asyncio.gather(*(ready(at) for _ in range(50)))

        assert {status for status, _ in found} == {200}
        assert len(dialled) == 1
        assert len(pinged) <= 1

    run(told, database_url, tmp_path)


def test_what_comes_back_is_seen(monkeypatch):
    monkeypatch.setattr(readiness, "CHECK_EVERY_S", 0.001)
    monkeypatch.setattr(readiness, "MODEL_CHECK_ROUNDS", 1)
    states = iter(["unreachable: TimeoutError", "ok"])

    async def dial(url, tls):
        return next(states, "ok")

    monkeypatch.setattr(readiness, "probe", dial)

    async def told():
        found = Readiness(Away(), "ws://127.0.0.1:9/v1", lambda: False, Metrics())
        found.start()
        await ws_peer.until(lambda: found.degraded == ["database", "model"])
        await ws_peer.until(lambda: found.degraded == ["database"])
        await found.stop()
        assert found.gauges()["degraded_model"][1] == 0.0
        assert found.gauges()["degraded_database"][1] == 1.0

    ws_peer.run(told)


def test_probe_says_whether_somebody_listens(monkeypatch):
    monkeypatch.setattr(readiness, "CHECK_WAIT_S", 0.5)

    async def told():
        behind = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
        port = behind.sockets[0].getsockname()[1]
        url = f"ws://127.0.0.1:{port}/x"
        secure_url = f"wss://127.0.0.1:{port}/x"
        secure = Readiness(Away(), secure_url, lambda: False, Metrics())
        assert await probe(url, None) == "ok"
        assert await probe(secure_url, secure._tls) != "ok"
        behind.close()
        await behind.wait_closed()
        assert await probe(url, None) == "unreachable: ConnectionRefusedError"

    ws_peer.run(told)
