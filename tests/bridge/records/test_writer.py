"""Records go to the journal, from there to the database, and once only."""

import asyncio
import threading
from uuid import UUID

import asyncpg
import msgspec
import pytest

from bridge.records import writer
from bridge.records.journal import Journal
from bridge.records.refused import REFUSED, read
from bridge.records.writer import RecordWriter
from bridge.telemetry.metrics import Metrics
from crm import businesses, calls
from crm.database import Database
from tests.bridge import ws_peer
from tests.bridge.records.test_summary import kept


def written(database_url, home, steps):
    """Run `steps(writer, database, business_id, metrics)` with a real database."""

    async def told():
        database = await Database.open(database_url)
        business_id = await businesses.create(database, "Salon")
        metrics = Metrics()
        writer = RecordWriter(database, home, metrics)
        try:
            await steps(writer, database, business_id, metrics)
        finally:
            await database.close()

    ws_peer.run(told)


def files(home):
    return sorted(path.name for path in (home / "unwritten").iterdir())


async def sids(database, business_id):
    rows = await calls.recent(database, business_id)
    return sorted(row["call_sid"] for row in rows)


def test_closing_twice_does_not_wait_for_a_writer_that_has_stopped(
    database_url, tmp_path
):
    async def steps(writer, database, business_id, metrics):
        writer.start()
        await writer.close(5.0)
        # In less than it would wait; and the journal is closed once more.
        async with asyncio.timeout(4.0):
            await writer.close(5.0)

    written(database_url, tmp_path, steps)


def test_record_is_written_once(database_url, tmp_path, caplog):
    async def steps(writer, database, business_id, metrics):
        writer.start()
        writer.add(kept(business_id))
        writer.add(kept(business_id))
        await writer.close(5.0)

        assert await sids(database, business_id) == ["CA1"]
        assert metrics.value("records", outcome="written") == 1
        assert metrics.value("records", outcome="known") == 1
        assert writer.waiting == 0
        assert files(tmp_path) == []

    with caplog.at_level("INFO", "kolbridge"):
        written(database_url, tmp_path, steps)
    assert caplog.messages.count("[CRM] call written: turns=0") == 1


class Away:
    """A database that is away for the first `times`."""

    def __init__(self, database, times, error):
        self._database = database
        self._error = error
        self.times = times

    def tenant(self, business_id):
        if self.times:
            self.times -= 1
            raise self._error
        return self._database.tenant(business_id)


def test_record_waits_for_a_database_that_is_away(database_url, tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "RETRY_S_MIN", 0.001)

    async def steps(writer, database, business_id, metrics):
        away = Away(database, 3, asyncpg.CannotConnectNowError("starting up"))
        writer = RecordWriter(away, tmp_path, metrics)
        writer.start()
        writer.add(kept(business_id))
        await writer.close(5.0)

        assert metrics.value("records", outcome="retried") == 3
        assert await sids(database, business_id) == ["CA1"]

    written(database_url, tmp_path, steps)


def test_record_that_cannot_be_written_in_time_is_left_to_the_next_start(
    database_url, tmp_path, caplog
):
    async def steps(writer, database, business_id, metrics):
        away = Away(database, 10**6, ConnectionRefusedError())
        stuck = RecordWriter(away, tmp_path, metrics)
        stuck.start()
        stuck.add(kept(business_id, "CA1"))
        stuck.add(kept(business_id, "CA2"))
        await ws_peer.until(lambda: metrics.value("records", outcome="retried"))
        await stuck.close(0.01)
        assert "2 call records wait on disk" in caplog.text

        writer.start()
        assert "2 call records of an earlier run" in caplog.text
        await writer.close(5.0)
        assert await sids(database, business_id) == ["CA1", "CA2"]
        assert files(tmp_path) == []

    written(database_url, tmp_path, steps)


def test_record_written_just_before_a_kill_is_not_written_again(database_url, tmp_path):
    async def steps(writer, database, business_id, metrics):
        killed = Journal(tmp_path / "unwritten")
        killed.open(0.0)
        record = kept(business_id)
        killed.append([msgspec.json.encode(record)])
        await calls.save(database, business_id, record.call)
        killed.close()

        writer.start()
        await writer.close(5.0)
        assert metrics.value("records", outcome="known") == 1
        assert await sids(database, business_id) == ["CA1"]

    written(database_url, tmp_path, steps)


def test_record_the_database_refuses_is_put_aside_and_does_not_stop_the_others(
    database_url, tmp_path
):
    async def steps(writer, database, business_id, metrics):
        writer.start()
        writer.add(kept(UUID(int=404), "CA404"))
        writer.add(kept(business_id))
        await writer.close(5.0)

        assert await sids(database, business_id) == ["CA1"]
        assert metrics.value("records", outcome="refused") == 1
        assert files(tmp_path) == [REFUSED]
        (aside,) = writer.refused.lines()
        assert read(aside).call.call_sid == "CA404"
        assert "ForeignKeyViolationError" in read(aside).refusal
        assert writer.refused.count() == 1

    written(database_url, tmp_path, steps)


@pytest.mark.parametrize("data", [b"{", b"\xff", b'{"business_id":1}'])
def test_line_that_is_no_record_is_put_aside(database_url, tmp_path, data):
    (tmp_path / "unwritten").mkdir()
    (tmp_path / "unwritten" / "worker-1-1.journal").write_bytes(data + b"\n")

    async def steps(writer, database, business_id, metrics):
        writer.start()
        writer.add(kept(business_id))
        await writer.close(5.0)
        assert files(tmp_path) == [REFUSED]
        assert (tmp_path / "unwritten" / REFUSED).read_bytes() == data + b"\n"
        assert await sids(database, business_id) == ["CA1"]

    written(database_url, tmp_path, steps)


def test_without_a_disk_records_go_to_the_database_at_once(
    database_url, tmp_path, monkeypatch, caplog
):
    def full(self, lines):
        raise OSError(28, "No space left on device")

    async def steps(writer, database, business_id, metrics):
        writer.start()
        monkeypatch.setattr(Journal, "append", full)
        writer.add(kept(business_id))
        await writer.close(5.0)

        assert await sids(database, business_id) == ["CA1"]
        assert "the journal cannot be written: [Errno 28]" in caplog.text
        assert "1 call records are in memory only" in caplog.text
        assert "lost" not in caplog.text
        assert metrics.value("records", outcome="in_memory") == 1
        assert writer.in_memory == 0

    written(database_url, tmp_path, steps)


def test_record_over_the_limit_is_counted(database_url, tmp_path, monkeypatch):
    monkeypatch.setattr(writer, "RECORDS_INCOMING_MAX", 1)

    async def steps(writer, database, business_id, metrics):
        writer = RecordWriter(database, tmp_path, metrics)
        writer.add(kept(business_id, "CA1"))
        writer.add(kept(business_id, "CA2"))

        assert writer.waiting == 1
        assert metrics.value("records", outcome="lost") == 1

    written(database_url, tmp_path, steps)


def test_disk_that_hangs_keeps_nobody_waiting(database_url, tmp_path, monkeypatch):
    answers = threading.Event()
    append = Journal.append

    def hanging(self, lines):
        answers.wait(5.0)
        append(self, lines)

    async def steps(writer, database, business_id, metrics):
        writer.start()
        monkeypatch.setattr(Journal, "append", hanging)
        writer.add(kept(business_id))
        await asyncio.sleep(0)  # the loop is free while the thread waits
        answers.set()
        await writer.close(5.0)
        assert await sids(database, business_id) == ["CA1"]

    written(database_url, tmp_path, steps)


def test_writer_that_was_never_started_closes(tmp_path):
    asyncio.run(RecordWriter(None, tmp_path, Metrics()).close(1.0))


def test_call_that_was_begun_and_ended_is_written_as_it_ended(database_url, tmp_path):
    async def steps(writer, database, business_id, metrics):
        writer.start()
        writer.begin(kept(business_id, end_reason="process_lost"))
        writer.add(kept(business_id))
        await writer.close(5.0)

        (row,) = await calls.recent(database, business_id)
        assert row["end_reason"] == "tested"
        assert files(tmp_path) == []

    written(database_url, tmp_path, steps)


class ReadOnly(Away):
    """A server that refuses what is written, whoever asks."""

    def __init__(self, database, times):
        super().__init__(
            database, times, asyncpg.ReadOnlySQLTransactionError("cannot execute")
        )


PASSING = [
    asyncpg.ReadOnlySQLTransactionError("25006"),
    asyncpg.InsufficientPrivilegeError("42501"),
    asyncpg.InvalidAuthorizationSpecificationError("28000"),
    asyncpg.InvalidPasswordError("28P01"),
    asyncpg.UndefinedTableError("42P01"),
    asyncpg.InvalidCachedStatementError("0A000"),
    asyncpg.InvalidCatalogNameError("3D000"),
    asyncpg.ProtocolViolationError("08P01"),
    asyncpg.InternalServerError("XX000"),
    asyncpg.QueryCanceledError("57014"),
    asyncpg.InterfaceError("pool is closing"),
    TimeoutError(),
    OSError(5, "Input/output error"),
    KeyError("a fault of our own"),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_what_is_not_about_the_row_is_tried_again(
    database_url, tmp_path, monkeypatch, error
):
    monkeypatch.setattr(writer, "RETRY_S_MIN", 0.001)

    async def steps(writer, database, business_id, metrics):
        writer = RecordWriter(Away(database, 2, error), tmp_path, metrics)
        writer.start()
        writer.add(kept(business_id))
        await writer.close(5.0)

        assert await sids(database, business_id) == ["CA1"]
        assert metrics.value("records", outcome="retried") == 2
        assert metrics.value("records", outcome="refused") == 0

    written(database_url, tmp_path, steps)


class Choosy:
    """A database in which one business's rows always fail, for no known reason."""

    def __init__(self, database, business_id):
        self._database = database
        self._business_id = business_id

    def tenant(self, business_id):
        if business_id == self._business_id:
            raise RuntimeError("surprise")
        return self._database.tenant(business_id)


def test_record_that_always_fails_keeps_no_other_waiting(
    database_url, tmp_path, caplog
):
    async def steps(writer, database, business_id, metrics):
        writer = RecordWriter(Choosy(database, UUID(int=7)), tmp_path, metrics)
        writer.start()
        writer.add(kept(UUID(int=7), "CA7"))
        for at in range(20):
            writer.add(kept(business_id, f"CA{at:03}"))
        await ws_peer.until(lambda: metrics.value("records", outcome="written") == 20)

        await ws_peer.until(lambda: writer.waiting == 1)
        assert len(await sids(database, business_id)) == 20
        # It stays in sight, with its traceback once, and is there after a restart.
        await writer.close(0.1)
        assert "record waits, 1 tries so far: RuntimeError: surprise" in caplog.text
        assert caplog.text.count("Traceback") == 1
        assert "1 call records wait on disk" in caplog.text
        again = RecordWriter(database, tmp_path, metrics)
        again.start()
        assert again.waiting == 1
        await again.close(5.0)

    written(database_url, tmp_path, steps)


def test_all_that_failed_together_is_written_together(
    database_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(writer, "RETRY_S_MIN", 0.05)

    async def steps(writer, database, business_id, metrics):
        away = ReadOnly(database, 4)
        writer = RecordWriter(away, tmp_path, metrics)
        writer.start()
        for at in range(3):
            writer.add(kept(business_id, f"CA{at}"))
        await ws_peer.until(lambda: metrics.value("records", outcome="written") == 3)
        await writer.close(5.0)

        assert await sids(database, business_id) == ["CA0", "CA1", "CA2"]

    written(database_url, tmp_path, steps)


def test_refused_record_that_cannot_be_put_aside_stops_no_other(database_url, tmp_path):
    async def steps(writer, database, business_id, metrics):
        writer.start()
        (tmp_path / "unwritten" / REFUSED).mkdir()
        writer.add(kept(UUID(int=404), "CA404"))
        writer.add(kept(business_id))
        await ws_peer.until(lambda: metrics.value("records", outcome="written"))
        await writer.close(0.1)

        assert await sids(database, business_id) == ["CA1"]
        assert writer.waiting == 1

    written(database_url, tmp_path, steps)
