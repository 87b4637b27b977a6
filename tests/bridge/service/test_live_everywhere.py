"""Live calls of all workers: seen, heard and joined from any of them."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from bridge.call.plan import HandBack, SayGoodbye, TakeOver, Whisper
from bridge.ports.workers import Workers
from bridge.service import live_everywhere
from bridge.service.live_everywhere import LiveEverywhere
from bridge.switchboard.live_calls import Lines
from tests.bridge import builders, loopback, ws_peer
from tests.bridge.line.test_driver import talking

CALLER = b"\x33" * 160
VOICE = b"\x42" * 160


@asynccontextmanager
async def two_workers(place, folder):
    """A call that is worker 1's, as worker 0 sees it; and worker 1's own view."""
    peer, model = await talking(place)
    found = {builders.CALL_SID: place.line}
    views, runners = [], []
    for index, drivers in enumerate(({}, found)):
        lines = Lines(place.metrics, drivers.values, drivers.get, {})
        workers = Workers(folder, index, 2)
        view = LiveEverywhere(lines, workers)
        app = web.Application()
        view.add_routes(app)
        app.on_cleanup.append(view.close)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.UnixSite(runner, workers.http_socket(index)).start()
        views.append(view)
        runners.append(runner)
    try:
        yield views, peer
    finally:
        for runner in runners:
            await runner.cleanup()
        await peer.close()
        await model.close()


@pytest.fixture
def told(tmp_path):
    def run(story):
        async def whole():
            async with (
                loopback.opened() as place,
                asyncio.timeout(20),
                two_workers(place, tmp_path) as (views, peer),
            ):
                await story(place, views, peer)

        asyncio.run(whole())

    return run


def test_every_worker_sees_the_calls_of_all(told):
    async def story(place, views, peer):
        for view in views:
            [call] = (await view.snapshot()).calls
            assert call.call_sid == builders.CALL_SID
            assert call.phase == "talking"
            assert call.business_name == "Salon"

    told(story)


def test_a_worker_that_does_not_answer_is_left_out(told, tmp_path):
    async def story(place, views, peer):
        (tmp_path / "1.http").unlink()

        assert (await views[0].snapshot()).calls == ()
        assert await open_line(views[0]) is None

    told(story)


def test_the_calls_of_a_worker_that_is_late_are_as_they_were_for_a_while(
    told, monkeypatch
):
    async def story(place, views, peer):
        seen = await views[0].snapshot()
        monkeypatch.setattr(live_everywhere, "SNAPSHOT_WAIT_S", 1e-6)
        assert (await views[0].snapshot()).calls == seen.calls != ()

        monkeypatch.setattr(live_everywhere, "KEPT_S", 0.0)
        assert (await views[0].snapshot()).calls == ()

    told(story)


async def open_line(view, business="b1", name="Dana", hears=True):
    whose = business, name, "page 1"
    return await view.open_line(builders.CALL_SID, *whose, hears=hears)


def test_a_call_of_another_worker_is_heard_and_taken_over(told):
    async def story(place, views, peer):
        call = place.line.call
        line = await open_line(views[0])
        peer.send_text(loopback.media_message(CALLER))
        assert await line.take() == CALLER + builders.SILENCE

        await line.obey(TakeOver())
        await ws_peer.until(lambda: call.takeover.is_on)
        await line.speak(VOICE)
        await ws_peer.until(lambda: call.playout.frames_sent == 1)
        [seen] = (await views[0].snapshot()).calls
        assert (seen.taken_over_by, seen.taken_over_page) == ("Dana", "page 1")
        assert seen.listeners == ("Dana",)
        assert seen.speaker == "operator"

        await line.obey(HandBack(note="Ten percent."))
        await ws_peer.until(lambda: not call.takeover.is_on)
        assert (await views[1].snapshot()).calls[0].taken_over_by == ""
        await line.close()
        await ws_peer.until(lambda: not place.line.listeners.is_wanted)
        await line.speak(VOICE)

    told(story)


def test_a_call_of_another_worker_is_handed_back_by_whoever_has_it_alone(told):
    async def story(place, views, peer):
        call = place.line.call
        here, there = await open_line(views[1]), await open_line(views[0], name="Noa")
        await here.obey(TakeOver())
        await there.obey(HandBack())
        await there.obey(Whisper(text="What is ordered later is done later."))
        await ws_peer.until(lambda: call.counters.operator_hints == 1)

        assert call.takeover.is_speaking
        for line in (here, there):
            await line.close()

    told(story)


def test_a_hint_needs_no_ear(told):
    async def story(place, views, peer):
        line = await open_line(views[0], hears=False)
        await line.obey(Whisper(text="Tuesday is full."))
        await line.close()

        await ws_peer.until(lambda: place.line.call.counters.operator_hints == 1)
        assert not place.line.listeners.is_wanted

    told(story)


def test_a_line_ends_with_its_call_in_another_worker(told):
    async def story(place, views, peer):
        line = await open_line(views[0])
        silent = await open_line(views[0], hears=False)
        await silent.obey(SayGoodbye())
        await ws_peer.until(lambda: place.line.call.ending.reason == "operator")
        peer.send_text(loopback.STOP)

        assert await line.take() == b""
        await line.close()
        await silent.close()

    told(story)


def test_nobody_gets_a_line_to_a_call_of_another_business(told):
    async def story(place, views, peer):
        for view in views:
            assert await open_line(view, business="b2") is None
            whose = "b1", "Dana", "page 1"
            assert await view.open_line("CA0", *whose, hears=True) is None

    told(story)


def test_so_many_may_listen(told):
    async def story(place, views, peer):
        lines = [
            await open_line(views[index % 2], name=str(index)) for index in range(9)
        ]

        assert lines[-1] is None
        assert None not in lines[:-1]
        for line in lines[:-1]:
            await line.close()

    told(story)
