"""Timelines are made by another process, kept, and gone with their recording."""

import asyncio
import os
import shutil
from uuid import uuid4

import pytest

from bridge.recorder import timelines as module
from bridge.recorder.far import CallId, FarError, FarFile, FarListing
from bridge.recorder.timeline_process import SOUND_FILE, TIMELINE_FILE
from bridge.recorder.timelines import FarAway, NotRecorded, TimelineError, Timelines

SID = "CA0123"
BUSINESS = uuid4()


def of(sid):
    return CallId(sid, BUSINESS)


CALL = of(SID)


@pytest.fixture
def at(tmp_path):
    (tmp_path / "recordings").mkdir()
    shutil.copy("tests/recordings/interruption.zip", recording(tmp_path))
    return Timelines(tmp_path / "recordings", tmp_path)


def recording(home, sid=SID):
    return home / "recordings" / f"{sid}.zip"


def test_a_timeline_is_made_once(at, monkeypatch):
    async def story():
        places = await asyncio.gather(at.folder(CALL), at.folder(CALL))
        assert places[0] == places[1]
        assert {one.name for one in places[0].iterdir()} == {TIMELINE_FILE, SOUND_FILE}
        monkeypatch.setattr(at, "_make", None)
        assert await at.folder(CALL) == places[0]

    asyncio.run(story())


def test_a_call_without_a_recording_has_none(at, tmp_path):
    async def story():
        for sid in ("CA9", "../CA0123", "C" * 65, ""):
            with pytest.raises(NotRecorded):
                await at.folder(of(sid))
        with pytest.raises(NotRecorded):
            await Timelines(None, tmp_path).folder(CALL)

    asyncio.run(story())


def test_a_broken_recording_says_so_and_leaves_nothing(at, tmp_path):
    async def story():
        recording(tmp_path).write_bytes(b"x")
        with pytest.raises(TimelineError, match="cannot be read"):
            await at.folder(CALL)
        assert list((tmp_path / module.FOLDER).iterdir()) == []

    asyncio.run(story())


def test_what_has_no_recording_and_the_oldest_are_forgotten(at, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEPT_MAX", 2)

    async def story():
        for name in ("CA1", "CA2"):
            shutil.copy(recording(tmp_path), recording(tmp_path, name))
        first = await at.folder(of("CA1"))
        recording(tmp_path, "CA1").unlink()
        second = await at.folder(of("CA2"))
        assert (first.exists(), second.exists()) == (False, True)
        third = await at.folder(CALL)
        assert (second.exists(), third.exists()) == (True, True)

    asyncio.run(story())


def test_what_another_worker_has_just_removed_is_no_fault(at, tmp_path):
    async def story():
        await asyncio.to_thread((tmp_path / module.FOLDER).mkdir)
        for gone in ("CA1.1", f"CA1.{module._PART}2", f"CA1.{module._FAR}3"):
            # It is listed, and not there.
            (tmp_path / module.FOLDER / gone).symlink_to("nowhere")
        assert (await at.folder(CALL)).exists()

    asyncio.run(story())


def test_too_many_must_come_later(at, monkeypatch):
    monkeypatch.setattr(module, "WAITING_MAX", 0)

    async def story():
        with pytest.raises(TimelineError, match="too many"):
            await at.folder(CALL)

    asyncio.run(story())


class Far:
    """Another machine, with the later part of the call."""

    def __init__(self, data, name=f"{SID}.2.zip"):
        self.data = data
        self.file = FarFile("far", name, len(data), 1)
        self.is_whole = True
        self.reads = 0

    async def listed(self, call):
        return FarListing((self.file,) if self.file else (), self.is_whole)

    async def read(self, call, file):
        self.reads += 1
        yield self.data[:100]
        if len(self.data) < 100:
            raise FarError("it broke off")
        yield self.data[100:]


def beside(tmp_path, far):
    return Timelines(tmp_path / "recordings", tmp_path, far)


def test_parts_of_other_machines_are_fetched_once_and_not_kept(at, tmp_path):
    data = recording(tmp_path).read_bytes()
    recording(tmp_path).unlink()
    far = Far(data, f"{SID}.zip")

    async def story():
        with_far = beside(tmp_path, far)
        place = await with_far.folder(CALL)
        assert place == await with_far.folder(CALL)
        assert {one.name for one in place.iterdir()} == {TIMELINE_FILE, SOUND_FILE}
        assert [one.name for one in place.parent.iterdir()] == [place.name]
        assert far.reads == 1
        far.file = far.file._replace(modified_ns=2)
        assert await with_far.folder(CALL) != place
        assert far.reads == 2

    asyncio.run(story())


def test_parts_here_and_there_stand_in_order_each_once(at, tmp_path):
    async def story():
        here = recording(tmp_path)
        shutil.copy(here, recording(tmp_path, f"{SID}.10"))
        far = Far(b"", f"{SID}.2.zip")
        parts, is_whole = await beside(tmp_path, far).files(CALL)
        assert parts == (here, far.file, recording(tmp_path, f"{SID}.10"))
        assert is_whole
        for name in (f"{SID}.10.zip", "CA9.zip", "../CA0123.3.zip"):
            parts, _ = await beside(tmp_path, Far(b"", name)).files(CALL)
            assert parts == (here, recording(tmp_path, f"{SID}.10"))

    asyncio.run(story())


def test_a_machine_that_is_away_or_breaks_off_says_so(at, tmp_path):
    recording(tmp_path).unlink()

    async def story():
        far = Far(b"short", f"{SID}.zip")
        with pytest.raises(TimelineError, match="it broke off"):
            await beside(tmp_path, far).folder(CALL)
        assert list((tmp_path / module.FOLDER).iterdir()) == []
        far.file, far.is_whole = None, False
        with pytest.raises(FarAway, match="does not answer"):
            await beside(tmp_path, far).folder(CALL)
        far.is_whole = True
        with pytest.raises(NotRecorded):
            await beside(tmp_path, far).folder(CALL)

    asyncio.run(story())


def test_what_other_machines_may_have_removed_is_forgotten_after_an_hour(at, tmp_path):
    async def story():
        shutil.copy(recording(tmp_path), recording(tmp_path, "CA2"))
        far = Far(recording(tmp_path).read_bytes(), f"{SID}.zip")
        recording(tmp_path).unlink()
        with_far = beside(tmp_path, far)
        place = await with_far.folder(CALL)
        left = place.parent / f"{SID}.part-x"
        left.mkdir()
        far.file = None
        await with_far.folder(of("CA2"))
        assert place.exists() and left.exists()
        hour = module.FAR_KEPT_S + 60
        for one in (place, left):
            os.utime(one, (one.stat().st_mtime - hour,) * 2)
        shutil.copy(recording(tmp_path, "CA2"), recording(tmp_path, "CA3"))
        await with_far.folder(of("CA3"))
        assert not place.exists() and not left.exists()

    asyncio.run(story())
