"""A service that stops: how long its calls may last, and how they end."""

import asyncio

from bridge.call import last_turn
from bridge.service import serve, server as server_module
from tests.bridge import running_service, ws_peer


def run(story_of, database_url, home, loop="asyncio", **settings):
    async def told():
        async with running_service.served(database_url, home, **settings) as at:
            await story_of(at)

    ws_peer.run(told, ws_peer.LOOPS[loop])


def test_service_that_hands_over_the_port_lets_its_calls_last(
    database_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(server_module, "HEAD_WAIT_S", 0.01)

    async def told(at):
        sid = running_service.new_sid()
        await at.ring(sid)
        model, _ = await at.configured_model()
        signals = serve.Signals(asyncio.get_running_loop())
        signals.taken.set()
        draining = asyncio.ensure_future(serve._drain(at.settings, at.server, signals))
        await ws_peer.until(lambda: at.server.switchboard.is_draining)

        assert at.server.longest_call_s() > at.settings.call.max_call_seconds
        await asyncio.sleep(0.1)  # its own time to drain is nothing
        assert at.server.switchboard.find_driver(sid) is not None
        signals.asked.set()
        await draining
        assert at.server.switchboard.find_driver(sid) is None
        await model.close()

    run(told, database_url, tmp_path, drain_seconds=0)


def test_another_process_waits_for_a_record_as_long_as_for_the_last_words():
    looked_for_s = server_module.RECORD_LOOKS * server_module.RECORD_LOOK_S

    assert last_turn.WORDS_WAIT_S < looked_for_s < server_module.RECORD_LOOKS_S
    # Twilio gives a webhook up after 15 s, and we answer it after 12 whatever happens.
    assert server_module.RECORD_LOOKS_S < 12.0
