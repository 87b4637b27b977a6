"""The page "Try it": who may ring, what they get, and what a refusal says."""

import asyncio
from uuid import uuid4

import msgspec
import pytest

from bridge.console import try_page
from bridge.ports.port_demux import MEDIA_PATH
from bridge.settings.options import CallOptions
from crm import audit, nodes
from tests.bridge import loopback, ws_peer
from tests.bridge.ws_peer import Peer
from tests.crm.test_nodes import age, node


def run(story):
    asyncio.run(story())


async def placed_by(browser, path):
    await browser.get(path)
    status, text = await browser.post(f"{path}/call")
    return status, msgspec.json.decode(text) if text.startswith("{") else text


def test_a_viewer_rings_and_the_browser_opens_the_stream(desk):
    async def story():
        async with desk() as at:
            status, text = await at.staff.get(at.path("try"))
            assert (status, at.service.number in text) == (200, True)
            status, placed = await placed_by(at.staff, at.path("try"))
            assert status == 201
            model, _ = await at.service.configured_model()

            peer = await Peer.connect(at.server.port)
            path = placed["url"][placed["url"].index(MEDIA_PATH) :]
            peer.send(ws_peer.upgrade(path, Origin=at.server.public_url))
            assert (await peer.head()).startswith("HTTP/1.1 101")
            token = placed["parameters"]["token"]
            peer.send_text(loopback.CONNECTED)
            sid = placed["callSid"]
            peer.send_text(loopback.start_message(sid, token, placed["accountSid"]))
            assert (await model.event())["type"] == "response.create"
            assert placed["record"] == at.path("calls", sid)
            (entry, *_) = await audit.recent(at.database, at.ours, 5)
            assert (entry.action, entry.subject) == ("call.tried", sid)
            await peer.close()

    run(story)


def test_a_node_with_a_host_of_its_own_is_where_the_stream_is_opened(desk):
    """The call may be opened by any node: the page may connect to all of them."""

    async def story():
        own, other, stale = (f"{uuid4().hex[:8]}.voice.example" for _ in range(3))
        async with desk(node_url=f"https://{own}") as at:
            for host in (own, other, stale):
                name = host.partition(".")[0]
                await nodes.beat(at.database, node(name, url=f"https://{host}"))
            await age(at.database, stale.partition(".")[0], nodes.STALE_S + 1)
            await at.owner.get(at.path("try"))
            allowed = at.owner.headers["Content-Security-Policy"].partition(
                "connect-src "
            )[2]
            assert allowed.startswith("'self' ")
            assert {f"wss://{own}", f"wss://{other}"} <= set(allowed.split())
            assert stale not in allowed
            _, placed = await placed_by(at.owner, at.path("try"))
            assert placed["url"].startswith(f"wss://{own}{MEDIA_PATH}?ticket=")

            await at.owner.get(at.path("calls"))
            assert own not in at.owner.headers["Content-Security-Policy"]

    run(story)


def test_nobody_rings_another_business(desk):
    async def story():
        async with desk() as at:
            await at.other.get("/console/account")
            assert (await at.other.get(at.path("try")))[0] == 404
            assert (await at.other.post(at.path("try", "call")))[0] == 404
            assert (await at.nobody.post(at.path("try", "call")))[0] in (303, 401, 403)
            assert (await at.owner.post(at.path("try", "call"), csrf="x"))[0] == 403
            assert not at.server.switchboard.live_drivers()

    run(story)


@pytest.mark.parametrize("limit", ["limit_concurrent_calls", "too_many"])
def test_a_refusal_says_why(desk, limit, monkeypatch):
    if limit == "too_many":
        monkeypatch.setattr(try_page, "CALLS_MAX", 1)

    async def story():
        async with desk(call=CallOptions(limit_concurrent_calls=1)) as at:
            assert (await placed_by(at.owner, at.path("try")))[0] == 201
            status, refused = await placed_by(at.owner, at.path("try"))
            assert (status, refused["reason"]) == (409, limit)
            assert "limit" in refused["text"] or "many" in refused["text"]

    run(story)


def test_a_business_without_a_number_is_told_so(desk):
    async def story():
        async with desk() as at:
            path = at.path("try", business=at.theirs)
            assert "has no number yet" in (await at.other.get(path))[1]
            assert (await placed_by(at.other, path))[0] == 404

    run(story)
