"""A call's page: the record, the recording where there is one, and who may see them."""

import asyncio
import re
import shutil
import wave
from io import BytesIO

import msgspec

from bridge.console.call_page import figures
from bridge.recorder.timeline import Timeline
from crm import audit, call_shares, calls
from tests.crm.test_crm import call

SID = "CA77"


def run(story):
    asyncio.run(story())


async def add(at, sid=SID, business=None, **more):
    await calls.save(at.database, business or at.ours, call(sid, **more))


async def acts(at):
    return [entry.action for entry in await audit.recent(at.database, at.ours, 20)]


def recorded(folder, sid=SID):
    folder.mkdir()
    shutil.copy("tests/recordings/interruption.zip", folder / f"{sid}.zip")
    return {"record_dir": str(folder), "record_audio": True}


def test_a_call_without_a_recording_has_its_record_and_says_why(desk):
    async def story():
        async with desk() as at:
            await add(at, from_number="+15550001234")
            status, text = await at.staff.get(at.path("calls", SID))
            assert status == 200
            for words in (
                "Hello",
                "Be brief.",
                "810 ms",
                "interrupted",
                "leads_upsert",
            ):
                assert words in text, words
            assert "Calls are not recorded." in text
            assert "5550001234" not in text
            assert (await at.staff.get(at.path("calls", SID, "timeline")))[0] == 404
            assert (await at.staff.get(at.path("calls", SID, "call.wav")))[0] == 404
            _, text = await at.staff.get(at.path("calls", SID, "phone"))
            assert "+15550001234" in text
            assert await acts(at) == ["call.phone_seen", "call.seen"]

    run(story)


def test_a_recording_is_seen_heard_and_downloaded(desk, tmp_path):
    async def story():
        async with desk(**recorded(tmp_path / "recordings")) as at:
            await add(at)
            _, text = await at.owner.get(at.path("calls", SID))
            assert f"{SID}.zip" in text
            _, text = await at.owner.get(at.path("calls", SID, "timeline"))
            timeline = msgspec.json.decode(text, type=Timeline)
            assert "interrupted" in [one.what for one in timeline.notes]
            url = at.owner.base + at.path("calls", SID, "call.wav")
            async with at.owner.http.get(url) as answer:
                body = await answer.read()
                assert answer.headers["Content-Type"] in ("audio/wav", "audio/x-wav")
            with wave.open(BytesIO(body)) as sound:
                assert sound.getnchannels() == 2
            part = {"Range": "bytes=100-199"}
            async with at.owner.http.get(url, headers=part) as answer:
                assert answer.status == 206
                assert await answer.read() == body[100:200]
            zipped = at.owner.base + at.path("calls", SID, f"{SID}.zip")
            async with at.owner.http.get(zipped) as answer:
                assert (await answer.read())[:2] == b"PK"
            assert await acts(at) == ["call.downloaded", "call.heard", "call.seen"]
            assert (await at.staff.get(at.path("calls", SID, f"{SID}.zip")))[0] == 403

    run(story)


def test_nobody_hears_a_call_of_another_business(desk, tmp_path):
    """Also by the number of a recording that is there, under a business's own name."""

    async def story():
        async with desk(**recorded(tmp_path / "recordings")) as at:
            await add(at)
            for business in (at.ours, at.theirs):
                for name in ("", "timeline", "call.wav", f"{SID}.zip", "phone"):
                    path = at.path(
                        "calls", SID, *filter(None, [name]), business=business
                    )
                    assert (await at.other.get(path))[0] == 404, path
            assert "call.heard" not in await acts(at)

    run(story)


def test_a_broken_recording_says_so(desk, tmp_path):
    async def story():
        settings = recorded(tmp_path / "recordings")
        (tmp_path / "recordings" / f"{SID}.zip").write_bytes(b"x")
        async with desk(**settings) as at:
            await add(at)
            status, text = await at.owner.get(at.path("calls", SID, "timeline"))
            assert (status, "cannot be read" in text) == (409, True)
            assert (await at.owner.get(at.path("calls", SID, "call.wav")))[0] == 404
            path = at.path("calls", SID, "CA1.zip")
            assert (await at.owner.get(path))[0] == 404

    run(story)


def test_the_record_of_a_call_just_ended_is_waited_for(desk):
    async def story():
        async with desk() as at:
            asked = asyncio.create_task(
                at.owner.get(at.path("calls", f"{SID}?fresh=1"))
            )
            await asyncio.sleep(0.1)
            await add(at)
            assert (await asked)[0] == 200
            assert (await at.owner.get(at.path("calls", "CA404")))[0] == 404

    run(story)


def test_tools_stand_between_the_turns_and_figures_are_middle_and_largest():
    turns = [_turn(1.0), _turn(5.0)]
    tools = [_tool(0.5), _tool(3.0), _tool(9.0)]

    placed = [(a or b).at_s for a, b in calls.in_order(turns, tools)]
    assert placed == [0.5, 1.0, 3.0, 5.0, 9.0]
    assert figures([300.0, 100.0, 200.0]) == (200.0, 300.0)
    assert figures([]) is None


def _turn(at_s):
    return calls.Turn(
        role="ai", item_id="i", text="x", interrupted=False, heard_ms=None, at_s=at_s
    )


def _tool(at_s):
    return calls.ToolCall(
        tool_call_id="t",
        name="n",
        arguments="{}",
        result="{}",
        ok=True,
        duration_ms=1.0,
        at_s=at_s,
    )


def test_a_link_opens_one_call_without_numbers_until_it_is_revoked(desk):
    async def story():
        async with desk() as at:
            said = "Call me at +1 202 555 0123"
            turn = msgspec.structs.replace(_turn(1.0), text=said)
            told = msgspec.structs.replace(_turn(2.0), role="told", text="He pays late")
            await add(at, turns=[turn, told], from_number="+15550001234")
            path = at.path("calls", SID)
            assert "He pays late" in (await at.owner.get(path))[1]
            status, text = await at.owner.post(f"{path}/share", days="3")
            assert status == 200
            url = re.search(r"http://[^<]*/console/shared/[^<]+", text)[0]
            shared = url.removeprefix(at.owner.base)
            status, text = await at.nobody.get(shared)
            assert (status, "Call me at" in text) == (200, True)
            hers = ("555 0123", "5550001234", "Be brief", "He pays late", "{}", SID)
            for hidden in hers:
                assert hidden not in text, hidden
            assert (await at.nobody.get(path))[0] == 303
            assert (await at.other.get(shared))[0] == 200

            (share,) = await call_shares.listed(at.database, at.ours, SID)
            status, _ = await at.owner.post(f"{path}/share/{share.id}/revoke")
            assert status == 303
            assert (await at.nobody.get(shared))[0] == 404
            assert (await at.nobody.get(f"{shared}x"))[0] == 404
            status, _ = await at.owner.post(f"{path}/share/{share.id}/revoke")
            assert status == 404
            assert await acts(at) == [
                *("call.share_revoked", "call.shared_seen", "call.shared_seen"),
                *("call.shared", "call.seen"),
            ]

    run(story)


def test_a_link_is_made_by_the_owner_for_some_days(desk):
    async def story():
        async with desk() as at:
            await add(at)
            path = at.path("calls", SID, "share")
            for days in ("0", "31", "x", "²", ""):
                status, text = await at.owner.post(path, days=days)
                assert (status, 'id="days-fault"' in text) == (422, True), days
            assert (await at.staff.post(path, days="1"))[0] == 403
            assert (await at.other.post(path, days="1"))[0] == 404
            assert await call_shares.listed(at.database, at.ours, SID) == []
            token = await call_shares.make(at.database, at.ours, SID, "Dana", 1)
            await at.service.database_value(
                "update call_shares set expires_at = now() where business_id = $1 "
                "returning 1",
                at.ours,
            )
            assert (await at.nobody.get(f"/console/shared/{token}"))[0] == 404

    run(story)


def test_guessed_links_keep_out_nobody_else(desk):
    async def story():
        async with desk() as at:
            await add(at)
            token = await call_shares.make(at.database, at.ours, SID, "Dana", 1)
            guesser = at.new_browser(**{"X-Forwarded-For": "192.0.2.66"})
            found = [
                (await guesser.get(f"/console/shared/guess{one}"))[0]
                for one in range(62)
            ]
            assert (found[0], found[-1]) == (404, 429)
            assert (await at.nobody.get(f"/console/shared/{token}"))[0] == 200

    run(story)


async def shared_link(at, sid, **fields):
    """Make a link as the owner does; return the path of the shared page."""
    path = at.path("calls", sid)
    await at.owner.get(path)
    _, text = await at.owner.post(f"{path}/share", days="1", **fields)
    url = re.search(r"http://[^<]*/console/shared/[^<]+", text)[0]
    return url.removeprefix(at.owner.base)


async def heard(browser, path):
    """Return what a browser gets for the sound of a shared call."""
    async with browser.http.get(f"{browser.base}{path}/call.wav") as answer:
        return answer.status, await answer.read()


def test_a_link_plays_the_sound_of_its_call_alone_and_ends_with_it(desk, tmp_path):
    async def story():
        folder = tmp_path / "recordings"
        async with desk(**recorded(folder)) as at:
            shutil.copy("tests/recordings/keypad.zip", folder / "CA78.zip")
            await add(at)
            await add(at, "CA78")
            first = await shared_link(at, SID, sound="1")
            second = await shared_link(at, "CA78", sound="1")
            _, text = await at.nobody.get(first)
            assert f'src="{first}/call.wav"' in text
            sounds = [await heard(at.nobody, path) for path in (first, second)]
            assert [status for status, _ in sounds] == [200, 200]
            assert all(body.startswith(b"RIFF") for _, body in sounds)
            assert sounds[0] != sounds[1]
            assert "call.shared_heard" in await acts(at)
            for other in (f"{first}/../CA78", f"{first}/CA78.zip", f"{first}/timeline"):
                assert (await at.nobody.get(other))[0] in (303, 404), other
            own = at.path("calls", SID, "call.wav")
            assert (await at.nobody.get(own))[0] == 303

            (share,) = await call_shares.listed(at.database, at.ours, SID)
            await at.owner.post(at.path("calls", SID, "share", share.id, "revoke"))
            assert (await heard(at.nobody, first))[0] == 404
            assert (await heard(at.nobody, second))[0] == 200
            await at.service.database_value(
                "update call_shares set expires_at = now() where business_id = $1 "
                "returning 1",
                at.ours,
            )
            assert (await heard(at.nobody, second))[0] == 404

    run(story)


def test_a_link_without_the_sound_plays_none(desk, tmp_path):
    async def story():
        async with desk(**recorded(tmp_path / "recordings")) as at:
            await add(at)
            path = await shared_link(at, SID)
            _, text = await at.nobody.get(path)
            assert "<audio" not in text
            assert (await heard(at.nobody, path))[0] == 404

    run(story)


def test_a_link_to_a_call_that_was_not_recorded_has_no_sound(desk, tmp_path):
    async def story():
        async with desk(**recorded(tmp_path / "recordings")) as at:
            await add(at, "CA79")
            path = await shared_link(at, "CA79", sound="1")
            _, text = await at.nobody.get(path)
            assert "<audio" not in text
            assert (await heard(at.nobody, path))[0] == 404

    run(story)
