"""A call over real sockets, against the smallest bridge there is.

These run in real time, as a telephone does; each lasts well under a second.
"""

from aiohttp import web

from bridge.sandbox.caller import Caller
from bridge.sandbox.sign import signature
from bridge.sandbox.timeline import HangUp, StayOnLine, Wait
from tests.sandbox.tiny_bridge import TWIML, TinyBridge, place, run, until


def test_the_webhook_and_the_upgrade_are_signed_over_the_public_url():
    public = "https://bridge.example.com"
    token = "secret"
    twiml = TWIML.replace("{base}", public).replace("{ws}", "wss://bridge.example.com")

    async def story() -> None:
        async with TinyBridge(twiml=twiml) as bridge:
            result = await place(bridge, Wait(20), public_url=public, auth_token=token)
            path, fields, headers = bridge.posts[0]
            assert path == "/twilio/voice"
            assert headers["X-Twilio-Signature"] == signature(
                token, f"{public}/twilio/voice", fields
            )
            assert fields["CallStatus"] == "ringing"
            assert (fields["CallerCity"], fields["Direction"]) == ("", "inbound")
            assert bridge.handshakes[0]["X-Twilio-Signature"] == signature(
                token, "wss://bridge.example.com/media"
            )
            assert "Sec-WebSocket-Extensions" not in bridge.handshakes[0]
            assert result.problems == []

    run(story())


def test_a_forger_signs_nothing_and_some_sign_with_a_slash():
    async def story() -> None:
        async with TinyBridge() as bridge:
            await place(bridge, Wait(20), signed=False)
            assert "X-Twilio-Signature" not in bridge.posts[0][2]
            assert "X-Twilio-Signature" not in bridge.handshakes[0]
            await place(bridge, Wait(20), signs_with_slash=True, auth_token="t")
            url = bridge.url.replace("http", "ws") + "/media/"
            assert bridge.handshakes[1]["X-Twilio-Signature"] == signature("t", url)

    run(story())


# --- after the stream ---


def test_after_a_close_by_the_bridge_the_action_is_run():
    async def talk(bridge: TinyBridge, socket: web.WebSocketResponse) -> None:
        await until(bridge, socket, "start")

    async def story() -> None:
        async with TinyBridge(talk) as bridge:
            result = await place(bridge, StayOnLine())
            assert result.spoken == ["Goodbye."]
            (fields,) = bridge.posted("/after")
            assert fields["CallStatus"] == "in-progress"
            assert fields["CallSid"] == result.call_sid

    run(story())


def test_without_an_action_the_verbs_after_connect_are_run():
    twiml = TWIML.replace(' action="{base}/after"', "")

    async def talk(bridge: TinyBridge, socket: web.WebSocketResponse) -> None:
        await until(bridge, socket, "start")

    async def story() -> None:
        async with TinyBridge(talk, twiml) as bridge:
            result = await place(bridge, StayOnLine())
            assert result.spoken == ["Sorry, nobody is here."]

    run(story())


def test_after_his_own_hang_up_nothing_is_run():
    async def story() -> None:
        async with TinyBridge() as bridge:
            result = await place(bridge, Wait(20), HangUp())
            assert result.spoken == []
            assert bridge.posted("/after") == []

    run(story())


def test_a_stream_that_cannot_be_opened_is_reported_and_the_fallback_spoken():
    async def story() -> None:
        async with TinyBridge() as bridge:
            bridge.refuse_with = 403
            result = await place(bridge, StayOnLine())
            assert result.handshake_status == 403
            assert result.spoken == ["Sorry, nobody is here."]
            (fields,) = bridge.posted("/stream-status")
            assert fields["StreamEvent"] == "stream-error"
            assert fields["StreamError"] == "31920 HTTP 403"

    run(story())


def test_callbacks_tell_of_the_stream_and_of_the_end_of_the_call():
    async def story() -> None:
        async with TinyBridge() as bridge:
            result = await place(bridge, Wait(40), HangUp())
            events = [
                fields["StreamEvent"] for fields in bridge.posted("/stream-status")
            ]
            assert events == ["stream-started", "stream-stopped"]
            (last,) = bridge.posted("/twilio/call-status")
            assert last["CallStatus"] == "completed"
            assert last["CallDuration"] in ("0", "1")
            assert last["CallSid"] == result.call_sid

    run(story())


def test_a_webhook_that_fails_ends_the_call():
    async def story() -> None:
        async with TinyBridge() as bridge:
            caller = Caller(bridge.url, voice_path="/other")
            result = await caller.call([StayOnLine()])
            assert result.webhook_status == 204
            assert result.problems[0].startswith("12300")
        result = await Caller("http://127.0.0.1:1").call([StayOnLine()])
        assert result.webhook_status is None
        assert result.problems[0].startswith("11200 /twilio/voice")

    run(story())


def test_a_stream_at_an_unreachable_address_is_reported():
    twiml = TWIML.replace("{ws}", "wss://127.0.0.1:1")

    async def story() -> None:
        async with TinyBridge(twiml=twiml) as bridge:
            result = await place(bridge, StayOnLine())
            assert result.handshake_status is None
            assert result.problems[0].startswith("31901")
            assert result.spoken == ["Sorry, nobody is here."]

    run(story())


def test_without_a_status_callback_only_the_result_tells():
    twiml = TWIML.replace(' statusCallback="{base}/stream-status"', "")
    twiml = twiml.replace("{ws}", "wss://127.0.0.1:1")
    twiml = twiml.replace("<Say>", "<Pause/><Say>")

    async def story() -> None:
        async with TinyBridge(twiml=twiml) as bridge:
            result = await place(bridge, StayOnLine(), call_status_path=None)
            assert [path for path, _, _ in bridge.posts] == ["/twilio/voice"]
            assert result.problems[0].startswith("31901")
            assert result.spoken == ["Sorry, nobody is here."]

    run(story())


def test_an_error_of_the_webhook_is_a_problem():
    async def story() -> None:
        async with TinyBridge() as bridge:
            bridge.webhook_status = 403
            result = await place(bridge, StayOnLine())
            assert result.webhook_status == 403
            assert result.problems[0] == "11200 /twilio/voice: HTTP 403"
            assert result.frames_received == 0

    run(story())


def test_documents_that_redirect_for_ever_are_given_up():
    async def story() -> None:
        twiml = "<Response><Redirect>/twilio/voice</Redirect></Response>"
        async with TinyBridge(twiml=twiml) as bridge:
            result = await place(bridge)
            assert result.problems == ["more documents than a call needs"]

    run(story())
