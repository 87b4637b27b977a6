"""Forged and repeated questions about a call that another node had, and old owners."""

from datetime import UTC, datetime
from time import monotonic

import msgspec
import pytest

from bridge.records.summary import to_row
from crm import calls, live_calls
from tests.bridge import running_service, ws_peer
from tests.bridge.nodes.test_resumed_calls import (
    ask,
    come_back,
    die,
    recorded,
    talking,
    told,
    until_recorded,
)

KEY = {"I-Twilio-Idempotency-Token": "one"}


async def asked(at, sid, headers=None, **how):
    """Ask what follows the stream of a call; return the status and the document."""
    form = {"CallSid": sid, "CallStatus": "in-progress", "To": at.number}
    status, body = await at.post("/twilio/after-stream", headers=headers, **form, **how)
    return status, running_service.document_of(body) if status == 200 else None


@pytest.mark.parametrize("how", [{"signed": False}, {"token": "another's"}])
def test_forged_question_moves_no_call(database_url, tmp_path, how):
    async def story(at, there):
        sid, _, _ = await talking(at)
        await die(at)

        assert await asked(there, sid, **how) == (403, None)
        assert (await live_calls.find(at.database, sid)).generation == 1
        assert there.server.switchboard.find_driver(sid) is None
        metrics = there.server.metrics
        assert (
            metrics.value("rejected_signatures", endpoint="/twilio/after-stream") == 1
        )

    told(story)(database_url, tmp_path)


def test_signed_question_about_another_call_moves_no_call(database_url, tmp_path):
    """A signature covers the CallSid: that of one call is none for another."""

    async def story(at, there):
        sid, _, _ = await talking(at)
        await die(at)
        other = running_service.new_sid()
        _, document = await asked(there, other)

        assert document.find("Connect") is None
        assert (await live_calls.find(at.database, sid)).generation == 1

    told(story)(database_url, tmp_path)


@pytest.mark.parametrize("headers", [KEY, {}])
def test_repeated_question_claims_nothing_and_cuts_nothing(
    database_url, tmp_path, headers
):
    async def story(at, there):
        sid, _, _ = await talking(at)
        await die(at)
        _, first = await asked(there, sid, headers)
        await come_back(there, sid, first)
        line = there.server.switchboard.find_driver(sid)
        await ws_peer.until(lambda: line.twilio_leg is not None)
        leg = line.twilio_leg
        _, again = await asked(there, sid, headers)

        parameters = running_service.parameters_of(first)
        assert running_service.parameters_of(again) == parameters
        assert (await live_calls.find(at.database, sid)).generation == 2
        assert there.model.peers.empty()
        # The token in the document is used up.
        peer = await there.stream(sid, parameters["token"])
        there.peers.append(peer)
        assert await peer.ended() is not None
        assert line.twilio_leg is leg

    told(story)(database_url, tmp_path)


@told
async def test_question_replayed_after_the_call_brings_nothing_back(at, there):
    sid, _, _ = await talking(at)
    await die(at)
    await come_back(there, sid, await ask(there, sid))
    line = there.server.switchboard.find_driver(sid)
    line.receive(line.call.receive_hangup, "end_call:goodbye")
    await until_recorded(at, sid)
    await at.server._node.ownership.look()

    for node in (at, there):
        document = await ask(node, sid)
        assert document.find("Connect") is None
        assert node.server.switchboard.find_driver(sid) is None
    assert await live_calls.find(at.database, sid) is None
    assert there.model.peers.empty()


@told
async def test_owner_of_the_past_writes_no_record(at, there):
    sid, _, _ = await talking(at)
    old = at.server.switchboard.find_driver(sid)
    await die(at)
    await come_back(there, sid, await ask(there, sid))
    row = to_row(old.record(), monotonic(), datetime.now(UTC), {}).call

    for generation in (1, 0):
        past = msgspec.structs.replace(row, generation=generation)
        assert not await calls.save(at.database, at.business_id, past)
    assert await recorded(at, sid) is None
    assert (await live_calls.find(at.database, sid)).generation == 2
