"""The admin port: not Twilio's port, and with a token beyond loopback."""

import orjson
import pytest

from bridge.ports.acceptor import listen
from bridge.service.admin import CONNECTIONS_MAX, open_admin
from bridge.settings.process import Settings, SettingsError, load
from tests.bridge import running_service, ws_peer
from tests.bridge.ws_peer import Peer


def run(story_of, embedded_url, home, **settings):
    async def told():
        async with running_service.served(embedded_url, home, **settings) as at:
            await story_of(at)

    ws_peer.run(told)


def test_metrics_are_a_page_of_the_admin_port(embedded_url, tmp_path):
    async def told(at):
        await at.ring(running_service.new_sid())
        status, page = await at.watch("/metrics")

        assert status == 200
        assert b"kolbridge_calls_active 1.0" in page
        assert b"kolbridge_model_sessions_orphaned 0.0" in page
        assert b"kolbridge_records_waiting 0.0" in page
        assert (await at.get("/metrics"))[0] == 404
        assert (await at.watch("/healthz")) == (200, b"ok")
        status, body = await at.watch("/readyz")
        assert (status, orjson.loads(body)["calls"]) == (200, "ok")
        assert (await at.watch("/twilio/voice"))[0] == 404

    run(told, embedded_url, tmp_path)


@pytest.mark.parametrize(
    ("header", "status"),
    [
        ("Authorization: Bearer watch-me", 200),
        ("Authorization: Bearer watch-m", 401),
        ("Authorization: Basic watch-me", 401),
        ("Authorization: Bearer \xe9", 401),
        ("X: x", 401),
    ],
)
def test_token_is_asked_for_where_there_is_one(embedded_url, tmp_path, header, status):
    async def told(at):
        for path in ("/metrics", "/readyz"):
            assert (await at.watch(path, header))[0] == status

    run(told, embedded_url, tmp_path, admin_token="watch-me")


def test_who_opens_connections_and_says_nothing_takes_no_descriptor_of_a_call(
    embedded_url, tmp_path
):
    async def told(at):
        port = at.server.admin_port
        idle = [await Peer.connect(port) for _ in range(CONNECTIONS_MAX + 8)]

        assert (await at.watch("/healthz")) == (200, b"ok")
        refused = at.server.metrics.value("connections_refused", reason="made_room")
        assert refused == 9
        assert await idle[0].ended() == b""
        status, _ = await at.watch("/twilio/media", "Upgrade: websocket")
        assert status == 404
        for peer in idle:
            await peer.close()

    run(told, embedded_url, tmp_path)


def test_beyond_loopback_a_token_is_needed():
    with pytest.raises(SettingsError, match=r"expected ADMIN_TOKEN to be set"):
        load({"ADMIN_HOST": "0.0.0.0"})

    settings = load({"ADMIN_HOST": "0.0.0.0", "ADMIN_TOKEN": "watch-me"})
    assert "watch-me" in settings.secrets
    assert "watch-me" not in repr(settings)


def test_port_that_is_taken_costs_the_metrics_alone(capsys):
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]

        assert open_admin(Settings(admin_port=port), None) is None
    said = orjson.loads(capsys.readouterr().err)
    assert said["message"].startswith("no metrics: cannot listen on ADMIN_HOST=127")
    assert said["level"] == "error"


def test_socket_of_the_service_before_is_taken_over_where_it_fits():
    before = listen("127.0.0.1", 0)
    port = before.getsockname()[1]

    assert open_admin(Settings(admin_port=port), before) is before
    assert before.fileno() >= 0
    with listen("127.0.0.1", 0) as found:
        free = found.getsockname()[1]
    with open_admin(Settings(admin_port=free), before) as other:
        assert other.getsockname()[1] == free
    assert before.fileno() == -1


def test_there_is_none_where_none_is_asked_for():
    assert open_admin(Settings(admin_port=0), None) is None
