"""Calls of other nodes: seen from the database, without a wait for it."""

import asyncio
from uuid import uuid4

import msgspec
import pytest

from bridge.call import checkpoint
from bridge.nodes.claims import encode_plan
from bridge.realtime import openai
from bridge.service.live_elsewhere import LiveElsewhere
from crm import businesses, live_calls, nodes
from crm.database import Database
from tests.bridge import builders
from tests.bridge.ws_peer import until


async def beating(db, name, *, is_draining=False):
    """Let a node of this name beat once; return its incarnation."""
    incarnation = uuid4()
    await nodes.beat(
        db,
        nodes.Beat(
            incarnation=incarnation,
            name=name,
            worker=0,
            url="",
            version="1",
            format=checkpoint.FORMAT,
            capacity=10,
            active=1,
            is_draining=is_draining,
        ),
    )
    return incarnation


async def opened(db, business_id, node, *, is_draining=False):
    return await live_calls.open(
        db,
        call_sid=f"CA{uuid4().hex}",
        business_id=business_id,
        account_sid="AC",
        to_number="+15550000002",
        node=node,
        incarnation=await beating(db, node, is_draining=is_draining),
        worker=0,
    )


def saved_call():
    call = builders.answered_call(now=0.0)
    said = openai.TranscriptDone(
        response_id="r1", item_id="i1", content_index=0, transcript="Nine or ten?"
    )
    call.receive_openai(said, 1.0)
    return call


def test_calls_of_other_nodes_are_seen_with_their_last_words(embedded_url):
    async def story():
        db = await Database.open(embedded_url)
        business_id = await businesses.create(db, "Salon")
        ours = await opened(db, business_id, f"ours-{uuid4().hex[:6]}")
        theirs = await opened(db, business_id, f"theirs-{uuid4().hex[:6]}")
        silent = await opened(db, business_id, theirs.node)
        call = saved_call()
        plan = msgspec.structs.replace(call.plan, call_sid=theirs.call_sid)
        state = checkpoint.encode(call.checkpoint(2.0))
        await live_calls.save(
            db,
            [
                live_calls.Checkpoint(
                    business_id,
                    theirs.call_sid,
                    theirs.generation,
                    checkpoint.FORMAT,
                    encode_plan(plan),
                    state,
                )
            ],
        )
        elsewhere = LiveElsewhere(db, ours.node, lambda: False)
        assert elsewhere.calls() == ()
        await until(lambda: {one.node for one in elsewhere.calls()} >= {theirs.node})
        found = {one.call_sid: one for one in elsewhere.calls()}
        await elsewhere.close()
        await db.close()
        return ours, theirs, silent, found

    ours, theirs, silent, found = asyncio.run(story())

    assert ours.call_sid not in found
    seen = found[theirs.call_sid]
    assert (seen.node, seen.from_number) == (theirs.node, "+15550000001")
    assert (seen.last_role, seen.last_words) == ("ai", "Nine or ten?")
    assert found[silent.call_sid].last_words == ""


@pytest.mark.parametrize("is_draining", [True, False])
def test_process_that_drains_and_its_successor_see_each_other_s_calls(
    embedded_url, is_draining
):
    """A live page that is open over an upgrade stays with the process that drains."""

    async def story():
        db = await Database.open(embedded_url)
        business_id = await businesses.create(db, "Salon")
        name = f"ours-{uuid4().hex[:6]}"
        sids = {
            drains: (await opened(db, business_id, name, is_draining=drains)).call_sid
            for drains in (True, False)
        }
        elsewhere = LiveElsewhere(db, name, lambda: is_draining)

        def found():
            return {one.call_sid for one in elsewhere.calls()}

        async with asyncio.timeout(20):
            await until(lambda: sids[not is_draining] in found())
        assert sids[is_draining] not in found()
        await elsewhere.close()
        await db.close()

    asyncio.run(story())


def test_without_a_database_there_are_none():
    async def story():
        nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
        db = await Database.open(nowhere, pool_min=0)
        elsewhere = LiveElsewhere(db, "ours", lambda: False)
        elsewhere.calls()
        await asyncio.sleep(0.05)
        await elsewhere.close()
        await db.close()
        return elsewhere.calls()

    assert asyncio.run(story()) == ()
