import argparse
import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiohttp import web

from bridge.cli import call
from bridge.sandbox.clips import clip
from bridge.sandbox.result import CallResult, MediaIn
from bridge.sandbox.sign import signature
from bridge.settings.process import Settings
from tests.sandbox.tiny_bridge import TinyBridge, until

VOICE = clip("caller-en-2").audio[:1600]


async def greet(bridge: TinyBridge, socket: web.WebSocketResponse) -> None:
    """Greet, answer one recording, and hang up."""
    await until(bridge, socket, "start")
    await bridge.say(socket, VOICE)
    await until(bridge, socket, "dtmf")
    await bridge.say(socket, VOICE)
    await bridge.send(socket, "mark", mark={"name": "last"})
    await until(bridge, socket, "mark")


@contextmanager
def running_bridge() -> Iterator[TinyBridge]:
    """Run a bridge in a thread of its own, as another process would."""
    bridge = TinyBridge(greet)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def wait_for(coroutine: object) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, loop).result(10)

    wait_for(bridge.__aenter__())
    try:
        yield bridge
    finally:
        wait_for(bridge.__aexit__())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def command(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    call.add_parser(parser.add_subparsers())
    return parser.parse_args(["call", *words])


@pytest.fixture(autouse=True)
def empty_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder without `.env`, and no settings around."""
    monkeypatch.chdir(tmp_path)
    for name in ("TWILIO_AUTH_TOKEN", "TWILIO_ACCOUNT_SID", "PUBLIC_URL"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_a_call_is_placed_saved_and_summed_up(
    empty_place: Path, capsys: pytest.CaptureFixture[str]
):
    Path(".env").write_text("TWILIO_AUTH_TOKEN=sandbox-token\n")
    (empty_place / "short.ulaw").write_bytes(VOICE)
    with running_bridge() as bridge:
        args = command(
            "short.ulaw",
            "--to=+15550100002",
            f"--url={bridge.url}",
            "--save=kept/call",
            "--digits=4",
            "--stay",
            "--stir-verstat=",
            "--patience=0.2",
            "--noise=noise-fan",
            "--noise-db=-10",
        )
        # A sentence of Twilio's own voice at the end is not a good call.
        assert args.run(args) == 1
        _, fields, headers = bridge.posts[0]

    assert fields["To"] == "+15550100002"
    assert "StirVerstat" not in fields
    assert headers["X-Twilio-Signature"] == signature(
        "sandbox-token", f"{bridge.url}/twilio/voice", fields
    )
    out = capsys.readouterr().out
    assert "says short" in out
    assert "ended by bridge" in out
    assert "Twilio says: Goodbye." in out
    kept = empty_place / "kept" / "call"
    assert (kept / "call.wav").read_bytes()[:4] == b"RIFF"
    assert VOICE in (kept / "heard.ulaw").read_bytes()
    assert len((kept / "said.ulaw").read_bytes()) % 160 == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none.wav",), "none.wav: expected an audio file"),
        (("caller-en-1", "--digits=12x"), "--digits 12x: expected 0 to 9"),
        (("caller-en-1", "--url=bridge:80"), "--url bridge:80: expected http"),
        (("caller-en-1", "--save=file"), "file"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_2(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
):
    Path("file").write_text("")
    args = command(*words, "--to=+15550100002")
    assert call.run(args) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_wrong_setting_is_one_line_and_exit_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setenv("TWILIO_ACCOUNT_SID", "AC1")
    assert call.run(command("caller-en-1", "--to=+15550100002")) == 2
    assert "TWILIO_ACCOUNT_SID" in capsys.readouterr().err


def test_a_bridge_that_is_not_there_is_exit_1(capsys: pytest.CaptureFixture[str]):
    args = command("caller-en-1", "--to=+15550100002", "--url=http://127.0.0.1:1")
    assert call.run(args) == 1
    out = capsys.readouterr().out
    assert "problem 11200 /twilio/voice" in out
    assert "nothing was heard of the AI" in out


def test_from_the_second_recording_on_he_may_interrupt():
    names = ["caller-en-1", "caller-en-interrupts", "caller-en-goodbye"]
    args = command(*names, "--to=+1555", "--interrupt-after=1500")
    kinds = [type(step).__name__ for step in call.steps(args)]
    assert kinds == [
        "WaitForAi",
        "Say",
        "InterruptAfter",
        "Say",
        "InterruptAfter",
        "Say",
        "WaitForAi",
        "HangUp",
    ]


def test_a_good_call_was_answered_by_the_ai_without_a_warning():
    def result(**fields: object) -> CallResult:
        filled: dict[str, object] = {"media": [MediaIn(0.0, 160)]} | fields
        return CallResult("CA1", "MZ1", **filled)

    assert call.is_good(result())
    assert not call.is_good(result(media=[]))
    assert not call.is_good(result(spoken=["Sorry."]))
    assert not call.is_good(result(warnings=["31951"]))
    assert "warning 31951" in call.summary(result(warnings=["31951"]))


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        (Settings(), "http://127.0.0.1:8080"),
        (Settings(host="::1", port=9000), "http://[::1]:9000"),
        (Settings(host="0.0.0.0"), "http://127.0.0.1:8080"),
        (Settings(host="::"), "http://[::1]:8080"),
    ],
)
def test_bridge_of_these_settings_is_called_by_default(settings, url):
    assert call._own_url(settings) == url
