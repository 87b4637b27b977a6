"""Calls of other nodes: seen, heard and joined over signed requests, and by nobody
else."""

import asyncio
from contextlib import asynccontextmanager
from uuid import uuid4

import aiohttp
import pytest
from aiohttp import web

from bridge.call import checkpoint
from bridge.call.plan import HandBack, TakeOver, Whisper
from bridge.sandbox.responses.server import ResponsesServer
from bridge.service import node_lines
from bridge.service.between_nodes import (
    LINE_PATH,
    LIVE_PATH,
    PREFIX,
    SEEN_MAX,
    SIGNATURE,
    BetweenNodes,
)
from bridge.service.live_everywhere import (
    SHARED_S,
    LiveEverywhere,
    Shared,
    node_application,
)
from bridge.service.node_lines import NodeLines
from bridge.service.other_nodes import OtherNodes
from bridge.service.recording_server import RecordingServer
from bridge.settings.process import Settings
from bridge.switchboard.live_calls import Lines
from bridge.telemetry.live_call import Snapshot
from bridge.telemetry.metrics import Metrics
from crm import businesses, live_calls, nodes
from crm.database import Database
from tests.bridge import builders, loopback, ws_peer
from tests.bridge.line.test_driver import talking

PUBLIC = "https://voice.example"
SETTINGS = Settings(twilio_auth_token="first,second")
CALLER = b"\x33" * 160
VOICE = b"\x42" * 160


class Pair:
    """A node with a call, and the view of another node."""

    def __init__(self, place, peer, near, url):
        self.place = place
        self.peer = peer
        self.near = near
        self.url = url

    async def open_line(self, business_id="b1", name="Dana"):
        whose = builders.CALL_SID, business_id, name, "page 1"
        return await self.near.open_line(*whose, hears=True)

    async def seen(self):
        """Return the call as the near node sees it, once it does."""
        found = []

        async def look():
            while not found:
                calls = (await self.near.snapshot()).calls
                found.extend(one for one in calls if one.call_sid == builders.CALL_SID)
                await asyncio.sleep(0.01)

        await asyncio.wait_for(look(), 30)
        return found[0]


@asynccontextmanager
async def two_nodes(place, url):
    database = await Database.open(url)
    business_id = await businesses.create(database, "Salon")
    peer, model = await talking(place)
    found = {builders.CALL_SID: place.line}
    name = f"far-{uuid4().hex[:8]}"
    far = LiveEverywhere(Lines(place.metrics, found.values, found.get, {}), None)
    between = BetweenNodes(SETTINGS, PUBLIC)
    recordings = RecordingServer(database, None, place.metrics)
    app = web.Application()
    app.add_subapp(PREFIX, node_application(far, recordings, between, place.metrics))
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    at = f"http://127.0.0.1:{runner.addresses[0][1]}"
    incarnation = uuid4()
    await nodes.beat(
        database,
        nodes.Beat(
            incarnation=incarnation,
            name=name,
            worker=0,
            url=at + "/",
            version="1",
            format=checkpoint.FORMAT,
            capacity=10,
            active=1,
            is_draining=False,
        ),
    )
    await live_calls.open(
        database,
        call_sid=builders.CALL_SID,
        business_id=business_id,
        account_sid="AC",
        to_number="+15550000002",
        node=name,
        incarnation=incarnation,
        worker=0,
    )
    others = OtherNodes(database, BetweenNodes(SETTINGS, PUBLIC), "near")
    lines = NodeLines(database, others)
    near = LiveEverywhere(
        Lines(Metrics(), dict().values, {}.get, {}), None, None, lines
    )
    try:
        yield Pair(place, peer, near, at)
    finally:
        async with database.routing() as connection:
            await connection.execute(
                "delete from call_owners where call_sid = $1", builders.CALL_SID
            )
        await near.close(app)
        await others.close()
        await nodes.leave(database, incarnation)
        await runner.cleanup()
        await peer.close()
        await model.close()
        await database.close()


@pytest.fixture
def told(embedded_url):
    def run(story):
        async def whole():
            async with (
                loopback.opened() as place,
                asyncio.timeout(20),
                two_nodes(place, embedded_url) as pair,
            ):
                await story(pair)

        asyncio.run(whole())

    return run


def test_call_of_another_node_is_seen_as_it_is_there(told):
    async def story(pair):
        call = await pair.seen()
        assert call.node.startswith("far-")
        assert not call.is_only_seen
        assert call.business_name == "Salon"

    told(story)


def test_the_first_look_of_a_process_has_the_calls_of_other_nodes(told):
    async def story(pair):
        calls = (await pair.near.snapshot()).calls
        assert builders.CALL_SID in [call.call_sid for call in calls]

    told(story)


def test_calls_of_a_node_that_is_late_are_as_they_were_for_a_while(told, monkeypatch):
    async def story(pair):
        async def look():
            await nodes._look()
            return [
                call.call_sid for one in nodes._newest.values() for call in one.calls
            ]

        async def away():
            raise ConnectionError

        nodes = pair.near._nodes
        await pair.seen()
        monkeypatch.setattr(nodes._nodes, "urls", away)
        assert builders.CALL_SID in await look()
        monkeypatch.setattr(node_lines, "SNAPSHOT_WAIT_S", 1e-6)
        assert builders.CALL_SID in await look()

        monkeypatch.setattr(node_lines, "KEPT_S", 0.0)
        assert builders.CALL_SID not in await look()

    told(story)


def test_call_of_another_node_is_heard_and_taken_over(told):
    async def story(pair):
        call = pair.place.line.call
        line = await pair.open_line()
        pair.peer.send_text(loopback.media_message(CALLER))
        assert await line.take() == CALLER + builders.SILENCE

        await line.obey(TakeOver())
        await ws_peer.until(lambda: call.takeover.is_on)
        await line.speak(VOICE)
        await ws_peer.until(lambda: call.playout.frames_sent == 1)
        await line.obey(HandBack(note="Ten percent."))
        await ws_peer.until(lambda: not call.takeover.is_on)
        await line.obey(Whisper(text="Tuesday is full."))
        await ws_peer.until(lambda: call.counters.operator_hints == 1)
        await line.close()
        await ws_peer.until(lambda: not pair.place.line.listeners.is_wanted)

    told(story)


def test_call_of_another_node_is_handed_back_by_whoever_has_it_alone(told):
    async def story(pair):
        call = pair.place.line.call
        dana, noa = await pair.open_line(), await pair.open_line(name="Noa")
        await dana.obey(TakeOver())
        await ws_peer.until(lambda: call.takeover.is_on)
        await noa.obey(HandBack())
        await noa.obey(Whisper(text="What is ordered later is done later."))
        await ws_peer.until(lambda: call.counters.operator_hints == 1)

        assert call.takeover.is_speaking
        for line in (dana, noa):
            await line.close()

    told(story)


def test_what_is_said_from_another_node_is_told_to_the_model(embedded_url):
    async def story(pair):
        call = pair.place.line.call
        line = await pair.open_line()
        await line.obey(TakeOver())
        await ws_peer.until(lambda: call.takeover.is_on)
        # As in real time: what comes sooner is dropped.
        for frame in builders.clip("ai-en-greeting")[:80]:
            await line.speak(frame)
            await asyncio.sleep(0.02)
        await line.obey(HandBack())
        await ws_peer.until(lambda: not call.takeover.is_on)
        await line.close()

        *_, said, handed_back = pair.place.line.record().turns
        assert (said.role, said.text) == ("operator", "Ten percent.")
        assert "What both said meanwhile is in this conversation" in handed_back.text

    async def whole():
        async with (
            ResponsesServer(api_key="sk-test", words="Ten percent.") as server,
            loopback.opened(openai_api_url=server.url) as place,
            asyncio.timeout(20),
            two_nodes(place, embedded_url) as pair,
        ):
            await story(pair)

    asyncio.run(whole())


def test_line_ends_with_its_call_on_another_node(told):
    async def story(pair):
        line = await pair.open_line()
        pair.peer.send_text(loopback.STOP)

        assert await line.take() == b""
        await line.close()

    told(story)


def test_order_of_another_version_ends_the_line(told, caplog):
    async def story(pair):
        line = await pair.open_line()
        await line._send('{"type":"Dance"}')

        assert await line.take() == b""
        await line.close()
        await ws_peer.until(lambda: not pair.place.line.listeners.is_wanted)
        assert "an operator's order is not known" in caplog.text

    told(story)


def test_call_of_another_business_is_not_joined(told):
    async def story(pair):
        assert await pair.open_line(str(uuid4())) is None

    told(story)


def test_nobody_but_a_node_is_answered(told):
    async def story(pair):
        own, strange = (
            BetweenNodes(Settings(twilio_auth_token=token), PUBLIC)
            for token in ("first", "guessed")
        )
        elsewhere = BetweenNodes(SETTINGS, "https://other.example")
        target, headers = own.signed(LIVE_PATH)
        tries = [
            (target, {}, 403),
            (f"{target}&more=1", headers, 403),
            (*strange.signed(LIVE_PATH), 403),
            (*elsewhere.signed(LIVE_PATH), 403),
            (target, headers, 200),
            # The same request again.
            (target, headers, 403),
            (LINE_PATH, {}, 403),
            (PREFIX, {}, 403),
        ]
        async with aiohttp.ClientSession() as session:
            for path, sent, expected in tries:
                async with session.get(pair.url + path, headers=sent) as answer:
                    assert answer.status == expected, (path, sent)
        assert pair.place.metrics.value("rejected_signatures", endpoint="nodes") == 7

    told(story)


def test_node_that_refuses_is_logged_with_the_reason_until_it_answers(told, caplog):
    async def story(pair):
        strange = BetweenNodes(Settings(twilio_auth_token="old"), PUBLIC)
        others = OtherNodes(None, strange, "near")
        limits = {"wait_s": 2.0, "bytes_max": 100_000}
        for between in (strange, strange, BetweenNodes(SETTINGS, PUBLIC), strange):
            others._between = between
            await others.ask(Snapshot, pair.url, LIVE_PATH, {}, **limits)
        await others.ask(Snapshot, "http://127.0.0.1:9", LIVE_PATH, {}, **limits)
        await others.close()

    told(story)
    silent = "does not answer this node: "
    lines = [one.partition(silent)[2] for one in caplog.messages if silent in one]
    assert lines[:2] == ["status 403 PUBLIC_URL or the auth tokens differ"] * 2
    assert [one.partition(":")[0] for one in lines[2:]] == ["ClientConnectorError"]


def test_nodes_that_ask_at_a_time_share_one_look(monkeypatch):
    now, looks = [10.0], []
    monkeypatch.setattr("bridge.service.live_everywhere.monotonic", lambda: now[0])

    async def look():
        looks.append(now[0])
        await asyncio.sleep(0)
        return Snapshot(calls=(), refused=())

    async def story():
        shared = Shared(look)
        await asyncio.gather(shared.get(), shared.get())
        now[0] += SHARED_S / 2
        await shared.get()
        assert looks == [10.0]
        now[0] += SHARED_S
        await shared.get()
        assert len(looks) == 2

    asyncio.run(story())


def test_old_request_is_refused(monkeypatch):
    between = BetweenNodes(SETTINGS, PUBLIC)
    monkeypatch.setattr("bridge.service.between_nodes.time", lambda: 1_000.0)
    target, headers = between.signed(LIVE_PATH)
    monkeypatch.setattr("bridge.service.between_nodes.time", lambda: 1_031.0)
    told = "the clocks differ by 31 s"
    assert between.refusal_of(target, headers[SIGNATURE]) == told
    monkeypatch.setattr("bridge.service.between_nodes.time", lambda: 1_029.0)
    assert not between.refusal_of(target, headers[SIGNATURE])


def test_either_of_two_tokens_is_accepted():
    other = BetweenNodes(Settings(twilio_auth_token="second"), PUBLIC)
    target, headers = other.signed(LIVE_PATH)
    assert not BetweenNodes(SETTINGS, PUBLIC).refusal_of(target, headers[SIGNATURE])


def test_what_is_remembered_has_a_limit(monkeypatch):
    between = BetweenNodes(SETTINGS, PUBLIC)
    between._seen = dict.fromkeys(map(str, range(SEEN_MAX)), 2_000.0)
    monkeypatch.setattr("bridge.service.between_nodes.time", lambda: 1_000.0)
    target, headers = between.signed(LIVE_PATH)
    assert between.refusal_of(target, headers[SIGNATURE])
    monkeypatch.setattr("bridge.service.between_nodes.time", lambda: 2_000.0)
    target, headers = between.signed(LIVE_PATH)
    assert not between.refusal_of(target, headers[SIGNATURE])
    assert len(between._seen) == 1


def test_without_a_token_nodes_are_not_asked():
    between = BetweenNodes(Settings(), PUBLIC)
    assert not between.is_possible
    assert between.refusal_of(f"{LIVE_PATH}?at=1&nonce=2", "")
