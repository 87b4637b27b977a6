"""A call that another worker of its node has claimed than the one that its id names."""

import os
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from bridge.nodes.membership import Identity
from bridge.ports.workers import PASSED_INSIDE, PASSED_ON, Workers
from bridge.service.server import Server
from crm import live_calls
from tests.bridge import running_service, ws_peer
from tests.bridge.nodes.test_resumed_calls import ask, clear, talking
from tests.bridge.running_service import Service

pytestmark = pytest.mark.usefixtures("heartless")


@asynccontextmanager
async def two_workers(url, home):
    """Two workers of one node, each with a port; the first is named by every id."""
    folder = home / "workers"
    folder.mkdir()
    both = [Workers(folder, index, 2) for index in range(2)]
    lives = [Identity("a", index, "", "1.0", uuid4()) for index in range(2)]
    for one in both:
        one.owner_of = lambda call_sid: 0
    async with running_service.served(
        url, home, identity=lives[0], workers=both[0], public_url="https://v.example"
    ) as at:
        server = Server(
            at.settings, at.database, workers=both[1], identity=lives[1], token_key=None
        )
        await server.start()
        there = Service(
            at.settings, server, at.model, at.database, at.business_id, at.number
        )
        at.peers = there.peers = []
        try:
            yield at, there
        finally:
            for peer in at.peers:
                await peer.close()
            await server.close()
            await clear(at.database)


def told(story_of):
    def test(database_url, tmp_path):
        async def main():
            async with two_workers(database_url, tmp_path) as (at, there):
                await story_of(at, there)

        ws_peer.run(main)

    test.__name__ = story_of.__name__
    return test


async def claimed_by_second(at, there):
    """Return a call that began in the first worker and that the second has claimed."""
    sid, _, _ = await talking(at)
    line = await there.server._node.calls.resume(sid, is_dead=True)
    await at.server._node.ownership.look()  # as a new process would, it has no call
    assert at.server.switchboard.find_driver(sid) is None
    await came_to(there, line)
    return sid, line


async def came_to(there, line):
    """Let the caller's stream come to the worker, and be lost again."""
    sid = line.call.plan.call_sid
    model, _ = await there.configured_model()
    peer = await there.stream(sid, line.token)
    there.peers += [model, peer]
    await ws_peer.until(lambda: line.call.call_record.is_answered)
    peer.writer.transport.abort()
    await ws_peer.until(lambda: line.twilio_leg is None)


@told
async def test_question_reaches_the_worker_that_has_claimed_the_call(at, there):
    sid, line = await claimed_by_second(at, there)
    document = await ask(there, sid)

    assert document.find("Connect/Stream") is not None
    assert document.find("Connect/Stream").get("url").endswith("/workers/1")
    peer = await there.stream(sid, running_service.parameters_of(document)["token"])
    at.peers.append(peer)
    await ws_peer.until(lambda: line.twilio_leg is not None)
    assert (await live_calls.find(at.database, sid)).generation == 2


@told
async def test_question_that_another_node_passed_on_reaches_it_too(at, there):
    sid, _ = await claimed_by_second(at, there)
    form = {"CallSid": sid, "CallStatus": "in-progress", "To": at.number}
    _, body = await at.post("/twilio/after-stream", headers={PASSED_ON: "1"}, **form)

    document = running_service.document_of(body)
    assert document.find("Connect/Stream").get("url").endswith("/workers/1")


@told
async def test_question_is_passed_on_inside_once(at, there):
    sid, _ = await claimed_by_second(at, there)
    asked = []

    async def ask_inside(*what):
        asked.append(what)

    at.server._node.peers._ask_inside = ask_inside
    form = {"CallSid": sid, "CallStatus": "in-progress", "To": at.number}
    headers = {PASSED_INSIDE: "1"}
    _, body = await at.post("/twilio/after-stream", headers=headers, **form)

    assert asked == []
    assert running_service.document_of(body).find("Connect") is None


@told
async def test_dead_process_of_this_machine_is_not_waited_for(at, there):
    sid, _, _ = await talking(at)
    assert await there.server._node.calls.resume(sid) is None
    lives = at.server._node._membership._lives
    os.close(lives._fd)  # as a kill does
    lives._path = None
    line = await there.server._node.calls.resume(sid)

    assert line is there.server.switchboard.find_driver(sid) is not None
    assert (await live_calls.find(at.database, sid)).generation == 2


@told
async def test_worker_that_does_not_answer_costs_the_wait_alone(at, there):
    sid, _ = await claimed_by_second(at, there)
    (at.server._workers._folder / "1.http").unlink()
    document = await ask(at, sid)

    assert document.find("Connect") is None
    assert (await live_calls.find(at.database, sid)).generation == 2
