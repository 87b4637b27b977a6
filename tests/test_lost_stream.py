"""A proxy between Twilio and us dies in the middle of a greeting; the call goes on.

Real sockets, the sandbox's Twilio and its model; nothing of the bridge is replaced.
"""

import asyncio
from contextlib import asynccontextmanager

from bridge.sandbox.caller import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN, Caller
from bridge.sandbox.clips import clip
from bridge.sandbox.realtime import RealtimeServer
from bridge.sandbox.script import Reply, Script
from bridge.sandbox.timeline import HangUp, WaitForAi
from bridge.service.server import Server
from bridge.settings.process import Settings
from crm import businesses, calls
from crm.database import Database
from tests.test_whole_call import until, written

NUMBER = "+12025550177"
GREETING = clip("ai-en-greeting").audio[:24_000]


class Proxy:
    """Passes connections on until it is killed, and any later one again."""

    def __init__(self, port):
        self._port = port
        self._writers = []
        self._tasks = []

    async def serve(self, reader, writer):
        self._tasks.append(asyncio.current_task())
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, back]
        await asyncio.gather(self._pass_on(reader, back), self._pass_on(there, writer))

    async def _pass_on(self, reader, writer):
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    def kill(self):
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def close(self):
        self.kill()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def served(url, home):
    db = await Database.open(url)
    business_id = await businesses.create(db, "Salon", greeting="Hello.")
    await businesses.add_number(db, business_id, NUMBER)
    model = RealtimeServer(Script(greeting=[Reply(GREETING, "Hello.")]))
    await model.start()
    settings = Settings(
        port=0,
        kolbridge_home=str(home),
        twilio_account_sid=SANDBOX_ACCOUNT_SID,
        twilio_auth_token=SANDBOX_AUTH_TOKEN,
        openai_realtime_url=model.url,
        openai_api_key=model.api_key,
        max_busy_percent=100,
        lag_budget_ms=10_000,
    )
    server = Server(settings, db)
    await server.start()
    proxy = Proxy(server.port)
    listener = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    try:
        yield (
            server,
            model,
            proxy,
            listener.sockets[0].getsockname()[1],
            db,
            business_id,
        )
    finally:
        listener.close()
        await proxy.close()
        await server.close()
        await model.close()
        await db.close()


async def lose_a_stream(url, home):
    async with served(url, home) as (server, model, proxy, port, db, business_id):
        caller = Caller(
            f"http://127.0.0.1:{port}",
            to_number=NUMBER,
            public_url=server.public_url,
        )

        async def kill_in_mid_greeting():
            live = server.switchboard.live_calls
            await until(lambda: any(call.playout.frames_sent > 40 for call in live()))
            proxy.kill()

        killing = asyncio.ensure_future(kill_in_mid_greeting())
        found = await caller.call([WaitForAi("ends"), HangUp()], max_s=20)
        await killing
        await written(db, business_id)
        (row,) = await calls.recent(db, business_id)
        page = server._exposition().decode()
        return found, row, len(model.sessions), page


def test_caller_whose_proxy_dies_hears_the_greeting_to_its_end(embedded_url, tmp_path):
    found, row, sessions, page = asyncio.run(lose_a_stream(embedded_url, tmp_path))

    # Twilio's own words for it, and no other problem.
    assert found.problems == ["31903 connection lost"]
    assert found.spoken == []
    assert len(found.documents) == 2
    assert sessions == 1
    assert (row["end_reason"], row["failed"]) == ("caller_hung_up", False)
    heard_ms = row["tx_frames"] * 20
    assert heard_ms == len(GREETING) / 8
    assert 'kolbridge_streams_total{kind="resumed"} 1.0' in page
