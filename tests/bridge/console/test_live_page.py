"""Live: rows of one's own calls, orders with a trace, audio both ways."""

import asyncio
from contextlib import ExitStack, asynccontextmanager
from time import monotonic

import aiohttp
import msgspec
import pytest

from bridge.console import live_hub
from bridge.telemetry.metrics import Metrics
from crm import accounts, audit
from tests.bridge import builders, loopback, running_service
from tests.bridge.console.conftest import add_user

CALLER_VOICE = b"\x33" * 160
OPERATOR_VOICE = b"\x42" * 160


class Ringing:
    """A running call at a desk: the caller's end and the model's."""

    def __init__(self, at, call_sid, peer, model):
        self.at, self.call_sid, self.peer, self.model = at, call_sid, peer, model

    @property
    def driver(self):
        return self.at.server.switchboard.find_driver(self.call_sid)

    def path(self, *parts, business=None):
        return self.at.path("live", self.call_sid, *parts, business=business)

    def speak(self, frames=1):
        for _ in range(frames):
            self.peer.send_text(loopback.media_message(CALLER_VOICE))


@asynccontextmanager
async def ringing(at):
    """Let a call ring at `ours`, and talk."""
    call_sid = running_service.new_sid()
    document = await at.service.ring(call_sid)
    token = running_service.parameters_of(document)["token"]
    peer = await at.service.stream(call_sid, token)
    model, _ = await at.service.configured_model()
    await loopback.ws_peer.until(
        lambda: at.server.switchboard.find_driver(call_sid).call.is_talking
    )
    try:
        yield Ringing(at, call_sid, peer, model)
    finally:
        await peer.close()
        await model.close()


@asynccontextmanager
async def events_of(browser, path):
    """Read a page's event stream: `await next()` gives a name and its data."""
    async with browser.http.get(browser.base + path) as answer:
        assert answer.status == 200

        async def next_event(wanted=None):
            async with asyncio.timeout(30):
                while True:
                    lines = await answer.content.readuntil(b"\n\n")
                    if lines.startswith(b"event: "):
                        name, data = lines.decode().strip().split("\n")
                        found = name[7:], msgspec.json.decode(data[6:])
                        if wanted in (None, found[0]):
                            return found

        yield next_event


async def acts(at):
    return [entry.action for entry in await audit.recent(at.database, at.ours)][::-1]


def told(story):
    def test(desk):
        async def whole():
            async with desk() as at, asyncio.timeout(30):
                await story(at)

        asyncio.run(whole())

    return test


@told
async def test_the_page_says_what_to_do_while_no_call_runs(at):
    for browser in (at.owner, at.staff):
        status, text = await browser.get(at.path("live"))
        assert status == 200
        assert "No call runs now." in text
        assert f'data-events="{at.path("live")}/events"' in text
    assert (await at.operator.get("/console/live"))[0] == 200


@told
async def test_a_row_appears_within_half_a_second_of_its_call(at):
    async with events_of(at.owner, at.path("live", "events")) as next_event:
        assert (await next_event("start"))[1] == []
        began_at = monotonic()
        async with ringing(at) as call:
            _, row = await next_event("call")
            spent_s = monotonic() - began_at

            assert row["call_sid"] == call.call_sid
            assert row["from_number"] != running_service.CALLER
            assert running_service.CALLER[2:8] not in msgspec.json.encode(row).decode()
            assert spent_s < 0.5
        assert await next_event("gone") == ("gone", call.call_sid)


@told
async def test_a_row_says_who_speaks_and_what(at):
    async with ringing(at) as call:
        call.model.send_text(
            b'{"type":"response.output_audio_transcript.delta","response_id":"r",'
            b'"item_id":"i","content_index":0,"delta":"Nine or ten?"}'
        )
        call.model.send_text(
            b'{"type":"response.output_audio.delta","response_id":"r","item_id":"i",'
            b'"content_index":0,"delta":"%s"}' % (b"ICAg" * 8_000)
        )
        path = "/console/live/events"
        async with events_of(at.operator, path) as next_event:
            _, row = await next_event("call")

    assert row["speaker"] == "ai"
    assert (row["last_role"], row["last_words"]) == ("ai", "Nine or ten?")
    assert row["phase"] == "talking"
    assert row["business_name"] == "Salon"


@told
async def test_a_caller_who_was_turned_away_is_told(at):
    async with events_of(at.owner, at.path("live", "events")) as next_event:
        await next_event("start")
        at.server.metrics.count_fallback("full", str(at.theirs))
        at.server.metrics.count_fallback("limit_calls", str(at.ours))

        _, refused = await next_event("refused")

    assert refused["reason"] == "limit_calls"


@told
async def test_so_many_pages_may_watch_and_none_is_asked_for_when_all_are_closed(at):
    path = at.path("live", "events")
    hub = live_hub.LiveHub(None, Metrics())
    with ExitStack() as stack:
        for _ in range(live_hub.PAGES_MAX):
            assert not hub.is_full
            stack.enter_context(hub.watched())
        assert hub.is_full
    assert hub._task.done()
    async with events_of(at.owner, path) as next_event:
        await next_event("start")


@told
async def test_an_owner_sees_hears_and_orders_nothing_of_another_business(at):
    async with ringing(at) as call:
        for path in (at.path("live"), at.path("live", "events"), call.path("line")):
            assert (await at.other.get(path))[0] == 404
        for what in ("phone", "hint", "goodbye"):
            assert (await at.other.post(call.path(what), text="x"))[0] == 404
            # One's own business in the path, and another's call.
            own = call.path(what, business=at.theirs)
            assert (await at.other.post(own, text="x"))[0] == 404
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await at.other.http.ws_connect(
                at.other.base + call.path("line", business=at.theirs)
            )
        assert refused.value.status == 404
        async with events_of(
            at.other, at.path("live", "events", business=at.theirs)
        ) as next_event:
            assert (await next_event("start"))[1] == []
        assert (await at.owner.get("/console/live"))[0] == 403
        assert (await at.owner.get("/console/live/events"))[0] == 403
        assert (await at.nobody.get(at.path("live", "events")))[0] in (303, 401)
        assert not call.driver.call.counters.operator_hints
        assert await acts(at) == []


@told
async def test_the_number_is_shown_whole_to_whom_asks_and_that_is_written_down(at):
    async with ringing(at) as call:
        status, text = await at.staff.post(call.path("phone"))

        assert status == 200
        assert msgspec.json.decode(text) == {"phone": running_service.CALLER}
        assert await acts(at) == ["call.phone_seen"]


@told
async def test_a_hint_reaches_the_model_and_a_wrong_one_names_its_field(at):
    async with ringing(at) as call:
        while (await call.model.event())["type"] != "response.create":
            pass
        for text in (" ", "x" * 1_001):
            status, answer = await at.owner.post(call.path("hint"), text=text)
            assert status == 422
            assert list(msgspec.json.decode(answer)["faults"]) == ["text"]
        status, _ = await at.owner.post(call.path("hint"), text="Tuesday is full.")
        assert status == 204
        event = await call.model.event()

        assert event["type"] == "conversation.item.create"
        assert event["item"]["role"] == "system"
        assert "Tuesday is full." in event["item"]["content"][0]["text"]
        assert await acts(at) == ["call.hint_given"]


@told
async def test_an_order_to_a_call_that_does_not_talk_is_not_said_to_be_obeyed(at):
    call_sid = running_service.new_sid()
    await at.service.ring(call_sid)
    for what in ("hint", "goodbye"):
        path = at.path("live", call_sid, what)
        assert (await at.owner.post(path, text="Tuesday is full."))[0] == 409
    assert await acts(at) == []


@told
async def test_a_call_is_ended_politely(at):
    async with ringing(at) as call:
        assert (await at.owner.post(call.path("goodbye")))[0] == 204
        assert call.driver.call.ending.reason == "operator"
        assert await acts(at) == ["call.ended_politely"]


@told
async def test_both_sides_are_heard_and_the_operator_speaks_in_whole_frames(at):
    async with ringing(at) as call:
        url = at.owner.base + call.path("line")
        async with at.owner.http.ws_connect(url) as line:
            began_at = monotonic()
            call.speak()
            heard = await line.receive_bytes(timeout=30)
            assert heard == CALLER_VOICE + builders.SILENCE
            assert monotonic() - began_at < 0.3

            await line.send_str('{"type":"take_over"}')
            await line.send_bytes(OPERATOR_VOICE)
            while True:
                message = msgspec.json.decode(await loopback.expect(call.peer))
                if message["event"] == "media":
                    break
            assert len(message["media"]["payload"]) == 216
            assert call.driver.call.takeover.is_on
            call.speak()
            assert (await line.receive_bytes(timeout=30))[160:] == OPERATOR_VOICE

            await line.send_str('{"type":"hand_back","note":"Ten percent."}')
            await loopback.ws_peer.until(lambda: not call.driver.call.takeover.is_on)
        assert await acts(at) == [
            "call.listened",
            "call.taken_over",
            "call.handed_back",
        ]
        await loopback.ws_peer.until(lambda: not call.driver.listeners.is_wanted)


@told
async def test_only_who_has_taken_over_is_heard(at):
    async with ringing(at) as call:
        url = call.path("line")
        async with (
            at.owner.http.ws_connect(at.owner.base + url) as first,
            at.operator.http.ws_connect(at.operator.base + url) as second,
        ):
            await first.send_str('{"type":"take_over"}')
            await loopback.ws_peer.until(lambda: call.driver.call.takeover.is_on)
            before = call.driver.call.playout.frames_sent
            await second.send_bytes(OPERATOR_VOICE)
            await second.send_str('{"type":"whisper","text":"now","speaks":false}')
            await loopback.ws_peer.until(
                lambda: call.driver.call.counters.operator_hints == 1
            )

            assert call.driver.call.playout.frames_sent == before


@told
async def test_a_line_ends_with_its_call(at):
    async with ringing(at) as call:
        async with at.owner.http.ws_connect(at.owner.base + call.path("line")) as line:
            call.peer.send_text(loopback.STOP)
            message = await line.receive(timeout=30)

        assert message.type is aiohttp.WSMsgType.CLOSE
        assert message.data == 1000


@told
async def test_what_is_no_order_ends_the_line(at):
    async with ringing(at) as call:
        async with at.owner.http.ws_connect(at.owner.base + call.path("line")) as line:
            await line.send_str('{"type":"explode"}')
            message = await line.receive(timeout=30)

        assert message.data == aiohttp.WSCloseCode.POLICY_VIOLATION
        assert await acts(at) == ["call.listened"]


@told
async def test_another_sites_page_opens_no_line(at):
    async with ringing(at) as call:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await at.owner.http.ws_connect(
                at.owner.base + call.path("line"),
                headers={"Origin": "https://evil.example"},
            )

        assert refused.value.status == 403


@told
async def test_streams_and_lines_of_a_logged_out_user_end_at_once(at):
    async with ringing(at) as call:
        url = at.owner.base + call.path("line")
        async with (
            at.owner.http.ws_connect(url) as line,
            events_of(at.owner, at.path("live", "events")) as next_event,
        ):
            await next_event("start")
            assert (await at.owner.post("/console/logout"))[0] == 303
            began_at = monotonic()

            assert (await next_event("over"))[0] == "over"
            message = await line.receive(timeout=30)

            assert message.type is aiohttp.WSMsgType.CLOSE
            assert monotonic() - began_at < 2.5


@told
async def test_a_stream_ends_when_its_user_s_role_changes(at):
    login = await add_user(at.database, "owner", at.ours)
    browser = at.new_browser()
    await browser.log_in(login)
    async with events_of(browser, at.path("live", "events")) as next_event:
        await next_event("start")
        user = await accounts.find(at.database, login)
        async with at.database.owner() as connection:
            await connection.fetchval(
                "select set_config('app.business_id', $1, true)", str(at.ours)
            )
            await connection.execute(
                "update memberships set role = 'staff' where user_id = $1", user.id
            )
        assert (await next_event("over"))[0] == "over"
