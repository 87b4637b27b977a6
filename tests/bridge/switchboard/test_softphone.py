"""The softphone: a test call through the bridge's own door, marked in its record."""

import pytest

from bridge.ports.port_demux import MEDIA_PATH
from bridge.ports.workers import Workers
from bridge.settings.options import CallOptions
from bridge.switchboard.softphone import FROM, NO_ACCOUNT, Softphone
from bridge.switchboard.unserved import Refused, UnknownNumber
from crm import calls, leads
from tests.bridge import loopback, running_service, ws_peer
from tests.bridge.ws_peer import Peer


def run(story_of, database_url, home, **settings):
    async def told():
        async with running_service.served(database_url, home, **settings) as at:
            board = at.server.switchboard
            await story_of(at, Softphone(board, at.settings, None))

    ws_peer.run(told)


async def connected(at, placed, origin=None):
    """Open a placed call's stream as a browser does; None if it is refused."""
    peer = await Peer.connect(at.server.port)
    path = placed.url[placed.url.index(MEDIA_PATH) :]
    peer.send(ws_peer.upgrade(path, Origin=origin or at.server.public_url))
    if not (await peer.head()).startswith("HTTP/1.1 101"):
        await peer.close()
        return None
    peer.send_text(loopback.CONNECTED)
    token = placed.parameters["token"]
    start = loopback.start_message(placed.call_sid, token, placed.account_sid)
    peer.send_text(start)
    return peer


def test_test_call_is_greeted_and_recorded_as_a_test(database_url, tmp_path):
    async def told(at, softphone):
        placed = await softphone.place(at.number, "Dana")
        assert placed.account_sid == NO_ACCOUNT
        assert placed.parameters["business"] == str(at.business_id)
        model, _ = await at.configured_model()

        peer = await connected(at, placed)
        assert (await model.event())["type"] == "response.create"
        line = at.server.switchboard.find_driver(placed.call_sid)
        line.receive(line.call.receive_hangup, "test")
        await peer.close()
        await at.server._records.close(5.0)

        row = await calls.find(at.database, at.business_id, placed.call_sid)
        assert (row["is_test"], row["from_number"]) == (True, FROM)
        assert (row["caller_worth"], row["lead_id"]) == ("none", None)
        assert await leads.recent(at.database, at.business_id) == []

    run(told, database_url, tmp_path)


def test_ticket_is_for_one_stream(database_url, tmp_path):
    async def told(at, softphone):
        placed = await softphone.place(at.number, "Dana")

        assert await connected(at, placed, "https://elsewhere.example") is None
        peer = await connected(at, placed)
        assert peer is not None
        assert await connected(at, placed) is None
        await peer.close()

    run(told, database_url, tmp_path)


def test_test_calls_count_against_the_limits(database_url, tmp_path):
    async def told(at, softphone):
        await softphone.place(at.number, "Dana")

        with pytest.raises(Refused):
            await softphone.place(at.number, "Dana")

    limits = CallOptions(limit_concurrent_calls=1)
    run(told, database_url, tmp_path, call=limits)


def test_number_of_no_business_has_no_test_call(database_url, tmp_path):
    async def told(at, softphone):
        with pytest.raises(UnknownNumber):
            await softphone.place("+15550000000", "Dana")

    run(told, database_url, tmp_path)


def test_test_call_belongs_to_the_worker_that_opened_it(tmp_path):
    workers = Workers(tmp_path, 1, 2)
    softphone = Softphone(None, running_service.Settings(), workers)

    assert {workers.owner_of(softphone._own_sid()) for _ in range(20)} == {1}
