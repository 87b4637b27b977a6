"""Refused records are kept, counted, shown, and written again once."""

from uuid import UUID

import msgspec
import pytest

from bridge.cli.refused import listed, retry
from bridge.records.refused import REFUSED, RefusedRecords, read
from crm import calls
from tests.bridge.records.test_writer import Away, kept, sids, written


def test_refused_records_are_listed_and_written_again_once(database_url, tmp_path):
    async def steps(writer, database, business_id, metrics):
        aside = RefusedRecords(tmp_path)
        assert (aside.count(), aside.lines()) == (0, [])
        for call_sid in ("CA1", "CA2"):
            record = msgspec.json.encode(kept(business_id, call_sid))
            aside.add(record, "CheckViolationError: of an older schema")
        aside.add(msgspec.json.encode(kept(UUID(int=404), "CA404")), "no business")
        aside.add(b"{", "no call record")
        await calls.save(database, business_id, kept(business_id, "CA2").call)

        shown = list(listed(aside, {business_id: "Salon"}, is_json=False))
        assert "  CA1  Salon  " in shown[0]
        assert shown[0].endswith("CheckViolationError: of an older schema")
        assert shown[3] == "no call record: '{'"
        assert aside.count() == 4

        told = await retry(aside, database)
        assert told == "1 written, 1 in the database already, 2 refused again"
        assert await sids(database, business_id) == ["CA1", "CA2"]
        assert aside.count() == 2
        assert "ForeignKeyViolationError" in read(aside.lines()[0]).refusal
        told = await retry(aside, database)
        assert told == "0 written, 0 in the database already, 2 refused again"
        whole = list(listed(aside, {}, is_json=True))
        assert whole[1] == '{"unreadable":"{"}'
        assert (tmp_path / REFUSED).stat().st_mode & 0o777 == 0o600

    written(database_url, tmp_path, steps)


def test_retry_without_a_database_loses_nothing(database_url, tmp_path):
    async def steps(writer, database, business_id, metrics):
        aside = RefusedRecords(tmp_path)
        aside.add(msgspec.json.encode(kept(business_id)), "refused")
        with pytest.raises(OSError, match="away"):
            await retry(aside, Away(database, 1, OSError("away")))
        assert aside.count() == 1

        # What is refused meanwhile is not lost either.
        aside.settle({aside.lines()[0]: None})
        assert (aside.count(), list(tmp_path.iterdir())) == (0, [])

    written(database_url, tmp_path, steps)


def test_half_a_line_of_a_crash_spoils_no_other_record(tmp_path):
    aside = RefusedRecords(tmp_path)
    aside.add(b"one", "no call record")
    with (tmp_path / REFUSED).open("ab") as file:
        file.write(b'{"business_id":"0')

    aside.add(b"two", "no call record")

    assert aside.lines() == [b"one", b'{"business_id":"0', b"two"]
