"""A call whose checkpoint only a process of another version can read."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from time import monotonic
from uuid import UUID, uuid4

import msgspec
import pytest
from aiohttp import web

from bridge.call import checkpoint
from bridge.records.summary import running_row
from crm import calls, leads, live_calls, nodes
from tests.bridge import running_service, ws_peer
from tests.bridge.nodes.test_peers import URL
from tests.bridge.nodes.test_refusing_peers import answering
from tests.bridge.nodes.test_resumed_calls import (
    ask,
    die,
    recorded,
    talking,
    two_nodes,
    until_recorded,
)

OTHER = checkpoint.FORMAT + 1
DOCUMENT = b"<Response><Connect><Stream url='wss://c.example'/></Connect></Response>"


pytestmark = pytest.mark.usefixtures("heartless")


async def of_other_format(at):
    """Return a call of a dead process of another version."""
    sid, _, _ = await talking(at)
    other = live_calls.Checkpoint(
        UUID(str(at.business_id)), sid, 1, OTHER, None, b"new"
    )
    await live_calls.save(at.database, [other])
    await die(at)
    return sid


@asynccontextmanager
async def third(at, handler, **changes):
    """A node `c` of the other version."""
    fields = {
        "name": "c",
        "worker": 0,
        "incarnation": uuid4(),
        "version": "2.0",
        "format": OTHER,
        "capacity": 10,
        "active": 0,
        "is_draining": False,
    }
    async with answering(handler) as port:
        url = f"http://127.0.0.1:{port}"
        await nodes.beat(at.database, nodes.Beat(**{**fields, "url": url, **changes}))
        yield


def told(story_of):
    def test(embedded_url, tmp_path, caplog):
        async def main():
            async with two_nodes(embedded_url, tmp_path, public_url=URL) as (at, there):
                await story_of(at, there, caplog)

        ws_peer.run(main)

    test.__name__ = story_of.__name__
    return test


@told
async def test_question_is_passed_on_to_a_node_that_reads_the_format(at, there, caplog):
    asked = []

    async def handler(request):
        asked.append((await request.post(), request.headers))
        return web.Response(body=DOCUMENT)

    sid = await of_other_format(at)
    async with third(at, handler):
        document = await ask(there, sid)

    ((form, headers),) = asked
    assert document.find("Connect/Stream").get("url") == "wss://c.example"
    assert form["CallSid"] == sid
    assert headers["X-Twilio-Signature"]
    assert headers["X-Kolbridge-Passed-On"] == "1"
    assert "is left to another node: expected a checkpoint of format" in caplog.text
    assert there.server.metrics.value("calls_resumed", outcome="failed") == 0
    assert (await live_calls.find(at.database, sid)).generation == 1


@told
async def test_without_such_a_node_the_caller_hears_the_fallback(at, there, caplog):
    sid = await of_other_format(at)
    document = await ask(there, sid)

    assert document.findtext("Say")
    assert "not claimed, nor by another node: expected a checkpoint" in caplog.text
    assert there.server.metrics.value("calls_resumed", outcome="failed") == 1


@told
async def test_question_that_was_passed_on_is_not_passed_on_again(at, there, caplog):
    async def handler(request):
        raise AssertionError("asked")

    sid = await of_other_format(at)
    form = {"CallSid": sid, "CallStatus": "in-progress", "To": there.number}
    headers = {"X-Kolbridge-Passed-On": "1"}
    async with third(at, handler):
        _, body = await there.post("/twilio/after-stream", headers=headers, **form)

    assert running_service.document_of(body).findtext("Say")
    assert there.server.metrics.value("webhooks_passed_on", outcome="answered") == 0


@told
async def test_checkpoint_that_nobody_can_read_is_asked_of_nobody(at, there, caplog):
    async def handler(request):
        raise AssertionError("asked")

    sid, _, _ = await talking(at)
    broken = live_calls.Checkpoint(
        UUID(str(at.business_id)), sid, 1, checkpoint.FORMAT, None, b"broken"
    )
    await live_calls.save(at.database, [broken])
    await die(at)
    async with third(at, handler, format=checkpoint.FORMAT):
        document = await ask(there, sid)

    assert document.findtext("Say")
    assert "the call is not claimed: no checkpoint: " in caplog.text


async def nobody(request):
    raise AssertionError("asked")


async def broken(at, plan=None):
    """Return the owner of a dead process's call whose checkpoint is damaged."""
    sid, _, _ = await talking(at)
    damaged = live_calls.Checkpoint(
        UUID(str(at.business_id)), sid, 1, checkpoint.FORMAT, plan, b"broken"
    )
    await live_calls.save(at.database, [damaged])
    async with at.database.owner() as connection:
        await connection.execute(
            "update call_owners set opened_at = now() - interval '1 minute'"
        )
    await die(at)
    return await live_calls.find(at.database, sid)


@told
async def test_record_says_that_the_checkpoint_could_not_be_read(at, there, caplog):
    owner = await broken(at)
    await there.server._node.calls.bury(owner)
    await until_recorded(at, owner.call_sid)

    row = await recorded(at, owner.call_sid)
    assert (row["end_reason"], row["failed"]) == ("checkpoint_unreadable", True)
    assert row["from_number"] == running_service.CALLER
    assert "Offer coffee." in row["prompt"]
    assert 59 < (row["ended_at"] - row["started_at"]).total_seconds() < 90
    assert "the call is recorded alone: no checkpoint: " in caplog.text
    assert await live_calls.find(at.database, owner.call_sid) is None
    # Twilio asks now, or again.
    assert (await ask(there, owner.call_sid)).findtext("Say")


@told
async def test_call_whose_plan_is_damaged_too_has_a_record(at, there, caplog):
    owner = await broken(at, b"broken")
    await there.server._node.calls.bury(owner)
    await until_recorded(at, owner.call_sid)

    row = await recorded(at, owner.call_sid)
    assert (row["end_reason"], row["failed"]) == ("checkpoint_unreadable", True)
    assert (row["from_number"], row["to_number"]) == ("", at.number)
    assert row["lead_id"] is None


@told
async def test_journal_of_the_dead_process_knows_more(at, there, caplog):
    owner = await broken(at)
    await there.server._node.calls.bury(owner)
    await until_recorded(at, owner.call_sid)
    line = at.server.switchboard.find_driver(owner.call_sid)
    kept = running_row(line.record(), monotonic(), datetime.now(UTC), {})
    lost = msgspec.structs.replace(kept.call, generation=1)
    assert await calls.save(at.database, at.business_id, lost, lead_due="+12025550177")

    row = await recorded(at, owner.call_sid)
    assert (row["end_reason"], row["failed"]) == ("checkpoint_unreadable", True)
    turns = await calls.turns(at.database, at.business_id, owner.call_sid)
    assert [turn.text for turn in turns] == ["Hello.", "Tuesday?"]
    # It was counted for its lead when the first record was written.
    assert await leads.find(at.database, at.business_id, "+12025550177") is None


@told
async def test_call_that_another_node_can_read_is_left_to_its_reaper(at, there, caplog):
    owner = await live_calls.find(at.database, await of_other_format(at))
    async with third(at, nobody):
        await there.server._node.calls.bury(owner)
    assert (await live_calls.find(at.database, owner.call_sid)).generation == 1

    async with third(at, nobody, is_draining=True):
        async with at.database.owner() as connection:
            await connection.execute(
                "delete from nodes where name = 'c' and not is_draining"
            )
        await there.server._node.calls.bury(owner)
    await until_recorded(at, owner.call_sid)
    row = await recorded(at, owner.call_sid)
    assert row["end_reason"] == "checkpoint_unreadable"


@told
async def test_record_of_an_unreadable_call_is_written_once(at, there, caplog):
    owner = await broken(at)
    both = [at.server._node.calls, there.server._node.calls]
    await asyncio.gather(*(one.bury(owner) for one in both))
    await until_recorded(at, owner.call_sid)

    counted = [
        one.server.metrics.value("calls_resumed", outcome="over") for one in (at, there)
    ]
    assert sum(counted) == 1
