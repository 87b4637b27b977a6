"""Files at Twilio: behind a login, in a store at another origin."""

import asyncio

import pytest
from aiohttp import ClientSession, ClientTimeout

from bridge.sandbox.clips import clip
from bridge.sandbox.messaging import attachments
from tests.sandbox.messaging.message_bridge import desk, run


def path_of(d):
    return d.bridge.forms()[-1]["MediaUrl0"].removeprefix(d.api.url)


async def fetch(url, **headers):
    async with ClientSession() as http, http.get(url, headers=headers) as answer:
        return answer.status, answer.headers["Content-Type"], await answer.read()


def test_voice_note_is_opus_in_ogg():
    note = attachments.voice_note()

    assert note.startswith(b"OggS")
    assert note[28:36] == b"OpusHead"
    # The last page tells its time in samples of 48 kHz.
    last = note[note.rindex(b"OggS") :]
    seconds = int.from_bytes(last[6:14], "little") / 48_000
    assert seconds == pytest.approx(clip("caller-en-1").duration_ms / 1_000, abs=0.05)
    assert clip("caller-en-1").transcript == attachments.VOICE_WORDS


def test_picture_is_a_png():
    found = attachments.picture()

    assert found.startswith(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0@\0\0\0@")
    assert found.endswith(b"IEND\xaeB`\x82")


def test_file_is_behind_a_login_and_then_a_redirect():
    async def story():
        async with desk(writes=False) as d:
            sid = await d.writer.speak()
            form, path = d.bridge.forms()[-1], path_of(d)
            assert (form["NumMedia"], form["Body"]) == ("1", "")
            assert (form["MediaContentType0"], form["MessageType"]) == (
                *("audio/ogg", "audio"),
            )
            assert f"/Messages/{sid}/Media/ME" in path

            assert (await d.ask("GET", path, headers={}))[1]["code"] == 20003
            status, answer = await d.ask("GET", path)
            place = answer.headers["Location"]
            assert status == 307
            assert not place.startswith(d.api.url)
            _, kind, content = await fetch(place)
            assert (kind, content) == (attachments.VOICE_TYPE, attachments.voice_note())
            assert d.api.problems == []
            (media,) = d.api.media.of(sid)
            assert media.fetches == 1

            login = d.api.account.credentials
            assert (await fetch(place, Authorization=login))[0] == 400
            assert d.api.problems == ["credentials were sent to the store"]
            assert (await fetch(place.replace("valid", "forged")))[0] == 403

    run(story())


def test_file_is_described_listed_and_deleted():
    async def story():
        async with desk(writes=False) as d:
            sid = await d.writer.show_picture("Like this")
            form, path = d.bridge.forms()[-1], path_of(d)
            assert (form["Body"], form["MessageType"]) == ("Like this", "image")
            status, found = await d.ask("GET", f"{path}.json")
            assert (status, found["content_type"]) == (200, "image/png")
            assert (found["parent_sid"], found["uri"]) == (sid, f"{path}.json")
            _, listed = await d.ask("GET", path.rpartition("/")[0] + ".json")
            assert listed["media_list"] == [found]
            _, answer = await d.ask("GET", path)

            assert (await d.ask("DELETE", path))[0] == 204
            assert d.api.media.deleted == 1
            assert (await fetch(answer.headers["Location"]))[0] == 403
            for method in ("GET", "DELETE"):
                assert (await d.ask(method, path))[1]["code"] == 20404

    run(story())


def test_url_may_lead_elsewhere_and_a_file_may_be_anything():
    async def story():
        async with desk(writes=False) as d:
            there = "http://169.254.169.254/latest"
            await d.writer.attach(b"x", "application/pdf", redirect=there)
            assert d.bridge.forms()[-1]["MessageType"] == "document"
            _, answer = await d.ask("GET", path_of(d))
            assert answer.headers["Location"] == there

    run(story())


def test_store_may_stall_in_the_middle_of_a_file():
    async def story():
        async with desk(writes=False) as d:
            await d.writer.show_picture()
            _, answer = await d.ask("GET", path_of(d))
            place = answer.headers["Location"]
            d.api.media.stall_s = 60
            async with (
                ClientSession(timeout=ClientTimeout(total=0.1)) as http,
                http.get(place) as found,
            ):
                with pytest.raises(asyncio.TimeoutError):
                    await found.read()
            d.api.media.stall_s = 0.01
            assert (await fetch(place))[2] == attachments.picture()

    run(story())
