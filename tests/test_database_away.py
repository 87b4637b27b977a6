"""The database dies in mid-call and the process after it: the call's record does not.

`kolbridge serve` in a process of its own, on a server of its own that is killed; the
caller and the model are in this process, by hand over loopback.
"""

import asyncio
import base64
import os
import sys
import tempfile
import time
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlencode
from xml.etree.ElementTree import fromstring

import msgspec
import orjson
import pytest

from bridge.records.writer import Kept
from crm import businesses, calls, leads
from crm.connect import service_url
from crm.database import Database
from crm.migrate import migrate
from tests.bridge import builders, loopback, ws_peer
from tests.bridge.ws_peer import Peer
from tests.crm.outage import Crm

NUMBER = "+15550100400"
CALLER = "+15550000001"
CALL_SID = "CA" + "3" * 32
PATIENCE_S = 60.0
# What the model says here is heard to its end after this long.
SAID_S = 0.5


class Bridge:
    """`kolbridge serve`, its log, and the model behind it."""

    def __init__(self, process, port, model):
        self.process = process
        self.port = port
        self.model = model

    async def ring(self):
        form = {"CallSid": CALL_SID, "From": CALLER, "To": NUMBER}
        body = urlencode({**form, "AccountSid": builders.ACCOUNT_SID})
        peer = await Peer.connect(self.port)
        peer.send(
            f"POST /twilio/voice HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
            "Content-Type: application/x-www-form-urlencoded\r\n"
            f"Connection: close\r\n\r\n{body}".encode()
        )
        answer = (await peer.ended()).partition(b"\r\n\r\n")[2]
        self.answer = answer.decode()
        await peer.close()
        parameters = fromstring(answer).iter("Parameter")
        token = next(
            one.get("value") for one in parameters if one.get("name") == "token"
        )
        peer = await Peer.connect(self.port)
        peer.send(ws_peer.upgrade())
        assert (await peer.head()).startswith("HTTP/1.1 101")
        peer.send_text(loopback.CONNECTED)
        peer.send_text(loopback.start_message(CALL_SID, token))
        model = await self.model.peers.get()
        model.send_text(loopback.CREATED)
        self.session = (await until_event(model, "session.update"))["session"]
        model.send_text(loopback.UPDATED)
        await until_event(model, "response.create")
        return peer, model

    async def kill(self):
        self.process.kill()
        await self.process.wait()


@asynccontextmanager
async def serving(url, home):
    """Run the service; it is killed, not stopped, at the end."""
    model = loopback.FakeModel()
    behind = await asyncio.start_server(model.serve, "127.0.0.1", 0)
    known = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bridge.cli.main", "serve"),
        cwd=home,
        env={
            **known,
            "PYTHONPATH": str(Path(__file__).parent.parent),
            "PORT": "0",
            "ADMIN_PORT": "0",
            "KOLBRIDGE_HOME": str(home / "data"),
            "DATABASE_URL": await service_url(url),
            "DATABASE_ADMIN_URL": url,
            "DATABASE_TIMEOUT_MS": "1000",
            "TOOL_DEADLINE_MS": "1500",
            "TWILIO_VALIDATE_SIGNATURES": "0",
            "MAX_BUSY_PERCENT": "100",
            "LAG_BUDGET_MS": "10000",
            "OPENAI_API_KEY": "sk-x",
            "OPENAI_REALTIME_URL": "ws://127.0.0.1:"
            f"{behind.sockets[0].getsockname()[1]}/v1/realtime",
        },
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async for line in process.stderr:
            if "listening" in (said := orjson.loads(line)["message"]):
                break
        port = int(said.split(" as ")[0].rpartition(":")[2])
        reading = asyncio.ensure_future(process.stderr.read())
        yield Bridge(process, port, model)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        print((await reading).decode())
        behind.close()
        await model.close()


async def until_event(model, kind):
    while (event := await model.event())["type"] != kind:
        pass
    return event


def send(model, **event):
    model.send_text(orjson.dumps(event))


async def tool_answer(model, tool, tool_call_id, **arguments):
    """Have the model call a tool; return what it is answered."""
    response = {"id": f"r-{tool_call_id}", "status": "in_progress"}
    send(model, type="response.created", response=response)
    item = {
        "id": f"i-{tool_call_id}",
        "type": "function_call",
        "name": tool,
        "call_id": tool_call_id,
        "arguments": orjson.dumps(arguments).decode(),
    }
    done = {"type": "response.output_item.done", "response_id": response["id"]}
    send(model, **done, item=item)
    usage = {
        "input_tokens": 70,
        "output_tokens": 30,
        "output_token_details": {"audio_tokens": 20},
    }
    ended = {**response, "status": "completed", "usage": usage}
    send(model, type="response.done", response=ended)
    created = await until_event(model, "conversation.item.create")
    await until_event(model, "response.create")
    assert created["item"]["call_id"] == tool_call_id
    return orjson.loads(created["item"]["output"])


async def hear(peer, model, item_id):
    """Have the model speak; return when the caller hears it."""
    response = {"id": f"r-{item_id}", "status": "in_progress"}
    send(model, type="response.created", response=response)
    audio = {"response_id": response["id"], "item_id": item_id, "content_index": 0}
    payload = bytes([item_id.encode()[-1]]) * 1_600
    delta = {"type": "response.output_audio.delta", **audio}
    send(model, **delta, delta=base64.b64encode(payload).decode())
    send(model, type="response.output_audio.done", **audio)
    text = {"type": "response.output_audio_transcript.done", **audio}
    send(model, **text, transcript=f"This is {item_id}.")
    send(model, type="response.done", response={**response, "status": "completed"})
    while True:
        message = orjson.loads(await loopback.expect(peer))
        if message["event"] == "media":
            heard = base64.b64decode(message["media"]["payload"])
            if heard == payload[:160]:
                return


async def speak(peer):
    """Say something, at the pace of speech."""
    for frame in builders.clip("human-en-reader-1"):
        peer.send_text(loopback.media_message(frame))
        await asyncio.sleep(builders.FRAME_S)


async def until_waiting(home, count):
    """Wait until so many records are in the journals on disk."""
    while True:
        lines = [
            line
            for path in (home / "data" / "unwritten").glob("*.journal")
            for line in path.read_bytes().splitlines()
        ]
        if len(lines) == count:
            return lines
        await asyncio.sleep(0.01)


@pytest.fixture
def crm():
    with tempfile.TemporaryDirectory(prefix="kolbridge-away-") as home:
        crm = Crm(home)
        crm.start()
        asyncio.run(migrate(crm.url))
        yield crm
        crm.stop()


async def made_business(url, **columns):
    database = await Database.open(url, pool_max=1)
    business_id = await businesses.create(
        database, "Salon", required_fields=["name"], **columns
    )
    await businesses.add_number(database, business_id, NUMBER)
    await database.close()
    return business_id


async def what_is_written(url, business_id):
    database = await Database.open(url, pool_max=1)
    try:
        rows = await calls.recent(database, business_id)
        turns = [
            await calls.turns(database, business_id, row["call_sid"]) for row in rows
        ]
        lead = await leads.find(database, business_id, CALLER)
        return rows, turns, lead
    finally:
        await database.close()


async def call_without_a_database(bridge, crm):
    """Make a call in the middle of which the database is killed."""
    peer, model = await bridge.ring()
    found = await tool_answer(model, "leads_upsert", "t1", name="Dana")
    assert found["missing"] == []
    await hear(peer, model, "item-a")

    crm.kill()

    # The conversation goes on, and the tools say how things stand.
    asked_at = time.monotonic()
    answer = await tool_answer(model, "leads_upsert", "t2", city="Haifa")
    assert "cannot be reached right now" in answer["error"]
    assert time.monotonic() - asked_at < 2.5
    await hear(peer, model, "item-b")
    await asyncio.sleep(SAID_S)  # a caller who speaks sooner interrupts
    speaking = asyncio.ensure_future(speak(peer))
    await until_event(model, "input_audio_buffer.append")
    speaking.cancel()
    peer.send_text(loopback.STOP)
    await loopback.expect(peer, ws_peer.CLOSE)
    await peer.close()


def check_written(rows, turns, lead):
    (row,), (said,) = rows, turns
    assert row["call_sid"] == CALL_SID
    assert (row["outcome"], row["missing_fields"]) == ("lead", [])
    assert row["end_reason"] == "caller_hung_up"
    assert row["usage"]["output_tokens"] == 60
    assert [turn.text for turn in said if turn.role == "ai"] == [
        "This is item-a.",
        "This is item-b.",
    ]
    assert lead.name == "Dana"
    assert lead.calls == 1
    assert lead.last_call_at >= row["started_at"]


def run(steps):
    async def bounded():
        async with asyncio.timeout(PATIENCE_S):
            await steps()

    asyncio.run(bounded())


def test_record_outlives_the_database_and_the_process(crm, tmp_path):
    async def told():
        business_id = await made_business(crm.url)
        async with serving(crm.url, tmp_path) as bridge:
            await call_without_a_database(bridge, crm)
            (line,) = await until_waiting(tmp_path, 1)
            assert msgspec.json.decode(line, type=Kept).call.call_sid == CALL_SID
            await bridge.kill()
        await until_waiting(tmp_path, 1)

        crm.start()
        async with serving(crm.url, tmp_path):
            await until_waiting(tmp_path, 0)
        check_written(*await what_is_written(crm.url, business_id))

        # The line comes back, as after a kill between the answer and the cut.
        again = tmp_path / "data" / "unwritten" / "worker-1-1.journal"
        again.write_bytes(line + b"\n")
        async with serving(crm.url, tmp_path):
            await until_waiting(tmp_path, 0)
        check_written(*await what_is_written(crm.url, business_id))

    run(told)


def test_what_was_said_outlives_both_in_mid_call(crm, tmp_path):
    async def told():
        business_id = await made_business(crm.url)
        async with serving(crm.url, tmp_path) as bridge:
            peer, model = await bridge.ring()
            await tool_answer(model, "leads_upsert", "t1", name="Dana")
            await hear(peer, model, "item-a")
            crm.kill()
            await tool_answer(model, "leads_upsert", "t2", city="Haifa")
            await hear(peer, model, "item-b")
            running = tmp_path / "data" / "unwritten"
            await ws_peer.until(
                lambda: any(
                    b"This is item-b." in one.read_bytes()
                    for one in running.glob("*.running/*")
                )
            )
            await bridge.kill()
            await peer.close()

        crm.start()
        async with serving(crm.url, tmp_path):
            await until_waiting(tmp_path, 0)
            (row,), (said,), lead = await what_is_written(crm.url, business_id)
        assert (row["end_reason"], row["call_sid"]) == ("process_lost", CALL_SID)
        assert [turn.text for turn in said if turn.role == "ai"] == [
            "This is item-a.",
            "This is item-b.",
        ]
        assert (lead.name, lead.calls) == ("Dana", 1)
        database = await Database.open(crm.url, pool_max=1)
        tools = await calls.tools(database, business_id, CALL_SID)
        await database.close()
        assert [(one.tool_call_id, one.ok) for one in tools] == [
            ("t1", True),
            ("t2", False),
        ]

    run(told)


def test_record_is_written_when_the_database_returns(crm, tmp_path):
    async def told():
        business_id = await made_business(crm.url)
        async with serving(crm.url, tmp_path) as bridge:
            await call_without_a_database(bridge, crm)
            await until_waiting(tmp_path, 1)
            crm.start()
            await until_waiting(tmp_path, 0)
            check_written(*await what_is_written(crm.url, business_id))

    run(told)


def test_call_whose_process_is_killed_is_known(crm, tmp_path):
    async def told():
        business_id = await made_business(crm.url)
        async with serving(crm.url, tmp_path) as bridge:
            peer, _ = await bridge.ring()
            folder = tmp_path / "data" / "unwritten"
            await ws_peer.until(lambda: list(folder.glob("*.running/*")))
            await bridge.kill()
            await peer.close()

        async with serving(crm.url, tmp_path):
            await ws_peer.until(lambda: not list(folder.glob("*.running/*")))
            await until_waiting(tmp_path, 0)
        (row,), _, _ = await what_is_written(crm.url, business_id)
        assert (row["call_sid"], row["end_reason"]) == (CALL_SID, "process_lost")
        assert (row["from_number"], row["outcome"]) == (CALLER, "failed")

    run(told)
