"""Calls whose process died: their records wait for whoever may go on with them."""

import os

import asyncpg
import msgspec

from bridge.records import journal, writer
from bridge.records.journal import Journal
from bridge.records.writer import RecordWriter
from tests.bridge import ws_peer
from tests.bridge.records.test_writer import Away, kept, sids, written


def test_call_that_others_may_go_on_with_is_not_hurried(
    database_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(writer, "RETRY_S_MIN", 0.001)

    async def steps(writer, database, business_id, metrics):
        lost = msgspec.structs.replace(kept(business_id, "CA1"), is_lost=True)
        killed = Journal(tmp_path / "unwritten")
        killed.open(0.0)
        killed.begin("CA1", msgspec.json.encode(lost))
        os.close(killed._fd)

        away = Away(database, 2, asyncpg.CannotConnectNowError("starting up"))
        writer = RecordWriter(away, tmp_path, metrics, lost_wait_s=60.0)
        writer.start()
        writer.add(kept(business_id, "CA2"))
        await ws_peer.until(lambda: metrics.value("records", outcome="written"))
        # Both were put back, and the database is back: the other record is tried again.
        writer.add(kept(business_id, "CA3"))
        await ws_peer.until(lambda: metrics.value("records", outcome="written") > 1)
        assert await sids(database, business_id) == ["CA2", "CA3"]

        # A process that stops has no later.
        await writer.close(5.0)
        assert await sids(database, business_id) == ["CA1", "CA2", "CA3"]

    written(database_url, tmp_path, steps)


def test_record_of_a_process_that_ends_beside_this_one_is_written(
    database_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(journal, "LEFT_EVERY_S", 0.01)

    async def steps(writer, database, business_id, metrics):
        refused = asyncpg.InvalidPasswordError("it was changed")
        draining = RecordWriter(Away(database, 10**6, refused), tmp_path, metrics)
        draining.start()
        writer.start()
        draining.add(kept(business_id, "CA1"))
        await ws_peer.until(lambda: metrics.value("records", outcome="retried"))
        await draining.close(0.01)

        await ws_peer.until(lambda: metrics.value("records", outcome="written"))
        assert await sids(database, business_id) == ["CA1"]
        await writer.close(5.0)

    written(database_url, tmp_path, steps)
