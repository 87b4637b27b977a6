"""The demo's parts around its calls: the service's process, and what it refuses.

The calls themselves are `kolbridge demo`, which takes a minute.
"""

import asyncio
import sys

import pytest

from bridge.cli import main
from bridge.cli.demo import service
from bridge.cli.demo.script import BUSINESSES
from bridge.cli.demo.service import Bridge
from bridge.sandbox.caller import SANDBOX_AUTH_TOKEN
from bridge.sandbox.realtime import RealtimeServer
from bridge.sandbox.script import Script
from crm import businesses
from crm.database import Database
from tests.bridge import ws_peer

LISTENING = '{"message":"listening on 127.0.0.1:4242 as http://127.0.0.1:4242"}'
SAID = '{"call":"CA1","message":"[REALTIME] Connected"}'
OTHER = '{"call":"CA2","message":"[REALTIME] Greeting sent"}'


async def process(*lines, then="import time; time.sleep(60)"):
    """A process that writes these lines as the service writes its log."""
    text = "import sys\n" + "".join(
        f"sys.stderr.write({line + chr(10)!r})\n" for line in lines
    )
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", f"{text}sys.stderr.flush()\n{then}"),
        stderr=asyncio.subprocess.PIPE,
    )


def test_bridge_is_ready_when_it_says_where_it_listens(capsys):
    async def told():
        bridge = Bridge(await process(SAID, OTHER, LISTENING))
        await bridge.ready()

        assert bridge.url == "http://127.0.0.1:4242"
        assert bridge.said_of("CA1") == ["[REALTIME] Connected"]
        await bridge.stop()
        assert bridge.process.returncode not in (None, 0)

    ws_peer.run(told)

    shown = capsys.readouterr().out
    assert "CA1  [REALTIME] Connected" in shown
    assert "listening" not in shown


def test_bridge_that_does_not_start_is_told_in_its_own_words():
    async def told():
        bridge = Bridge(await process("no JSON", "cannot listen", then=""))
        with pytest.raises(RuntimeError, match="did not start: no JSON; cannot listen"):
            await bridge.ready()
        await bridge.stop()

    ws_peer.run(told)


def test_bridge_that_does_not_stop_is_ended(monkeypatch):
    monkeypatch.setattr(service, "STOP_S", 0.05)
    deaf = "import signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    deaf += f"sys.stderr.write({LISTENING + chr(10)!r}); sys.stderr.flush()\n"

    async def told():
        bridge = Bridge(await process(then=f"{deaf}import time; time.sleep(60)"))
        await bridge.ready()
        await bridge.stop()

        assert bridge.process.returncode == -9

    ws_peer.run(told)


def test_businesses_of_the_demo_are_made_as_they_are_described(embedded_url):
    async def told():
        db = await Database.open(embedded_url)
        try:
            for described in BUSINESSES:
                business_id = (await service.make(db, described)).id
                found = await businesses.find_by_number(db, described.number)
                assert (found.id, found.name) == (business_id, described.name)
                assert found.language == described.language
        finally:
            await db.close()

    ws_peer.run(told)


def test_service_is_told_of_the_sandbox_and_of_nothing_public(monkeypatch):
    monkeypatch.setenv("PUBLIC_URL", "https://bridge.example")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")

    async def told():
        model = RealtimeServer(Script())
        await model.start()
        try:
            return (
                model.url,
                model.api_key,
                service.environment("postgresql://x", model),
            )
        finally:
            await model.close()

    url, key, env = asyncio.run(told())

    assert (env["OPENAI_REALTIME_URL"], env["OPENAI_API_KEY"]) == (url, key)
    assert env["TWILIO_AUTH_TOKEN"] == SANDBOX_AUTH_TOKEN
    assert (env["HOST"], env["PORT"], env["DATABASE_URL"]) == (
        "127.0.0.1",
        "0",
        "postgresql://x",
    )
    assert "PUBLIC_URL" not in env


def test_live_demo_talks_to_openai_with_the_users_key(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")
    monkeypatch.delenv("OPENAI_REALTIME_URL", raising=False)

    env = service.environment("postgresql://x", None)

    assert env["OPENAI_REALTIME_URL"] == service.LIVE_URL
    assert env["OPENAI_API_KEY"] == "sk-real"


def test_live_demo_talks_to_where_the_user_says(monkeypatch):
    monkeypatch.setenv("OPENAI_REALTIME_URL", "wss://reseller.example/v1/realtime")

    env = service.environment("postgresql://x", None)

    assert env["OPENAI_REALTIME_URL"] == "wss://reseller.example/v1/realtime"


def test_live_demo_without_a_key_is_refused(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    out = tmp_path / "demo"

    assert main.main(["demo", "--live", "--out", str(out)]) == 2
    assert "--live needs OPENAI_API_KEY" in capsys.readouterr().out
    assert not out.exists()


def test_demo_without_matplotlib_says_what_to_install(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    assert main.main(["demo"]) == 2
    assert "kolbridge[analysis]" in capsys.readouterr().out
