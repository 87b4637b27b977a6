"""A disk that is full: records stay in memory, and the log says what is true."""

from bridge.records import writer
from bridge.records.journal import Journal
from bridge.records.writer import RecordWriter
from tests.bridge import ws_peer
from tests.bridge.records.test_writer import Away, kept, sids, written


def test_disk_that_has_room_again_takes_what_was_in_memory(
    database_url, tmp_path, monkeypatch, caplog
):
    monkeypatch.setattr(writer, "DISK_RETRY_S", 0.01)
    append = Journal._write
    disk = {"is_full": True}

    def write(self, lines):
        if disk["is_full"]:
            raise OSError(28, "No space left on device")
        return append(self, lines)

    monkeypatch.setattr(Journal, "_write", write)

    async def steps(writer, database, business_id, metrics):
        writer = RecordWriter(Away(database, 10**6, OSError("away")), tmp_path, metrics)
        writer.start()
        writer.add(kept(business_id))
        await ws_peer.until(lambda: writer.in_memory == 1)
        disk["is_full"] = False
        await ws_peer.until(lambda: writer.in_memory == 0)
        await writer.close(0.01)
        assert "1 call records wait on disk" in caplog.text
        assert "lost" not in caplog.text

        again = RecordWriter(database, tmp_path, metrics)
        again.start()
        await again.close(5.0)
        assert await sids(database, business_id) == ["CA1"]

    written(database_url, tmp_path, steps)


def test_what_neither_disk_nor_database_takes_is_said_to_be_lost(
    database_url, tmp_path, monkeypatch, caplog
):
    def full(self, lines):
        raise OSError(28, "No space left on device")

    async def steps(writer, database, business_id, metrics):
        writer = RecordWriter(Away(database, 10**6, OSError("away")), tmp_path, metrics)
        writer.start()
        monkeypatch.setattr(Journal, "_write", full)
        writer.add(kept(business_id))
        await ws_peer.until(lambda: metrics.value("records", outcome="retried"))
        await writer.close(0.01)

        assert "1 call records are lost: neither the disk" in caplog.text
        assert "wait on disk" not in caplog.text
        assert metrics.value("records", outcome="lost") == 1

    written(database_url, tmp_path, steps)


def test_service_starts_on_a_full_disk_and_writes_what_was_left(
    database_url, tmp_path, monkeypatch, caplog
):
    def full(self, lines):
        raise OSError(28, "No space left on device")

    async def steps(writer, database, business_id, metrics):
        away = Away(database, 10**6, OSError("away"))
        stuck = RecordWriter(away, tmp_path, metrics)
        stuck.start()
        stuck.add(kept(business_id))
        await ws_peer.until(lambda: metrics.value("records", outcome="retried"))
        await stuck.close(0.01)
        monkeypatch.setattr(Journal, "_write", full)

        writer.start()
        assert "1 of them are in memory, too: the disk refuses them" in caplog.text
        await ws_peer.until(lambda: not writer.waiting)
        assert await sids(database, business_id) == ["CA1"]
        await writer.close(5.0)
        assert list((tmp_path / "unwritten").iterdir()) == []
        assert "lost" not in caplog.text

    written(database_url, tmp_path, steps)
