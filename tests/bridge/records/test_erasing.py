"""Erasing a person: nothing of them is left, in any table or file; all else stays."""

import asyncio
import shutil
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from uuid import uuid4

import msgspec
import orjson
import pytest

from bridge.records.erasing import ErasedCalls, erase_person
from bridge.records.journal import CALLS_FOLDER, MESSAGES_FOLDER
from bridge.records.refused import RefusedRecords
from bridge.records.writer import Kept
from bridge.settings.process import Settings
from crm import (
    audit,
    businesses,
    calls,
    claims,
    conversations,
    lead_care,
    leads,
    live_calls,
    notices,
)
from crm.businesses import Service
from crm.claims import Claimant
from crm.conversations import Arrived
from crm.database import Database
from crm.erasing import CallRuns
from tests.crm.test_crm import call
from tests.test_tenants_apart import everything_of

PERSON, SECOND, OTHER = "+12025550101", "+12025550102", "+12025550103"
WORD = "Ludmilla"
# Two appointments a person, each on a day of its own.
_days = count(1, 2)


def run(story, url, home):
    async def main():
        db = await Database.open(url, pool_max=2)
        settings = Settings(
            kolbridge_home=str(home), record_dir=str(home / "recordings")
        )
        (home / "recordings").mkdir()
        try:
            business_id = await businesses.create(db, "Salon")
            await businesses.add_service(db, business_id, Service("cut", 30))
            return await story(db, business_id, settings)
        finally:
            await db.close()

    return asyncio.run(main())


async def fill(db, business_id, phone, word, home):
    """Write a person into every table and file that can name them."""
    lead = await leads.touch(db, business_id, phone)
    await leads.upsert(db, business_id, phone, {"name": word, "email": f"{word}@x"})
    sid = f"CA{uuid4().hex}"
    turn = calls.Turn(
        role="caller",
        item_id="i",
        text=f"I am {word}",
        interrupted=False,
        heard_ms=None,
        at_s=1.0,
    )
    tool = calls.ToolCall(
        tool_call_id="t",
        name="leads_upsert",
        arguments=f'{{"name":"{word}"}}',
        result="{}",
        ok=True,
        duration_ms=1.0,
        at_s=2.0,
    )
    row = call(
        sid,
        from_number=phone,
        prompt_facts=f"The caller is {word}",
        turns=[turn],
        tools=[tool],
    )
    await calls.save(db, business_id, row)
    claimed = f"CA{uuid4().hex}"
    await claims.write(db, business_id, Claimant(claimed), phone, {"name": word})
    await calls.save(
        db,
        business_id,
        call(claimed, from_number="", caller_worth="none", turns=[turn]),
    )
    start = datetime.now(UTC) + timedelta(days=next(_days))
    async with db.tenant(business_id) as connection:
        for holder, value in (("lead_id", lead.id), ("claimed_by", claimed)):
            await connection.execute(
                f"insert into appointments (business_id, {holder}, starts_at, ends_at, "
                "busy_until) values ($1, $2, $3, $4, $4)",
                business_id,
                value,
                start,
                start + timedelta(minutes=30),
            )
            start += timedelta(days=1)
        await connection.execute(
            "insert into admissions (business_id, call_sid, caller, admitted_at) "
            "values ($1, $2, $3, now())",
            business_id,
            sid,
            phone,
        )
    arrived = Arrived(f"SM{uuid4().hex}", f"I am {word}", OTHER, "AC1", phone)
    await conversations.receive(db, business_id, arrived)
    for name in (f"{sid}.zip", f"{sid}.2.zip", f"{claimed}.zip"):
        (home / "recordings" / name).write_bytes(word.encode())
    spool = home / "recordings" / f"{sid}.{uuid4().hex}.running"
    spool.mkdir()
    (spool / "steps").write_text(word)
    timeline = home / "timelines" / f"{sid}.0123"
    timeline.mkdir(parents=True)
    (timeline / "timeline.json").write_text(word)
    refused = RefusedRecords(home / CALLS_FOLDER)
    refused.add(msgspec.json.encode(Kept(business_id, row)), "no")
    form = {"From": f"whatsapp:{phone}", "To": f"whatsapp:{OTHER}"}
    form["Body"] = f"I am {word}"
    refused = RefusedRecords(home / MESSAGES_FOLDER)
    refused.add(msgspec.json.encode({"form": form}), "no")
    return lead.id, sid, claimed


def files_naming(home, *words):
    return [
        path
        for path in home.rglob("*")
        if (
            path.is_file() and any(word.encode() in path.read_bytes() for word in words)
        )
        or any(word in path.name for word in words)
    ]


def test_nothing_of_an_erased_person_is_left_anywhere(database_url, tmp_path):
    async def story(db, business_id, settings):
        await notices.add(
            db,
            business_id,
            "webhook",
            "https://example.com/x",
            ("call.ended", "lead.created", "appointment.booked"),
        )
        person = await fill(db, business_id, PERSON, WORD, tmp_path)
        second = await fill(db, business_id, SECOND, WORD, tmp_path)
        other = await fill(db, business_id, OTHER, "Somebody", tmp_path)
        await lead_care.merge(db, business_id, person[0], SECOND)
        marks = (PERSON, SECOND, WORD, *map(str, (*person, *second)))
        before = await everything_of(db, business_id)
        assert len(files_naming(tmp_path, *marks)) == 16
        found = {
            table
            for table, rows in before.items()
            if any(mark in row for row in rows for mark in marks)
        }
        assert found >= {"calls", "call_turns", "tool_calls", "call_words", "notices"}
        assert found >= {"conversations", "messages"}
        assert found >= {"leads", "claims", "appointments", "admissions"}

        erasure = await erase_person(db, settings, business_id, second[0])

        after = await everything_of(db, business_id)
        gone = {row["call_sid"] for row in map(orjson.loads, after.pop("erased_calls"))}
        assert gone == {*person[1:], *second[1:]}
        for table, rows in after.items():
            for row in rows:
                assert not any(mark in row for mark in marks), (table, row)
        assert files_naming(tmp_path, *marks) == []
        assert erasure.left == ()
        assert erasure.files == 12
        assert erasure.rows["leads"] == 2
        # The other person keeps all that was theirs.
        kept = {"leads", "claims", "calls", "appointments", "admissions", "call_turns"}
        kept |= {"conversations", "messages", "message_work"}
        for table in kept:
            assert after[table], table
        assert len(files_naming(tmp_path, *map(str, other))) == 6
        assert await erase_person(db, settings, business_id, person[0]) is None

    run(story, database_url, tmp_path)


def test_another_machine_deletes_its_recordings_too(database_url, tmp_path):
    async def story(db, business_id, settings):
        lead_id, sid, _ = await fill(db, business_id, PERSON, WORD, tmp_path)
        other = tmp_path / "other"
        recordings = other / "recordings"
        recordings.mkdir(parents=True)
        there = Settings(kolbridge_home=str(other), record_dir=str(recordings))
        machine = ErasedCalls(db, there)
        for name in (f"{sid}.2.zip", "CAother.zip"):
            (recordings / name).write_bytes(b"sound")
        await machine.sweep()
        assert (recordings / f"{sid}.2.zip").exists()

        await erase_person(db, settings, business_id, lead_id)

        assert await machine.sweep() == 1
        assert [path.name for path in recordings.iterdir()] == ["CAother.zip"]
        # One that starts later finds it, too.
        (recordings / f"{sid}.3.zip").write_bytes(b"sound")
        assert await ErasedCalls(db, there).sweep() == 1

    run(story, database_url, tmp_path)


def test_record_that_comes_after_the_erasure_is_not_written(database_url, tmp_path):
    async def story(db, business_id, settings):
        lead_id, sid, _ = await fill(db, business_id, PERSON, WORD, tmp_path)
        await erase_person(db, settings, business_id, lead_id)

        late = call(sid, from_number=PERSON)
        assert not await calls.save(db, business_id, late)
        assert await calls.find(db, business_id, sid) is None

    run(story, database_url, tmp_path)


def test_while_a_call_of_the_person_runs_nothing_is_erased(database_url, tmp_path):
    async def story(db, business_id, settings):
        lead_id, sid, _ = await fill(db, business_id, PERSON, WORD, tmp_path)
        await live_calls.open(
            db,
            call_sid=sid,
            business_id=business_id,
            account_sid="AC1",
            to_number=OTHER,
            node="n",
            incarnation=uuid4(),
            worker=0,
        )
        before = await everything_of(db, business_id)
        with pytest.raises(CallRuns):
            await erase_person(db, settings, business_id, lead_id)
        assert await everything_of(db, business_id) == before
        assert len(files_naming(tmp_path, WORD)) > 3

    run(story, database_url, tmp_path)


def test_what_was_refused_of_another_business_stays(database_url, tmp_path):
    async def story(db, business_id, settings):
        lead_id, *_ = await fill(db, business_id, PERSON, WORD, tmp_path)
        kept = Kept(uuid4(), call("CA1", from_number=PERSON))
        form = {"From": f"whatsapp:{PERSON}", "To": "whatsapp:+12025550199"}
        for folder, record in (
            (CALLS_FOLDER, kept),
            (MESSAGES_FOLDER, {"form": form}),
        ):
            refused = RefusedRecords(tmp_path / folder)
            refused.add(msgspec.json.encode(record), "no")
        erasure = await erase_person(db, settings, business_id, lead_id)
        assert not files_naming(tmp_path, WORD)
        for folder in (CALLS_FOLDER, MESSAGES_FOLDER):
            (line,) = RefusedRecords(tmp_path / folder).lines()
            assert PERSON.encode() in line
        assert len(erasure.left) == 2

    run(story, database_url, tmp_path)


def test_a_message_that_waits_is_told_of_in_the_carrier_s_form(database_url, tmp_path):
    async def story(db, business_id, settings):
        # WhatsApp's form of +52 55 1234 5678.
        writer = "+5215512345678"
        arrived = Arrived("SM1", "hello", OTHER, "AC1", writer)
        await conversations.receive(db, business_id, arrived)
        waiting = tmp_path / MESSAGES_FOLDER / "worker-1.journal"
        waiting.parent.mkdir(parents=True)
        waiting.write_text(f"whatsapp:{writer}")
        lead = await leads.find(db, business_id, "+525512345678")
        erasure = await erase_person(db, settings, business_id, lead.id)
        assert erasure.left == (waiting,)

    run(story, database_url, tmp_path)


@pytest.mark.parametrize("folder", [CALLS_FOLDER, MESSAGES_FOLDER])
def test_a_record_that_still_waits_is_told_of(folder, database_url, tmp_path):
    async def story(db, business_id, settings):
        lead_id, *_ = await fill(db, business_id, PERSON, WORD, tmp_path)
        waiting = tmp_path / folder / "worker-1.journal"
        waiting.write_text(f"from {PERSON}")
        erasure = await erase_person(db, settings, business_id, lead_id)
        assert erasure.left == (waiting,)

    run(story, database_url, tmp_path)


def test_a_lead_of_another_business_is_not_erased(database_url, tmp_path):
    async def story(db, business_id, settings):
        lead_id, *_ = await fill(db, business_id, PERSON, WORD, tmp_path)
        theirs = await businesses.create(db, "Theirs")
        await audit.write(db, theirs, None, "x", "y")
        assert await erase_person(db, settings, theirs, lead_id) is None
        assert await leads.find(db, business_id, PERSON)

    run(story, database_url, tmp_path)


def test_files_that_come_and_go_meanwhile_fail_no_erasure(
    database_url, tmp_path, monkeypatch
):
    async def story(db, business_id, settings):
        lead_id, sid, _ = await fill(db, business_id, PERSON, WORD, tmp_path)
        folder = tmp_path / CALLS_FOLDER
        folder.mkdir(exist_ok=True)
        waiting, going = folder / "worker-2-2.journal", folder / "worker-1-1.part"
        waiting.write_text(f"of {sid}\n")
        going.write_text(f"of {sid}\n")
        read_bytes = Path.read_bytes

        def read(path):
            if path == going:
                path.unlink()
            return read_bytes(path)

        monkeypatch.setattr(Path, "read_bytes", read)
        erasure = await erase_person(db, settings, business_id, lead_id)

        assert erasure.left == (waiting,)

    run(story, database_url, tmp_path)


def test_folder_that_two_processes_delete_at_once_fails_neither(
    database_url, tmp_path, monkeypatch
):
    async def story(db, business_id, settings):
        lead_id, sid, _ = await fill(db, business_id, PERSON, WORD, tmp_path)
        place = tmp_path / "timelines" / f"{sid}.1"
        place.mkdir(parents=True)
        rmtree = shutil.rmtree

        def slower(path):
            rmtree(path)
            rmtree(path)

        monkeypatch.setattr(shutil, "rmtree", slower)
        assert await erase_person(db, settings, business_id, lead_id) is not None
        assert not place.exists()

    run(story, database_url, tmp_path)
