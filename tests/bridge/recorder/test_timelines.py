"""Timelines are made by another process, kept, and gone with their recording."""

import asyncio
import shutil

import pytest

from bridge.recorder import timelines as module
from bridge.recorder.timeline_process import SOUND_FILE, TIMELINE_FILE
from bridge.recorder.timelines import NotRecorded, TimelineError, Timelines

SID = "CA0123"


@pytest.fixture
def at(tmp_path):
    (tmp_path / "recordings").mkdir()
    shutil.copy("tests/recordings/interruption.zip", recording(tmp_path))
    return Timelines(tmp_path / "recordings", tmp_path)


def recording(home, sid=SID):
    return home / "recordings" / f"{sid}.zip"


def test_a_timeline_is_made_once(at, monkeypatch):
    async def story():
        places = await asyncio.gather(at.folder(SID), at.folder(SID))
        assert places[0] == places[1]
        assert {one.name for one in places[0].iterdir()} == {TIMELINE_FILE, SOUND_FILE}
        monkeypatch.setattr(at, "_make", None)
        assert await at.folder(SID) == places[0]

    asyncio.run(story())


def test_a_call_without_a_recording_has_none(at, tmp_path):
    async def story():
        for sid in ("CA9", "../CA0123", "C" * 65, ""):
            with pytest.raises(NotRecorded):
                await at.folder(sid)
        with pytest.raises(NotRecorded):
            await Timelines(None, tmp_path).folder(SID)

    asyncio.run(story())


def test_a_broken_recording_says_so_and_leaves_nothing(at, tmp_path):
    async def story():
        recording(tmp_path).write_bytes(b"x")
        with pytest.raises(TimelineError, match="cannot be read"):
            await at.folder(SID)
        assert list((tmp_path / module.FOLDER).iterdir()) == []

    asyncio.run(story())


def test_what_has_no_recording_and_the_oldest_are_forgotten(at, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "KEPT_MAX", 2)

    async def story():
        for name in ("CA1", "CA2"):
            shutil.copy(recording(tmp_path), recording(tmp_path, name))
        first = await at.folder("CA1")
        recording(tmp_path, "CA1").unlink()
        second = await at.folder("CA2")
        assert (first.exists(), second.exists()) == (False, True)
        third = await at.folder(SID)
        assert (second.exists(), third.exists()) == (True, True)

    asyncio.run(story())


def test_too_many_must_come_later(at, monkeypatch):
    monkeypatch.setattr(module, "WAITING_MAX", 0)

    async def story():
        with pytest.raises(TimelineError, match="too many"):
            await at.folder(SID)

    asyncio.run(story())
