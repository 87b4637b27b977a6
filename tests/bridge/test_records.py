"""Records are written, tried again, kept in files, and written by the next start."""

import asyncio
from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec
import pytest

from bridge import records
from bridge.call import Call
from bridge.metrics import Metrics
from bridge.plan import ToolRecord, TurnRecord
from bridge.records import Kept, RecordWriter, to_row
from crm import businesses, calls
from crm.database import Database
from tests.bridge import story, wire

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def kept(business_id=None, sid="CA1", **changes):
    plan = msgspec.structs.replace(
        story.plan(), call_sid=sid, business_id=str(business_id or UUID(int=1))
    )
    call = Call(plan, now=100.0)
    call.receive_twilio(story.start(), 101.0)
    call.receive_hangup("tested", 130.0)
    record = msgspec.structs.replace(call.record(130.0), **changes)
    return to_row(record, 140.0, NOW)


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

    wire.run(told)


def test_times_of_the_calls_clock_become_the_worlds():
    row = kept().call

    assert row.started_at == datetime(2026, 11, 21, 11, 59, 20, tzinfo=UTC)
    assert row.answered_at == datetime(2026, 11, 21, 11, 59, 21, tzinfo=UTC)
    assert row.ended_at == datetime(2026, 11, 21, 11, 59, 50, tzinfo=UTC)
    assert kept(answered_at_s=None).call.answered_at is None


def test_what_the_database_cannot_hold_is_taken_out():
    turn = TurnRecord(
        role="ai", item_id="i", text="a\0b", interrupted=False, heard_ms=None, at_s=1.0
    )
    tool = ToolRecord(
        tool_call_id="t",
        name="x",
        arguments="\0{}",
        result="{}\0",
        ok=True,
        duration_ms=1.0,
        at_s=1.0,
    )
    row = kept(turns=[turn], tools=[tool]).call

    assert row.turns[0].text == "ab"
    assert (row.tools[0].arguments, row.tools[0].result) == ("{}", "{}")


def test_record_is_written_once(database_url, tmp_path, caplog):
    async def steps(writer, database, business_id, metrics):
        writer.start()
        writer.add(kept(business_id))
        writer.add(kept(business_id))
        await writer.close(5.0)

        rows = await calls.recent(database, business_id)
        assert [row["call_sid"] for row in rows] == ["CA1"]
        assert metrics.value("records", outcome="written") == 1
        assert metrics.value("records", outcome="known") == 1
        assert writer.waiting == 0

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
    monkeypatch.setattr(records, "RETRY_S_MIN", 0.001)

    async def steps(writer, database, business_id, metrics):
        away = Away(database, 3, asyncpg.CannotConnectNowError("starting up"))
        writer = RecordWriter(away, tmp_path, metrics)
        writer.start()
        writer.add(kept(business_id))
        await writer.close(5.0)

        assert metrics.value("records", outcome="retried") == 3
        assert len(await calls.recent(database, business_id)) == 1

    written(database_url, tmp_path, steps)


def test_record_that_cannot_be_written_in_time_is_kept_for_the_next_start(
    database_url, tmp_path, caplog
):
    async def steps(writer, database, business_id, metrics):
        away = Away(database, 10**6, ConnectionRefusedError())
        stuck = RecordWriter(away, tmp_path, metrics)
        stuck.start()
        stuck.add(kept(business_id, "CA1"))
        stuck.add(kept(business_id, "CA2"))
        await wire.until(lambda: metrics.value("records", outcome="retried"))
        await stuck.close(0.01)
        assert metrics.value("records", outcome="kept_in_file") == 2
        assert "call records are kept in files" in caplog.text

        writer.start()
        await writer.close(5.0)
        rows = await calls.recent(database, business_id)
        assert {row["call_sid"] for row in rows} == {"CA1", "CA2"}
        assert list((tmp_path / "unwritten").iterdir()) == []

    written(database_url, tmp_path, steps)


def test_record_the_database_refuses_is_kept_and_does_not_stop_the_others(
    database_url, tmp_path
):
    async def steps(writer, database, business_id, metrics):
        writer.start()
        writer.add(kept(UUID(int=404), "CA404"))
        writer.add(kept(business_id))
        await writer.close(5.0)

        assert [row["call_sid"] for row in await calls.recent(database, business_id)]
        assert metrics.value("records", outcome="kept_in_file") == 1
        (path,) = (tmp_path / "unwritten").iterdir()
        assert msgspec.json.decode(path.read_bytes(), type=Kept).call.call_sid

    written(database_url, tmp_path, steps)


def test_record_over_the_limit_goes_to_a_file(database_url, tmp_path, monkeypatch):
    monkeypatch.setattr(records, "RECORDS_WAITING_MAX", 1)

    async def steps(writer, database, business_id, metrics):
        writer = RecordWriter(database, tmp_path, metrics)
        writer.add(kept(business_id, "CA1"))
        writer.add(kept(business_id, "CA2"))

        assert writer.waiting == 1
        assert [path.stem for path in (tmp_path / "unwritten").iterdir()] == ["CA2"]

    written(database_url, tmp_path, steps)


@pytest.mark.parametrize("data", [b"{", b"\xff", b'{"business_id":1}'])
def test_file_that_is_no_record_is_put_aside(database_url, tmp_path, data):
    (tmp_path / "unwritten").mkdir()
    (tmp_path / "unwritten" / "CA1.json").write_bytes(data)

    async def steps(writer, database, business_id, metrics):
        writer.start()
        await writer.close(5.0)
        assert [path.name for path in (tmp_path / "unwritten").iterdir()] == ["CA1.bad"]

    written(database_url, tmp_path, steps)


def test_writer_that_was_never_started_closes(tmp_path):
    asyncio.run(RecordWriter(None, tmp_path, Metrics()).close(1.0))
