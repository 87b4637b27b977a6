"""A call whose process is gone, and about which Twilio asks nobody."""

from contextlib import asynccontextmanager
from time import monotonic

from aiohttp import web

from bridge.call import checkpoint
from bridge.nodes import reaper
from crm import live_calls
from tests.bridge import running_service, ws_peer
from tests.bridge.nodes.test_resumed_calls import (
    come_back,
    die,
    recorded,
    talking,
    two_nodes,
    until_recorded,
)


class Twilio:
    """Twilio's REST API for one call; it keeps the documents it was given."""

    def __init__(self, status="in-progress"):
        self.status = status
        self.documents = []
        self.refuses = 0
        self.port = 0

    @asynccontextmanager
    async def serving(self):
        app = web.Application()
        path = "/2010-04-01/Accounts/{account}/Calls/{call}.json"
        app.router.add_get(path, self._get)
        app.router.add_post(path, self._post)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]
        try:
            yield
        finally:
            await runner.cleanup()

    async def _get(self, request):
        assert request.headers["Authorization"].startswith("Basic ")
        return web.json_response({"status": self.status})

    async def _post(self, request):
        form = await request.post()
        if self.refuses:
            self.refuses -= 1
            return web.json_response({}, status=503)
        self.documents.append(running_service.document_of(form["Twiml"]))
        return web.json_response({"status": "in-progress"})


def with_twilio(database_url, home, status, story):
    async def main():
        api = Twilio(status)
        async with (
            api.serving(),
            two_nodes(
                database_url, home, twilio_api_url=f"http://127.0.0.1:{api.port}"
            ) as (at, there),
        ):
            await story(at, there, api)

    ws_peer.run(main)


async def reaped(there):
    """Let the node look for calls without an owner."""
    await reaper_of(there).look()


def reaper_of(there):
    (task,) = [one for one in there.server._node._tasks if one._name == "reaper"]
    return task._run.__self__


def test_call_about_which_nobody_asks_is_moved(database_url, tmp_path):
    async def story(at, there, api):
        sid, _, _ = await talking(at)
        await die(at)
        await reaped(there)
        await ws_peer.until(lambda: api.documents)
        (document,) = api.documents
        model, _ = await come_back(there, sid, document)
        assert (await model.event())["item"]["content"][0]["text"] == "Hello."
        assert there.server.metrics.value("calls_moved") == 1
        await reaped(there)
        assert len(api.documents) == 1

    with_twilio(database_url, tmp_path, "in-progress", story)


def test_call_is_moved_only_if_twilio_has_not_asked(
    database_url, tmp_path, monkeypatch
):
    async def story(at, there, api):
        sid, _, _ = await talking(at)
        await die(at)
        node = there.server._node
        line = await node.calls.take(await live_calls.find(at.database, sid))
        monkeypatch.setattr(reaper, "PROMISED_S", 1e6)
        line.promised_at = monotonic()
        looking = reaper_of(there)
        await looking._tell(line)
        await looking.look()
        assert api.documents == []

        monkeypatch.setattr(reaper, "PROMISED_S", 0.0)
        await looking.look()
        assert len(api.documents) == 1

    with_twilio(database_url, tmp_path, "in-progress", story)


def test_call_that_is_over_at_twilio_is_recorded(database_url, tmp_path):
    async def story(at, there, api):
        sid, _, _ = await talking(at)
        await die(at)
        await reaped(there)
        await until_recorded(at, sid)

        row = await recorded(at, sid)
        assert (row["end_reason"], row["failed"]) == ("process_lost", True)
        assert api.documents == []
        assert there.model.peers.empty()
        assert await live_calls.find(at.database, sid) is None

    with_twilio(database_url, tmp_path, "completed", story)


def test_worker_leaves_the_calls_of_other_workers_to_them(database_url, tmp_path):
    async def story(at, there, api):
        sid, _, _ = await talking(at)
        await die(at)
        reaper_of(there)._is_ours = lambda call_sid: call_sid != sid
        await reaped(there)

        assert (await live_calls.find(at.database, sid)).generation == 1
        assert api.documents == []

    with_twilio(database_url, tmp_path, "in-progress", story)


def test_call_stays_while_nobody_could_beat(database_url, tmp_path):
    async def story(at, there, api):
        sid, _, _ = await talking(at)
        await die(at)
        there.server._node._membership._note_away(OSError("the database is away"))
        await reaped(there)
        assert (await live_calls.find(at.database, sid)).generation == 1
        assert api.documents == []

    with_twilio(database_url, tmp_path, "in-progress", story)


def test_move_that_fails_is_tried_again(database_url, tmp_path):
    async def story(at, there, api):
        sid, _, _ = await talking(at)
        await die(at)
        api.refuses = 1
        await reaped(there)
        assert api.documents == []
        assert there.server.metrics.value("node_failures", what="carrier") == 1

        await reaped(there)
        (document,) = api.documents
        await come_back(there, sid, document)
        await reaped(there)
        assert len(api.documents) == 1

    with_twilio(database_url, tmp_path, "in-progress", story)


def test_checkpoint_that_cannot_be_read_is_said_once(database_url, tmp_path, caplog):
    async def story(at, there, api):
        sid, _, _ = await talking(at)
        damaged = live_calls.Checkpoint(
            at.business_id, sid, 1, checkpoint.FORMAT, None, b"broken"
        )
        await live_calls.save(at.database, [damaged])
        await die(at)
        for _ in range(3):
            await reaped(there)
        assert (await live_calls.find(at.database, sid)).generation == 1
        assert caplog.text.count("the call is not claimed: no checkpoint: ") == 1
        api.status = "completed"
        await reaped(there)
        await until_recorded(at, sid)
        assert (await recorded(at, sid))["end_reason"] == "checkpoint_unreadable"

    with_twilio(database_url, tmp_path, "in-progress", story)


def test_node_that_drains_takes_no_calls(database_url, tmp_path):
    async def story(at, there, api):
        sid, _, _ = await talking(at)
        await die(at)
        there.server.switchboard.is_draining = True
        await reaped(there)

        assert (await live_calls.find(at.database, sid)).generation == 1

    with_twilio(database_url, tmp_path, "in-progress", story)


def test_call_that_cannot_be_taken_costs_no_other_call(database_url, tmp_path):
    async def story(at, there, api):
        first, _, _ = await talking(at)
        second, _, _ = await talking(at)
        await die(at)
        node = there.server._node
        (task,) = [one for one in node._tasks if one._name == "reaper"]
        reaper = task._run.__self__
        take = reaper._resume

        async def fails(owner):
            if owner.call_sid == first:
                raise RuntimeError("a bug")
            return await take(owner)

        reaper._resume = fails
        await reaped(there)

        assert there.server.switchboard.find_driver(second) is not None
        assert len(api.documents) == 1
        assert there.server.metrics.value("task_failures", task="reaper") == 1

    with_twilio(database_url, tmp_path, "in-progress", story)
