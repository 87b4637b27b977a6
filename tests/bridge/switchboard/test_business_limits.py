"""A business's limits at its webhooks and in its calls; webhooks that come again."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from bridge.business.quotas import Limit
from bridge.settings.options import CallOptions
from bridge.switchboard import business_limits
from bridge.switchboard.business_limits import Admissions
from bridge.switchboard.ended import EndedCalls
from bridge.telemetry.metrics import Metrics
from crm import admissions as rows, businesses, calls, notices
from tests.bridge import running_service, ws_peer
from tests.bridge.service.test_webhooks import run, says

ANN, BEN = "+12025550123", "+12025550145"


async def limit(at, **settings):
    for name, value in settings.items():
        await businesses.set_setting(at.database, at.business_id, name, value)


async def end(at, sid):
    """End a call and have its record written."""
    written = at.server.metrics.value("records", outcome="written")
    await at.post("/twilio/call-status", CallSid=sid, CallStatus="completed")
    await ws_peer.until(
        lambda: at.server.metrics.value("records", outcome="written") > written
    )


async def note_used(at, seconds=0.0, cost=None):
    """Have the business used so much today, by a call that is over."""
    now = datetime.now(UTC)
    async with at.database.tenant(at.business_id) as connection:
        await connection.execute(
            "insert into admissions (business_id, call_sid, caller, admitted_at, "
            "ended_at, cost) values ($1, 'CAbefore', '', $2, $3, $4)",
            at.business_id,
            now,
            now + timedelta(seconds=seconds),
            cost,
        )


def is_stream(document):
    return document.find("Connect") is not None


def counted(at, name):
    return at.server.metrics.value("limits_reached", limit=name)


def test_calls_at_once_have_a_limit(database_url, tmp_path):
    async def told(at):
        await limit(at, limit_concurrent_calls=1)
        async with at.database.owner() as connection:
            await connection.execute(
                "update businesses set fallback_sentence = 'Later, please.' "
                "where id = $1",
                at.business_id,
            )
        first = running_service.new_sid()
        assert is_stream(await at.ring(first, From=ANN))
        refused = await at.ring(running_service.new_sid(), From=BEN)

        assert says(refused) == "Later, please."
        assert [verb.tag for verb in refused] == ["Say", "Hangup"]
        assert at.fallbacks("limit_concurrent_calls") == 1
        assert counted(at, "limit_concurrent_calls") == 1
        await end(at, first)
        assert is_stream(await at.ring(running_service.new_sid(), From=BEN))

    run(told, database_url, tmp_path)


def test_a_caller_has_a_limit_and_the_next_one_another(database_url, tmp_path):
    async def told(at):
        await limit(at, limit_calls_per_caller_per_hour=1)
        assert is_stream(await at.ring(running_service.new_sid(), From=ANN))

        assert not is_stream(await at.ring(running_service.new_sid(), From=ANN))
        assert at.fallbacks("limit_calls_per_caller_per_hour") == 1
        assert is_stream(await at.ring(running_service.new_sid(), From=BEN))
        # The refused call has left no trace: neither a lead's call nor a record.
        leads_calls = await at.database_value(
            "select calls from leads where phone = $1", ANN
        )
        assert leads_calls == 1

    run(told, database_url, tmp_path)


def test_callers_without_a_number_are_counted_together(database_url, tmp_path):
    async def told(at):
        await limit(at, limit_withheld_calls_per_hour=2)
        for hidden in ("anonymous", "+266696687"):
            assert is_stream(await at.ring(running_service.new_sid(), From=hidden))

        assert not is_stream(
            await at.ring(running_service.new_sid(), From="Restricted")
        )
        assert at.fallbacks("limit_withheld_calls_per_hour") == 1
        assert is_stream(await at.ring(running_service.new_sid(), From=ANN))

    run(told, database_url, tmp_path)


@pytest.mark.parametrize(
    ("setting", "used"),
    [
        ("limit_minutes_per_day", {"seconds": 61.0}),
        ("limit_cost_per_day", {"seconds": 1.0, "cost": 1.5}),
    ],
)
def test_day_that_is_used_up_takes_no_more(database_url, tmp_path, setting, used):
    async def told(at):
        await limit(at, **{setting: 1})
        await note_used(at, **used)
        assert not is_stream(await at.ring(running_service.new_sid(), From=ANN))

        assert at.fallbacks(setting) == 1
        await limit(at, **{setting: 100})
        assert is_stream(await at.ring(running_service.new_sid(), From=BEN))

    run(told, database_url, tmp_path)


def test_running_call_is_told_of_a_limit_that_comes_near(
    database_url, tmp_path, monkeypatch
):
    monkeypatch.setattr(business_limits, "LOOK_S", 0.01)

    async def told(at):
        await limit(at, limit_minutes_per_day=1)
        business_id = at.business_id
        await notices.add(
            at.database, business_id, "email", "a@b.com", ["limit.reached"]
        )
        sid = running_service.new_sid()
        token = running_service.parameters_of(await at.ring(sid, From=ANN))["token"]
        model, _ = await at.configured_model()
        peer = await at.stream(sid, token)
        time_limit = at.server.switchboard.find_driver(sid).call.time_limit
        assert time_limit.limit == ""
        await note_used(at, seconds=300.0)

        await ws_peer.until(lambda: time_limit.limit == "limit_minutes_per_day")
        assert counted(at, "limit_minutes_per_day") == 1
        told_of = []
        async with asyncio.timeout(10):
            while not told_of:
                told_of = await notices.log(at.database, business_id)
                await asyncio.sleep(0)
        assert told_of[0].data == {"limit": "limit_minutes_per_day"}
        await peer.close()
        await model.close()

    run(told, database_url, tmp_path)


def test_running_calls_tell_what_they_cost(database_url, tmp_path, monkeypatch):
    async def told(at):
        sid = running_service.new_sid()
        await at.ring(sid, From=ANN)
        line = at.server.switchboard.find_driver(sid)
        line.call.call_record.usage["input_tokens"] = 1_000_000
        admitted = at.server._admissions
        await admitted.look(at.business_id, [line], datetime.now(UTC))

        cost = await at.database_value(
            "select cost from admissions where call_sid = $1", sid
        )
        assert cost == 4.0
        # A model without a price costs nobody knows what.
        line.call.call_record.usage["transcription.input_tokens"] = 1
        admitted._prices = {}
        assert admitted._costs([line]) == {sid: None}

    run(told, database_url, tmp_path)


def test_process_goes_by_its_own_calls_while_limits_cannot_be_asked_for(
    database_url, tmp_path, monkeypatch
):
    async def broken(*args, **kwargs):
        raise asyncpg.UndefinedTableError("no such table")

    async def told(at):
        await limit(at, limit_concurrent_calls=3, limit_calls_per_caller_per_hour=2)
        assert is_stream(await at.ring(running_service.new_sid(), From=ANN))
        monkeypatch.setattr(rows, "admit", broken)
        assert is_stream(await at.ring(running_service.new_sid(), From=ANN))

        assert not is_stream(await at.ring(running_service.new_sid(), From=ANN))
        assert counted(at, "limit_calls_per_caller_per_hour") == 1
        assert is_stream(await at.ring(running_service.new_sid(), From=BEN))
        assert not is_stream(await at.ring(running_service.new_sid(), From="anonymous"))
        assert counted(at, "limit_concurrent_calls") == 1

    run(told, database_url, tmp_path)


def test_database_that_is_known_to_be_away_is_not_asked(database_url, monkeypatch):
    async def never(*args, **kwargs):
        raise AssertionError

    monkeypatch.setattr(rows, "admit", never)

    async def told():
        metrics = Metrics()
        ours = Admissions(None, metrics, {})
        options = CallOptions(limit_withheld_calls_per_hour=1)
        asked = []
        for minutes in (0, 1, 62):
            now = datetime(2026, 11, 21, 12, tzinfo=UTC) + timedelta(minutes=minutes)
            asked.append(
                await ours.admit(
                    UUID(int=1), "CA1", None, options, now, is_database_down=True
                )
            )
        assert asked == [None, Limit.WITHHELD_CALLS, None]
        assert metrics.value("limits_unknown") == 3

    asyncio.run(told())


def test_limits_that_cannot_be_asked_for_cost_no_call(
    database_url, tmp_path, monkeypatch, caplog
):
    async def broken(*args, **kwargs):
        raise asyncpg.UndefinedTableError("no such table")

    monkeypatch.setattr(rows, "admit", broken)
    monkeypatch.setattr(rows, "see", broken)
    monkeypatch.setattr(business_limits, "LOOK_S", 0.01)

    async def told(at):
        assert is_stream(await at.ring(running_service.new_sid(), From=ANN))
        unknown = at.server.metrics.value("limits_unknown")
        assert unknown >= 1
        await ws_peer.until(
            lambda: at.server.metrics.value("limits_unknown") > unknown + 1
        )

    run(told, database_url, tmp_path)
    assert "limits are not known: UndefinedTableError" in caplog.messages


# --- webhooks that come again ---


@pytest.mark.parametrize("is_remembered", [True, False])
def test_webhook_of_a_call_that_is_over_opens_nothing(
    database_url, tmp_path, is_remembered
):
    async def told(at):
        sid = running_service.new_sid()
        await at.ring(sid, From=ANN)
        await at.model.peers.get()
        await end(at, sid)
        if not is_remembered:
            # As after a restart, or in another process: the database knows.
            at.server.switchboard._ended = EndedCalls()
        for _ in range(3):
            document = await at.ring(sid, From=ANN)
            assert [verb.tag for verb in document] == ["Hangup"]

        assert at.server.metrics.value("repeated_webhooks") == 3
        assert at.model.peers.empty()
        assert list(at.server.switchboard.live_calls()) == []
        assert len(await calls.recent(at.database, at.business_id)) == 1
        assert await at.database_value("select calls from leads") == 1

    run(told, database_url, tmp_path)


def test_webhook_of_a_call_that_has_failed_meanwhile_is_answered_with_a_word(
    database_url, tmp_path
):
    """Its first answer may never have reached Twilio."""

    async def told(at):
        at.model.status = b"401 Unauthorized"
        sid = running_service.new_sid()
        await at.ring(sid, From=ANN)
        await ws_peer.until(lambda: at.server.switchboard.find_ended(sid))
        document = await at.ring(sid, From=ANN)

        assert says(document).startswith("Sorry")
        assert at.fallbacks("model_unreachable") == 1
        assert at.server.metrics.value("repeated_webhooks") == 1

    run(told, database_url, tmp_path)


def test_webhook_of_a_call_that_runs_has_the_same_answer(database_url, tmp_path):
    async def told(at):
        await limit(at, limit_concurrent_calls=1, limit_calls_per_caller_per_hour=1)
        sid = running_service.new_sid()
        first, second = await asyncio.gather(
            at.ring(sid, From=ANN), at.ring(sid, From=ANN)
        )
        third = await at.ring(sid, From=ANN)

        parameters = [
            running_service.parameters_of(one) for one in (first, second, third)
        ]
        assert parameters[0] == parameters[1] == parameters[2]
        assert len(list(at.server.switchboard.live_calls())) == 1

    run(told, database_url, tmp_path)
