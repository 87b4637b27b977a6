"""A recording that lies on another machine is seen, heard and downloaded here, and only
by those whose call it is."""

import asyncio
import shutil
import wave
from contextlib import asynccontextmanager
from io import BytesIO
from uuid import uuid4

import aiohttp
import msgspec
import pytest
from yarl import URL

from bridge.cli import main
from bridge.ports.acceptor import listen
from bridge.recorder.far import CallId, FarError
from bridge.recorder.parts import file_name
from bridge.recorder.timeline import Timeline
from bridge.service import node_recordings, recording_server
from bridge.service.between_nodes import (
    RECORDING_PATH,
    RECORDINGS_PATH,
    BetweenNodes,
)
from bridge.service.node_recordings import NodeRecordings
from bridge.service.other_nodes import OtherNodes
from bridge.service.server import Server
from bridge.telemetry.metrics import Metrics
from crm import audit, calls, live_calls, nodes
from tests.bridge.recorder.test_parts import first_part, second_part, written
from tests.crm.test_crm import call
from tests.crm.test_nodes import node

HERE = "here"


@pytest.fixture(autouse=True)
def patient(monkeypatch):
    """Both nodes share this loop, and the machine may be busy."""
    monkeypatch.setattr(node_recordings, "LIST_WAIT_S", 20.0)


class Far:
    """Another node of the same service, with a folder of recordings."""

    def __init__(self, server, between, url, folder, name):
        self.server = server
        self.between = between
        self.url = url
        self.folder = folder
        self.name = name

    async def ask(self, path, **asked):
        """Send a signed request, as another node does; return status and body."""
        target, headers = self.between.signed(path, **asked)
        async with (
            aiohttp.ClientSession() as http,
            http.get(URL(self.url + target, encoded=True), headers=headers) as answer,
        ):
            return answer.status, await answer.read()


@asynccontextmanager
async def far_node(at, home, **settings):
    socket = listen("127.0.0.1", 0)
    url = f"http://127.0.0.1:{socket.getsockname()[1]}"
    name = f"far-{uuid4().hex[:8]}"
    folder = home / "far"
    folder.mkdir()
    given = msgspec.structs.replace(
        at.service.settings,
        kolbridge_home=str(home / "far-home"),
        public_url=at.server.public_url,
        node_url=url,
        node_name=name,
        record_dir=str(folder),
        **settings,
    )
    server = Server(given, at.database)
    await server.start(socket)
    beat = node(name, url=url)
    await nodes.beat(at.database, beat)
    beating = asyncio.create_task(keep_beating(at.database, beat))
    between = BetweenNodes(given, at.server.public_url)
    try:
        yield Far(server, between, url, folder, name)
    finally:
        beating.cancel()
        await nodes.leave(at.database, beat.incarnation)
        await server.close()


async def keep_beating(database, beat):
    while True:
        await asyncio.sleep(0.5)
        await nodes.beat(database, beat)


async def had_by(at, sid, *names):
    """Write the record of a call that these nodes had, one after the other."""
    owned = {"account_sid": "AC1", "to_number": "+12025550123", "worker": 0}
    await live_calls.open(
        at.database,
        call_sid=sid,
        business_id=at.ours,
        node=names[0],
        incarnation=uuid4(),
        **owned,
    )
    for generation, name in enumerate(names[1:], start=1):
        taken = sid, generation, name, uuid4(), 0
        assert await live_calls.claim(at.database, *taken, is_dead=True)
    record = call(sid, generation=len(names))
    assert await calls.save(at.database, at.ours, record)


def new_sid():
    return f"CA{uuid4().hex}"


def told(desk, tmp_path, story, **settings):
    async def main():
        async with (
            desk(node_name=HERE, **settings) as at,
            far_node(at, tmp_path) as far,
        ):
            await story(at, far)

    asyncio.run(main())


async def read(browser, path, **headers):
    async with browser.http.get(browser.base + path, headers=headers) as answer:
        return answer.status, await answer.read()


def test_recording_of_another_machine_is_seen_heard_downloaded_and_shared(
    desk, tmp_path
):
    async def story(at, far):
        sid = new_sid()
        file = far.folder / f"{sid}.zip"
        shutil.copy("tests/recordings/interruption.zip", file)
        await had_by(at, sid, far.name)
        path = at.path("calls", sid)

        status, text = await at.owner.get(path)
        assert (status, f"{path}/{sid}.zip" in text) == (200, True)
        assert "another machine" not in text
        status, text = await at.owner.get(f"{path}/timeline")
        timeline = msgspec.json.decode(text, type=Timeline)
        assert "interrupted" in [one.what for one in timeline.notes]
        status, sound = await read(at.owner, f"{path}/call.wav")
        with wave.open(BytesIO(sound)) as opened:
            assert opened.getnchannels() == 2
        status, part = await read(at.owner, f"{path}/call.wav", Range="bytes=100-199")
        assert (status, part) == (206, sound[100:200])
        status, zipped = await read(at.owner, f"{path}/{sid}.zip")
        assert (status, zipped) == (200, file.read_bytes())
        assert (await read(at.staff, f"{path}/{sid}.zip"))[0] == 403

        _, text = await at.owner.post(f"{path}/share", days="3", sound="1")
        shared = text.partition("/console/shared/")[2].partition("<")[0]
        shared = f"/console/shared/{shared}"
        assert "call.wav" in (await at.nobody.get(shared))[1]
        assert (await read(at.nobody, f"{shared}/call.wav")) == (200, sound)

        found = await audit.recent(at.database, at.ours, 20)
        assert {"call.heard", "call.downloaded", "call.shared_heard"} <= {
            one.action for one in found
        }
        # Nothing of it is left here but what was made for the page.
        left = {one.name for one in tmp_path.rglob(f"{sid}*") if one != file}
        assert len(left) == 1

    told(desk, tmp_path, story)


def test_parts_of_a_call_join_on_whatever_machines_they_lie(
    desk, tmp_path, monkeypatch
):
    async def story(at, far):
        first = first_part()
        first.kept.began_at = 1_000.0
        second = second_part(first)
        second.kept.began_at = 1_000.0 + (first.now - 100.0) + 4.0
        parts = await asyncio.to_thread(written, tmp_path / "made", second, first)
        sid = first.call.plan.call_sid
        shutil.move(parts[0], tmp_path / "near")
        shutil.move(parts[1], far.folder)
        async with at.database.owner() as connection:
            await connection.execute("delete from calls where call_sid = $1", sid)
        await had_by(at, sid, HERE, far.name)
        path = at.path("calls", sid)

        _, text = await at.owner.get(path)
        names = [f"{sid}.zip", file_name(second.call.plan)]
        assert all(f"{path}/{name}" in text for name in names)
        _, text = await at.owner.get(f"{path}/timeline")
        notes = msgspec.json.decode(text, type=Timeline).notes
        (gap,) = [one for one in notes if "part 2" in one.what]
        assert "4.000 s after the last message" in gap.why

        await far.server.close()
        _, text = await at.owner.get(path)
        assert f"{path}/{sid}.zip" in text
        assert "A part of the recording is on another machine" in text

    monkeypatch.setattr(node_recordings, "LISTED_S", 0.0)
    (tmp_path / "near").mkdir()
    (tmp_path / "made").mkdir()
    told(desk, tmp_path, story, record_dir=str(tmp_path / "near"), record_audio=True)


def test_command_replays_a_recording_of_another_machine(
    desk, embedded_url, tmp_path, monkeypatch, capsys
):
    async def story(at, far):
        sid = new_sid()
        shutil.copy("tests/recordings/interruption.zip", far.folder / f"{sid}.zip")
        await had_by(at, sid, far.name)
        settings = at.service.settings
        for name, value in {
            "DATABASE_URL": embedded_url,
            "PUBLIC_URL": at.server.public_url,
            "TWILIO_AUTH_TOKEN": settings.twilio_auth_token,
            "KOLBRIDGE_HOME": str(tmp_path / "cli"),
        }.items():
            monkeypatch.setenv(name, value)

        async def replayed(*words):
            code = await asyncio.to_thread(main.main, ["replay", *words])
            return code, capsys.readouterr()

        code, said = await replayed(sid, "--fetch")
        assert (code, said.err) == (0, "")
        assert "every answer the same" in said.out
        code, said = await replayed(new_sid(), "--fetch")
        assert (code, "expected the CallSid of a call" in said.err) == (2, True)
        code, said = await replayed(sid, "--fetch", "--accept")
        assert (code, "expected without --fetch" in said.err) == (2, True)
        await far.server.close()
        code, said = await replayed(sid, "--fetch")
        assert (code, "does not answer" in said.err) == (2, True)

    told(desk, tmp_path, story)


def test_page_says_that_the_other_machine_is_away(desk, tmp_path, monkeypatch):
    monkeypatch.setattr(node_recordings, "LISTED_S", 0.0)

    async def story(at, far):
        sid = new_sid()
        shutil.copy("tests/recordings/interruption.zip", far.folder / f"{sid}.zip")
        await had_by(at, sid, far.name)
        path = at.path("calls", sid)
        assert "does not answer now" not in (await at.owner.get(path))[1]
        await far.server.close()

        status, text = await at.owner.get(path)
        assert (status, "is on another machine, which does not answer" in text) == (
            200,
            True,
        )
        assert 'id="sound"' not in text
        status, text = await at.owner.get(f"{path}/timeline")
        assert (status, "does not answer" in text) == (409, True)
        assert (await read(at.owner, f"{path}/call.wav"))[0] == 404
        assert (await read(at.owner, f"{path}/{sid}.zip"))[0] == 404

    told(desk, tmp_path, story)


def test_recording_is_refused_to_all_but_its_business_on_both_sides(desk, tmp_path):
    async def story(at, far):
        sid = new_sid()
        shutil.copy("tests/recordings/interruption.zip", far.folder / f"{sid}.zip")
        await had_by(at, sid, far.name)
        for business in (at.ours, at.theirs):
            for name in ("", "timeline", "call.wav", f"{sid}.zip"):
                parts = ("calls", sid, *filter(None, [name]))
                status, _ = await at.other.get(at.path(*parts, business=business))
                assert status == 404, name

        ours = {"call": sid, "business": str(at.ours)}
        status, body = await far.ask(RECORDINGS_PATH, **ours)
        assert (status, len(msgspec.msgpack.decode(body))) == (200, 1)
        for asked in (
            {**ours, "business": str(at.theirs)},
            {**ours, "business": "salon"},
            {**ours, "call": new_sid()},
            {**ours, "call": "*"},
            {},
        ):
            assert await far.ask(RECORDINGS_PATH, **asked) == (200, b"\x90"), asked
            status, _ = await far.ask(RECORDING_PATH, file=f"{sid}.zip", **asked)
            assert status == 404, asked
        for name in ("../far/x.zip", "other.zip", ""):
            assert (await far.ask(RECORDING_PATH, file=name, **ours))[0] == 404
        async with aiohttp.ClientSession() as http:
            for path in (RECORDINGS_PATH, RECORDING_PATH):
                asked = {**ours, "file": f"{sid}.zip"}
                async with http.get(far.url + path, params=asked) as answer:
                    assert answer.status == 403

    told(desk, tmp_path, story)


def test_number_and_size_of_what_is_sent_are_limited(desk, tmp_path, monkeypatch):
    async def story(at, far):
        sid = new_sid()
        (far.folder / f"{sid}.zip").write_bytes(b"x" * 100_000)
        await had_by(at, sid, far.name)
        whose = CallId(sid, at.ours, (far.name,))
        others = OtherNodes(at.database, far.between, HERE)
        recordings = NodeRecordings(others, Metrics())
        (file,) = (await recordings.listed(whose)).files
        assert file[:3] == (far.name, f"{sid}.zip", 100_000)

        async def fetched(one=file):
            return b"".join([piece async for piece in recordings.read(whose, one)])

        assert await fetched() == b"x" * 100_000
        for wrong, why in (
            (file._replace(size_bytes=node_recordings.FILE_BYTES_MAX + 1), "too large"),
            (file._replace(size_bytes=99_999), "has changed"),
            (file._replace(size_bytes=100_001), "has changed"),
            (file._replace(name="x.zip"), "has answered 404"),
            (file._replace(node="gone"), "does not answer"),
        ):
            with pytest.raises(FarError, match=why):
                await fetched(wrong)
        monkeypatch.setattr(recording_server, "SENDS_MAX", 0)
        with pytest.raises(FarError, match="503"):
            await fetched()
        monkeypatch.setattr(node_recordings, "READS_MAX", 0)
        with pytest.raises(FarError, match="too many"):
            await fetched()
        count = far.server.metrics.value
        assert count("recordings_sent", outcome="too_many") == 1
        assert count("recordings_sent", outcome="sent") >= 1
        await others.close()

    told(desk, tmp_path, story)


def test_download_that_breaks_off_is_not_taken_for_whole(desk, tmp_path, monkeypatch):
    monkeypatch.setattr(node_recordings, "LISTED_S", 60.0)

    async def story(at, far):
        sid = new_sid()
        path = far.folder / f"{sid}.zip"
        path.write_bytes(b"x" * 3_000_000)
        await had_by(at, sid, far.name)
        page = at.path("calls", sid, f"{sid}.zip")
        assert (await read(at.owner, page))[0] == 200
        # It is another one by now than was listed.
        path.write_bytes(b"x" * 2_000_000)
        with pytest.raises(aiohttp.ClientPayloadError):
            await read(at.owner, page)
        path.unlink()
        status, text = await at.owner.get(page)
        assert (status, "Another machine does not answer" in text) == (502, True)

    told(desk, tmp_path, story)
