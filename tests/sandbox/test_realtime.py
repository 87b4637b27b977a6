import asyncio
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from bridge.sandbox.clips import clip
from bridge.sandbox.realtime import RealtimeServer
from bridge.sandbox.script import (
    Drop,
    Faults,
    Reply,
    Script,
    by_language,
    plain_script,
)
from tests.sandbox.client import (
    AT_ONCE,
    KEY,
    Client,
    connected,
    run,
    talking,
    telephone,
)

MODEL = "?model=gpt-realtime-2.1"


def handshake(headers: dict[str, str], query: str = MODEL, **options: Any) -> int:
    async def story() -> int:
        async with RealtimeServer(**options) as server:
            try:
                async with connect(
                    server.url + query, additional_headers=headers, proxy=None
                ):
                    return 101
            except InvalidStatus as error:
                return error.response.status_code

    return asyncio.run(story())


def first_error(headers: dict[str, str], query: str) -> tuple[str, int | None]:
    async def story() -> tuple[str, int | None]:
        async with (
            RealtimeServer() as server,
            connect(
                server.url + query, additional_headers=KEY | headers, proxy=None
            ) as socket,
        ):
            event = msgspec.json.decode(await socket.recv())
            await socket.wait_closed()
            return event["error"]["code"], socket.close_code

    return asyncio.run(story())


def test_a_wrong_or_missing_key_is_refused_before_the_upgrade():
    assert handshake(KEY) == 101
    assert handshake({}) == 401
    assert handshake({"Authorization": "Bearer sk-other"}) == 401
    assert handshake({"Authorization": "sk-sandbox"}) == 401


def test_another_path_is_not_found():
    async def story() -> None:
        async with RealtimeServer() as server:
            with pytest.raises(InvalidStatus) as refused:
                await connect(
                    server.url.replace("realtime", "live"),
                    additional_headers=KEY,
                    proxy=None,
                )
            assert refused.value.response.status_code == 404
            assert server.refused_handshakes == [404]

    run(story())


def test_the_beta_header_gets_an_error_and_close_4000():
    assert first_error({"OpenAI-Beta": "realtime=v1"}, MODEL) == (
        "beta_api_shape_disabled",
        4000,
    )


@pytest.mark.parametrize("query", ["", "?model=", "?model=gpt-4o-realtime-preview"])
def test_a_model_that_does_not_exist_gets_an_error_and_a_close(query: str):
    assert first_error({}, query)[0] == "model_not_found"


def test_models_with_an_announced_shutdown_still_answer():
    async def story() -> None:
        server = RealtimeServer()
        async with server, connected(server, "gpt-realtime-mini") as client:
            assert client.events[0]["session"]["model"] == "gpt-realtime-mini"

    run(story())


def test_session_created_shows_the_default_session():
    async def story() -> None:
        server = RealtimeServer()
        async with server, connected(server) as client:
            session = client.events[0]["session"]
            audio = session["audio"]
            assert audio["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
            assert audio["input"]["turn_detection"]["type"] == "server_vad"
            assert audio["input"]["turn_detection"]["interrupt_response"] is True
            assert session["tools"] == []
            assert server.open_sessions == [client.session]
            assert KEY["Authorization"] == f"Bearer {server.api_key}"
        assert server.open_sessions == []

    run(story())


def test_scripts_are_given_out_by_connection_and_the_last_repeats():
    async def first_words(server: RealtimeServer) -> str:
        async with connected(server) as client:
            await client.configure()
            await client.send("response.create")
            done = await client.expect("response.output_audio_transcript.done")
            return str(done["transcript"])

    async def story() -> None:
        scripts = [Script([[Reply(b"\x00" * 800, words)]]) for words in ("one", "two")]
        async with RealtimeServer(scripts, **AT_ONCE) as server:
            assert [await first_words(server) for _ in range(3)] == [
                "one",
                "two",
                "two",
            ]

    run(story())


def test_a_script_may_be_chosen_by_the_configured_session():
    async def story() -> None:
        def choose(session: Any) -> Script:
            return Script([[Reply(b"\x00" * 800, session.instructions)]])

        async with talking(choose) as client:
            await client.send("response.create")
            done = await client.expect("response.output_audio_transcript.done")
            assert done["transcript"] == "Be brief."

    run(story())


# --- faults ---


def test_the_handshake_can_be_refused():
    script = Script(faults=Faults(handshake_status=503))
    assert handshake(KEY, scripts=script) == 503


def test_a_session_can_begin_with_a_fatal_error():
    async def story() -> None:
        script = Script(faults=Faults(fatal_error="insufficient_quota"))
        server = RealtimeServer(script)
        async with server, connected(server) as client:
            assert client.events[0]["error"]["code"] == "insufficient_quota"
            await client.socket.wait_closed()

    run(story())


def test_session_created_can_be_left_out():
    async def story() -> None:
        script = Script(faults=Faults(no_session_created=True))
        async with RealtimeServer(script, **AT_ONCE) as server:
            socket = await connect(
                server.url + MODEL, additional_headers=KEY, proxy=None
            )
            await socket.send('{"type":"input_audio_buffer.clear"}')
            assert '"input_audio_buffer.cleared"' in str(await socket.recv())
            await socket.close()

    run(story())


def test_every_update_can_be_refused_or_ignored():
    async def answers(faults: Faults) -> list[str]:
        server = RealtimeServer(Script(faults=faults), **AT_ONCE)
        async with server, connected(server) as client:
            await client.send("session.update", session={"type": "realtime"})
            await client.caught_up()
            return client.types()[1:-1]

    async def story() -> None:
        assert await answers(Faults(refuse_update="invalid_value")) == ["error"]
        assert await answers(Faults(ignore_update=True)) == []

    run(story())


def test_it_can_never_answer():
    async def story() -> None:
        async with talking(Script(faults=Faults(ignore_responses=True))) as client:
            await client.send("response.create")
            assert await client.caught_up() == []

    run(story())


def test_events_and_fields_from_the_future_can_be_mixed_in():
    async def story() -> None:
        server = RealtimeServer(Script(faults=Faults(unknown_events=True)), **AT_ONCE)
        async with server, connected(server) as client:
            assert client.events[0]["type"] == "response.weather.updated"
            assert "x_not_yet_known" in await client.next()

    run(story())


def test_a_response_can_come_without_its_usage():
    async def story() -> None:
        async with talking(Script(faults=Faults(no_usage=True))) as client:
            await client.send("response.create")
            done = await client.expect("response.done")
            assert done["response"]["usage"] is None

    run(story())


def test_scripts_can_be_told_apart_by_language():
    async def story(language: str) -> str:
        scripts = by_language({"en": Script(), "he": plain_script("he")})
        session = telephone()
        session["audio"]["input"]["transcription"]["language"] = language
        async with talking(scripts, session=session) as client:
            await client.send("response.create")
            done = await client.expect("response.output_audio_transcript.done")
            return str(done["transcript"])

    assert asyncio.run(story("he")) == clip("ai-he-offer").transcript
    assert asyncio.run(story("fr")) == clip("ai-en-booked").transcript


@pytest.mark.parametrize(("code", "seen"), [(None, 1006), (1011, 1011)])
def test_a_turn_can_cut_or_close_the_socket(code: int | None, seen: int):
    async def story() -> None:
        async with talking(Script([[Drop(code)]])) as client:
            await client.send("response.create")
            with pytest.raises(ConnectionClosed):
                await client.expect("response.done")
            assert client.socket.close_code == seen

    run(story())


def test_a_session_expires_with_an_error_and_a_close():
    async def story() -> None:
        server = RealtimeServer(expires_after_s=0.02)
        async with server, connected(server) as client:
            assert (await client.expect("error"))["error"]["code"] == "session_expired"
            await client.socket.wait_closed()
            assert client.session.violations == []

    run(story())


def test_a_lost_client_ends_its_session():
    async def story() -> None:
        server = RealtimeServer(**AT_ONCE)
        async with server, connected(server) as client:
            assert isinstance(client, Client)
            client.socket.transport.abort()
            await client.socket.wait_closed()
        assert server.open_sessions == []
        assert client.session.closed_at is not None

    run(story())


def test_who_looks_whether_the_port_is_open_is_no_error_to_print():
    program = """
import asyncio
from urllib.parse import urlsplit
from bridge.sandbox.realtime import RealtimeServer

async def look():
    async with RealtimeServer() as model:
        _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(model.url).port)
        writer.close()
        await asyncio.sleep(0)

asyncio.run(look())
"""
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True)

    assert (ran.returncode, ran.stderr) == (0, "")
