"""Voice notes and pictures are fetched from Twilio, and from nobody else."""

import pytest
from aiohttp import web

from bridge.messaging import media
from bridge.messaging.media import MediaFetcher, MediaRefused
from bridge.messaging.twilio_messages import (
    FateUnknown,
    Hosts,
    TwilioError,
    TwilioMessages,
)
from bridge.sandbox.messaging.attachments import picture, voice_note
from bridge.sandbox.messaging.faults import Fault
from bridge.settings.signing import SigningSecrets
from bridge.telemetry.metrics import Metrics
from tests.bridge import ws_peer
from tests.bridge.messaging.outbox_desk import run, told

ACCOUNT = "AC" + "0" * 32
PATH = f"/2010-04-01/Accounts/{ACCOUNT}/Messages/MM{'1' * 32}/Media/ME{'2' * 32}"


async def url_of(desk, send):
    await send
    found = await desk.value("select media from messages where media <> '[]'")
    return found[0]["url"]


async def fetch(desk, url):
    return await MediaFetcher(desk.client()).fetch(desk.api.account.sid, url)


async def delete(desk, url):
    client = desk.client()
    headers = {"Authorization": client.authorization(desk.api.account.sid)}
    async with client.request("DELETE", url, headers=headers) as answer:
        assert answer.status == 204


@told
async def test_voice_note_is_fetched_from_behind_the_login(desk):
    url = await url_of(desk, desk.writer.speak())
    found = await fetch(desk, url)

    assert (found.content_type, found.data) == ("audio/ogg", voice_note())
    assert desk.api.problems == []


@told
async def test_picture_is_fetched_until_it_is_gone(desk):
    url = await url_of(desk, desk.writer.show_picture("look"))
    assert (await fetch(desk, url)).data == picture()

    await delete(desk, url)

    with pytest.raises(MediaRefused) as raised:
        await fetch(desk, url)
    assert raised.value.reason == "gone"


@pytest.mark.parametrize(
    "url",
    [
        f"https://evil.example{PATH}",
        f"http://api.twilio.com{PATH}",
        f"https://api.twilio.com:8443{PATH}",
        f"https://api.twilio.com@evil.example{PATH}",
        f"https://api.twilio.com.evil.example{PATH}",
        f"https://x@api.twilio.com{PATH}",
        f"https://api.twilio.com{PATH}?a=b",
        f"https://api.twilio.com{PATH}/../../Calls.json",
        f"https://api.twilio.com{PATH.replace('AC0', 'AC1')}",
        "https://api.twilio.com/2010-04-01/Accounts.json",
        "https://[::1",
        "file:///etc/passwd",
        "",
    ],
)
def test_address_of_anything_else_is_asked_nothing(url):
    async def story():
        client = TwilioMessages(SigningSecrets(("t",)), Hosts(), Metrics())
        with pytest.raises(MediaRefused) as raised:
            await MediaFetcher(client).fetch(ACCOUNT, url)
        assert raised.value.reason == "address"

    ws_peer.run(story)


@pytest.mark.parametrize(
    "redirect",
    [
        "http://store.example/x",
        "https://169.254.169.254/latest/meta-data",
        "https://10.0.0.1/x",
        "https://localhost./x",
        "file:///etc/passwd",
        "https://intranet/x",
    ],
)
def test_redirect_to_no_store_is_not_followed(embedded_url, tmp_path, redirect):
    async def story(desk):
        sent = desk.writer.attach(b"x", "image/png", redirect=redirect)
        with pytest.raises(MediaRefused) as raised:
            await fetch(desk, await url_of(desk, sent))
        assert raised.value.reason == "address"

    run(story, embedded_url, tmp_path)


@told
async def test_redirects_have_an_end(desk):
    async def again(request):
        asked.append(request.headers.get("Authorization"))
        return web.Response(status=302, headers={"Location": str(request.url)})

    asked = []
    app = web.Application()
    app.router.add_get("/store", again)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    store = f"http://127.0.0.1:{runner.addresses[0][1]}/store"
    url = await url_of(desk, desk.writer.attach(b"x", "image/png", redirect=store))
    with pytest.raises(MediaRefused, match="at most 3 redirects"):
        await fetch(desk, url)

    assert asked == [None, None]
    await runner.cleanup()


@pytest.mark.parametrize("kind", ["application/pdf", "video/mp4", "text/html"])
def test_file_of_another_type_is_not_read(embedded_url, tmp_path, kind):
    async def story(desk):
        url = await url_of(desk, desk.writer.attach(b"x", kind))
        with pytest.raises(MediaRefused) as raised:
            await fetch(desk, url)
        assert raised.value.reason == "type"

    run(story, embedded_url, tmp_path)


def test_file_over_the_limit_is_not_read_further(embedded_url, tmp_path, monkeypatch):
    monkeypatch.setattr(media, "PICTURE_BYTES_MAX", 1_000)

    async def story(desk):
        url = await url_of(desk, desk.writer.attach(b"x" * 1_001, "image/png"))
        with pytest.raises(MediaRefused) as raised:
            await fetch(desk, url)
        assert raised.value.reason == "size"

    run(story, embedded_url, tmp_path)


def test_file_that_stalls_is_given_up(embedded_url, tmp_path, monkeypatch):
    monkeypatch.setattr(media, "FETCH_WAIT_S", 0.1)

    async def story(desk):
        desk.api.media.stall_s = 30.0
        url = await url_of(desk, desk.writer.show_picture())
        with pytest.raises(FateUnknown):
            await fetch(desk, url)

    run(story, embedded_url, tmp_path)


@told
async def test_twilio_that_is_away_may_be_asked_again(desk):
    url = await url_of(desk, desk.writer.show_picture())
    desk.api.faults.order(Fault(path="media"))
    with pytest.raises(TwilioError):
        await fetch(desk, url)

    assert (await fetch(desk, url)).data == picture()
