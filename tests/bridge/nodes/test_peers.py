"""Webhooks that another node has to answer, over loopback."""

import pytest

from bridge.nodes import ownership, reaper
from tests.bridge import running_service, ws_peer
from tests.bridge.nodes.test_resumed_calls import ask, talking, two_nodes

URL = "https://voice.example"


pytestmark = pytest.mark.usefixtures("heartless")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Nothing happens by itself: the rows of the nodes stay as the tests write them."""
    monkeypatch.setattr(ownership, "EVERY_S", 1e6)
    monkeypatch.setattr(reaper, "EVERY_S", 1e6)


def told(story_of):
    def test(database_url, tmp_path):
        async def main():
            async with two_nodes(database_url, tmp_path, public_url=URL) as both:
                for at, name in zip(both, "ab", strict=True):
                    await reached_at(at, name, at.server.port)
                await story_of(*both)

        ws_peer.run(main)

    test.__name__ = story_of.__name__
    return test


async def reached_at(at, name, port):
    async with at.database.owner() as connection:
        await connection.execute(
            "update nodes set url = $2 where name = $1",
            name,
            f"http://127.0.0.1:{port}",
        )


@told
async def test_call_to_a_node_that_drains_is_taken_by_another(at, there):
    at.server.switchboard.is_draining = True
    sid = running_service.new_sid()
    document = await at.ring(sid)

    assert document.find("Connect/Stream") is not None
    assert there.server.switchboard.find_driver(sid) is not None
    assert at.server.switchboard.find_driver(sid) is None
    token = running_service.parameters_of(document)["token"]
    peer = await there.stream(sid, token)
    at.peers.append(peer)
    passed = at.server.metrics.value("webhooks_passed_on", outcome="answered")
    assert passed == 1
    assert at.fallbacks("draining") == 0


@told
async def test_call_is_passed_on_once_and_then_gets_the_fallback(at, there):
    at.server.switchboard.is_draining = True
    there.server.switchboard.is_draining = True
    document = await at.ring(running_service.new_sid())

    assert document.find("Connect") is None
    assert document.findtext("Say")
    assert there.fallbacks("draining") == 1
    assert there.server.metrics.value("webhooks_passed_on", outcome="answered") == 0


@told
async def test_node_that_does_not_answer_costs_only_the_try(at, there):
    await reached_at(at, "b", 9)
    at.server.switchboard.is_draining = True
    document = await at.ring(running_service.new_sid())

    assert document.findtext("Say")
    assert at.fallbacks("draining") == 1
    assert at.server.metrics.value("webhooks_passed_on", outcome="failed") == 1


@told
async def test_unknown_number_is_asked_of_no_other_node(at, there):
    document = await at.ring(running_service.new_sid(), To="+15559999999")

    assert "not in service" in document.findtext("Say")
    assert at.server.metrics.value("webhooks_passed_on", outcome="answered") == 0


@told
async def test_question_about_a_call_of_a_living_node_is_the_owners(at, there):
    sid, peer, _ = await talking(at)
    peer.writer.transport.abort()  # as a balancer that is restarted
    line = at.server.switchboard.find_driver(sid)
    await ws_peer.until(lambda: line.twilio_leg is None)
    document = await ask(there, sid)

    assert document.find("Connect/Stream") is not None
    assert there.server.switchboard.find_driver(sid) is None
    token = running_service.parameters_of(document)["token"]
    at.peers.append(await at.stream(sid, token))
    await ws_peer.until(lambda: line.twilio_leg is not None)


@told
async def test_node_that_does_not_answer_is_not_waited_for(at, there):
    sid, _, _ = await talking(at)
    await reached_at(at, "a", 9)
    document = await ask(there, sid)

    assert document.find("Connect/Stream") is not None
    assert there.server.metrics.value("calls_resumed", outcome="resumed") == 1
    await at.server._node.ownership.look()
    assert at.server.switchboard.find_driver(sid) is None
