"""The checklist: each line's ✓, and what it says to do."""

import argparse
import asyncio
import os
from contextlib import asynccontextmanager
from datetime import date
from uuid import uuid4

import msgspec
import pytest

from bridge.cli.doctor import (
    call_checks,
    checklist,
    database_checks,
    model_checks,
    settings_checks,
)
from bridge.line import websocket
from bridge.sandbox.realtime import RealtimeServer
from bridge.settings.options import CallOptions
from bridge.settings.process import Settings
from crm import businesses, calls, leads
from crm.database import Database
from tests.bridge import ws_peer
from tests.crm.test_pgbouncer import PGBOUNCER, pooled

TOKEN = {"TWILIO_AUTH_TOKEN": "12345", "OPENAI_API_KEY": "sk-x"}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(websocket, "CLOSE_WAIT_S", 0.05)
    monkeypatch.setattr(model_checks, "SESSION_WAIT_S", 3.0)


def told(story_of, url):
    """Tell a story with a database and a business of its own."""

    async def story():
        database = await Database.open(url)
        try:
            business_id = await businesses.create(database, f"Salon {uuid4().hex[:6]}")
            await story_of(database, business_id)
        finally:
            await database.close()

    ws_peer.run(story)


@pytest.mark.parametrize(("mode", "count"), [(0o644, 1), (0o640, 0)])
def test_file_of_keys_that_everybody_can_read_is_a_warning(tmp_path, mode, count):
    (dotenv := tmp_path / ".env").touch(mode)
    dotenv.chmod(mode)
    _, checks = settings_checks.check_settings({}, dotenv)

    assert sum("every user of this" in str(check) for check in checks) == count


def test_settings_that_cannot_be_read_end_the_list(tmp_path):
    settings, checks = settings_checks.check_settings({"PORT": "x"}, tmp_path / ".env")

    assert settings is None
    assert [str(check)[:24].rstrip() for check in checks] == [
        "✗ settings: PORT='x': ex",
        "✗ settings: TWILIO_AUTH_",
        "✗ settings: OPENAI_API_K",
    ]


def test_missing_settings_are_each_a_line(tmp_path):
    _, checks = settings_checks.check_settings({}, tmp_path / ".env")

    assert [check.text.split()[0] for check in checks if not check.ok] == [
        "TWILIO_AUTH_TOKEN",
        "OPENAI_API_KEY",
        "PUBLIC_URL",
    ]


def test_complete_settings_are_well(tmp_path):
    env = {**TOKEN, "PUBLIC_URL": "https://bridge.example"}
    _, checks = settings_checks.check_settings(env, tmp_path / ".env")

    shown = [str(check) for check in checks]
    assert shown.pop(1).startswith("✓ open files: 2574 needed of ")
    assert shown == [
        "✓ settings: complete",
        "✓ costs: by the vendor's prices of October 2026, in US dollars",
    ]


def test_doctor_says_which_model_has_no_price(tmp_path):
    for env, text in (
        (
            {"OPENAI_MODEL": "own", "OPENAI_TRANSCRIPTION_MODEL": "ours"},
            "! costs: calls are written without: OPENAI_PRICES has no price of own and "
            "ours",
        ),
        (
            {"OPENAI_PRICES": '{"gpt-realtime-2.1": {}, "gpt-transcribe": {}}'},
            "✓ costs: by OPENAI_PRICES",
        ),
    ):
        _, checks = settings_checks.check_settings(env, tmp_path / ".env")
        assert str(checks[-1]) == text


def test_tenants_are_apart(database_url):
    async def story(database, business_id):
        (check,) = await database_checks.check_isolation(database)
        assert check.ok

    told(story, database_url)


class NoBusinesses:
    """A database without any."""

    @asynccontextmanager
    async def owner(self):
        yield self

    async def fetch(self, *query):
        return []


class Leaky:
    """A database that forgot its policies."""

    def __init__(self, database):
        self._database = database
        self.tenant_of = None

    def owner(self):
        return self._database.owner()

    def tenant(self, business_id):
        return self._database.owner()


def test_rows_of_others_that_can_be_seen_are_said(database_url):
    async def story(database, business_id):
        other = await businesses.create(database, "Other")
        await leads.touch(database, other, "+15550000001")
        await leads.touch(database, business_id, "+15550000001")
        (check,) = await database_checks.check_isolation(Leaky(database))
        assert not check.ok
        assert "rows of other tenants are visible" in check.text

    told(story, database_url)


def test_rows_of_others_that_could_be_written_are_noticed(database_url):
    async def story(database, business_id):
        leaky = Leaky(database)
        assert await database_checks._can_write(leaky, business_id, uuid4())
        assert await database_checks._can_write(leaky, business_id, business_id)

    told(story, database_url)


def test_signatures_are_checked_against_the_public_url(database_url, tmp_path):
    async def story(database, business_id):
        settings = Settings(
            public_url="https://bridge.example", kolbridge_home=str(tmp_path)
        )
        (check,) = await call_checks.check_signatures(settings, database)
        assert str(check) == "✓ signatures: checked against https://bridge.example"

    told(story, database_url)


@pytest.mark.parametrize(
    ("key", "options", "found"),
    [
        ("sk-sandbox", {}, "✓ model: gpt-realtime-2.1 with voice shimmer is ready"),
        ("sk-wrong", {}, "✗ model: [REALTIME] model_unreachable: HTTP 401"),
        (
            "sk-sandbox",
            {"openai_transcription_model": "none-such"},
            "✗ model: [REALTIME] session_refused",
        ),
    ],
)
def test_model_is_asked_for_a_session_as_a_call_does(key, options, found):
    async def story():
        async with RealtimeServer() as model:
            settings = Settings(
                openai_realtime_url=model.url,
                openai_api_key=key,
                call=CallOptions(**options),
            )
            check, *_ = await model_checks.check_model(settings, NoBusinesses())
            assert str(check).startswith(found)

    ws_peer.run(story)


def test_each_business_is_called_and_nothing_is_kept(database_url, tmp_path):
    async def story(database, business_id):
        number = f"+1555{uuid4().int % 10**9:09}"
        await businesses.add_number(database, business_id, number)
        business = await businesses.get(database, business_id)
        wrong = await businesses.create(database, "Wrong")
        await businesses.add_number(database, wrong, f"+1555{uuid4().int % 10**9:09}")
        await businesses.set_setting(database, wrong, "openai_voice", "fable")
        found = {}
        settings = Settings(kolbridge_home=str(tmp_path))
        only_mine(database, business_id, wrong)
        for check in await call_checks.check_calls(settings, database):
            found[check.name] = check

        assert found[f"call to {business.name}"].ok
        assert "OPENAI_VOICE='fable'" in found["call to Wrong"].text
        assert await calls.recent(database, business_id) == []

    def only_mine(database, *mine):
        async def listed(db):
            return [(business_id, "") for business_id in mine]

        monkeypatch.setattr(businesses, "list_all", listed)

    with pytest.MonkeyPatch.context() as monkeypatch:
        told(story, database_url)


def test_business_without_a_number_is_told_to_get_one():
    business = businesses.Business(
        id=uuid4(),
        name="x",
        language="en",
        country="US",
        time_zone="UTC",
        greeting="",
        custom_prompt="",
        fallback_sentence="",
    )

    assert "it has no number" in call_checks._wrong_business(business, Settings())
    numbered = msgspec.structs.replace(business, numbers=("+15550000001",))
    assert call_checks._wrong_business(numbered, Settings()) is None


def test_list_ends_with_how_many_need_attention(
    database_url, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    for name in ("TWILIO_AUTH_TOKEN", "OPENAI_API_KEY", "PUBLIC_URL", "HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("OPENAI_REALTIME_URL", "ws://127.0.0.1:9/v1/realtime")

    async def none(*args):
        return []

    monkeypatch.setattr(checklist, "check_calls", none)
    before = os.umask(0o022)
    try:
        code = checklist.run(argparse.Namespace())
    finally:
        os.umask(before)

    left = [path for path in (tmp_path / ".data").rglob("*") if path.is_dir()]
    assert left
    assert {path.stat().st_mode & 0o777 for path in left} == {0o700}
    shown = capsys.readouterr().out
    assert code == 1
    assert "✓ tenant isolation" in shown
    assert "✗ service role: the role " in shown
    assert "could read every tenant: it is, or may act as" in shown
    assert "✓ signatures" in shown
    assert "✗ model" in shown
    assert "need attention" in shown


def test_database_that_cannot_be_had_ends_the_list(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")

    assert checklist.run(argparse.Namespace()) == 1
    assert "✗ database: start it or set DATABASE_URL" in capsys.readouterr().out


def test_settings_that_are_wrong_are_exit_2(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PORT", "x")

    assert checklist.run(argparse.Namespace()) == 2
    assert asyncio.iscoroutinefunction(checklist.check_calls)


def test_unknown_names_are_said_and_are_no_fault(tmp_path):
    env = {**TOKEN, "PUBLIC_URL": "https://bridge.example", "KOLBRIDGE_DIR": "x"}
    _, checks = settings_checks.check_settings(env, tmp_path / ".env")

    (told,) = [check for check in checks if check.warns]
    assert str(told).startswith("! settings: KOLBRIDGE_DIR is no setting")
    assert told.ok


@pytest.mark.parametrize(
    ("model", "today", "found"),
    [
        ("gpt-realtime-2.1", date(2030, 1, 1), []),
        (
            "gpt-realtime",
            date(2027, 1, 10),
            [
                "! model of us: OPENAI_MODEL=gpt-realtime is switched off by the "
                "vendor on 2027-01-20, in 10 days: choose another"
            ],
        ),
        (
            "gpt-realtime",
            date(2027, 1, 20),
            [
                "✗ model of us: OPENAI_MODEL=gpt-realtime is switched off by the "
                "vendor on 2027-01-20: choose another"
            ],
        ),
        (
            "gpt-4o-realtime-preview-2024-12-17",
            date(2026, 11, 28),
            [
                "✗ model of us: OPENAI_MODEL=gpt-4o-realtime-preview-2024-12-17 is "
                "switched off by the vendor on 2026-05-01: choose another"
            ],
        ),
    ],
)
def test_model_that_will_be_switched_off_is_said(model, today, found):
    options = CallOptions(openai_model=model)

    checks = settings_checks.check_shutdowns("us", options, today)
    assert [str(check) for check in checks] == found


def test_each_business_has_a_session_as_its_callers_do(
    embedded_url, tmp_path, monkeypatch
):
    async def story(database, business_id):
        number = f"+1555{uuid4().int % 10**9:09}"
        await businesses.add_number(database, business_id, number)
        name = (await businesses.get(database, business_id)).name
        wrong = await businesses.create(database, "Wrong")
        await businesses.add_number(database, wrong, f"+1555{uuid4().int % 10**9:09}")
        await businesses.set_setting(
            database, wrong, "openai_transcription_model", "none-such"
        )

        async def listed(db):
            return [(business_id, name), (wrong, "Wrong")]

        monkeypatch.setattr(businesses, "list_all", listed)
        async with RealtimeServer() as model:
            settings = Settings(
                openai_realtime_url=model.url,
                openai_api_key=model.api_key,
                kolbridge_home=str(tmp_path),
            )
            checks = await model_checks.check_model(settings, database)

        found = {check.name: str(check) for check in checks}
        assert found[f"model of {name}"].startswith(
            f"✓ model of {name}: takes its prompt, voice shimmer and "
        )
        assert found["model of Wrong"].startswith("✗ model of Wrong: [REALTIME] ")
        assert await leads.recent(database, business_id) == []

    told(story, embedded_url)


def test_pooler_in_transaction_mode_shows_unless_it_is_said(embedded_url):
    if PGBOUNCER is None:
        pytest.skip("pgbouncer is not installed")

    async def story(url):
        for said, mark in ((False, "✗"), (True, "✓")):
            settings = Settings(db_pgbouncer=said, database_pool_size=6)
            checks = await database_checks.check_pool(settings, url)
            assert str(checks[-1]).startswith(f"{mark} connections: ")
            assert said or "set DB_PGBOUNCER=1" in checks[-1].text

    with pooled(embedded_url) as url:
        asyncio.run(story(url))


def test_connections_that_the_server_does_not_take_are_said(embedded_url):
    async def story():
        settings = Settings(database_pool_size=100, workers=64)
        total, pool = await database_checks.check_pool(settings, embedded_url)
        assert "64 workers may open 6400" in total.text
        assert pool.ok

    ws_peer.run(story)
