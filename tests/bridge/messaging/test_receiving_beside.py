"""Messages that a process could not write, while another one runs beside it."""

from bridge.records import journal
from tests.bridge import ws_peer
from tests.bridge.messaging.test_receiving import told


def test_message_of_a_process_that_ends_beside_this_one_is_written(
    database_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(journal, "LEFT_EVERY_S", 0.01)

    async def story(place):
        place.switch.error = ConnectionRefusedError()
        draining = place.new_receiver()
        draining.start()
        await draining.receive(place.form("kept"))
        await draining.close()
        place.switch.error = None

        await ws_peer.until(lambda: place.count("received"))
        assert await place.bodies() == [("kept", "received")]

    told(story)(database_url, tmp_path)
