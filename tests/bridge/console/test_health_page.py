"""The health page: what the processes keep up, for operators alone."""

import asyncio
import re
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from bridge.console.health_page import WEEK, Hours, curves_of
from crm import businesses, health
from crm.health import Sample, Span

HERE = "/console/health"


def run(story):
    asyncio.run(story())


async def checks_of(at):
    """Return the checks, as soon as there are any."""
    async with asyncio.timeout(10):
        while True:
            if found := await health.checks(at.database):
                return found
            await asyncio.sleep(0.02)


async def clear(at):
    async with at.database.owner() as connection:
        await connection.execute("delete from health_samples")
        await connection.execute("delete from health_checks")


def test_empty_page_says_when_there_will_be_more(desk):
    async def story():
        async with desk() as at:
            await clear(at)
            status, text = await at.operator.get(HERE)
            assert status == 200
            assert "Nothing was checked yet" in text
            assert "Nothing was measured yet" in text
            assert "health.js" not in text

    run(story)


def test_checks_samples_and_money_are_shown(desk):
    async def story():
        async with desk() as at:
            await clear(at)
            lines = [("fault", "settings", "PUBLIC_URL is <not> set"), ("ok", "a", "b")]
            await health.save_checks(at.database, "node-1", lines)
            for worker, lag_ms in ((0, 3.25), (1, 31.0)):
                await health.add_sample(
                    at.database,
                    Sample(
                        node="node-1",
                        worker=worker,
                        calls=4,
                        lag_ms_p99=lag_ms,
                        rx_frames=300,
                        forwarded_frames=60 * (worker + 1),
                        lag_counts=(490, 10, 0, 0, 0, 0, 0, 0, 0, 0),
                    ),
                )
            await businesses.set_setting(
                at.database, at.ours, "limit_cost_per_day", 12.5
            )
            _, text = await at.operator.get(HERE)
            assert "PUBLIC_URL is &lt;not&gt; set" in text
            assert "✗ to be fixed" in text
            assert "31 ms" in text
            found = re.search(r'id="curves-data">(.*?)</script>', text)[1]
            week = msgspec.json.decode(found)["week"]
            assert (week["calls"], week["worst_ms"]) == ([8], [31.0])
            assert week["late_ms"] == [pytest.approx(1.5)]
            assert week["gate_percent"] == [pytest.approx(30.0)]
            assert "30 %" in text
            (day,) = await health.spans(at.database, "day", health.KEPT)
            assert (day.calls_max, day.lag_ms_p99_max, day.gate_share) == (8, 31.0, 0.3)
            day = await health.day(at.database, at.ours, day.begins_at)
            assert day.own_limits == {"limit_cost_per_day": 12.5}

    run(story)


def test_curves_have_even_steps_and_a_gap_where_nothing_was_measured():
    def span(hour, calls, rx):
        return Span(
            begins_at=datetime(2026, 3, 2, hour, tzinfo=UTC),
            calls_max=calls,
            lag_ms_p99_max=4.0,
            rx_frames=rx,
            forwarded_frames=1,
            lag_counts=None,
        )

    hour = timedelta(hours=1)
    curves = curves_of([span(5, 3, 0), span(3, 2, 4), span(2, 1, 2)], hour)

    assert [at - curves.at[0] for at in curves.at] == [0, 3600, 7200, 10800]
    assert curves.calls == [1, 2, None, 3]
    assert curves.gate_percent == [50.0, 25.0, None, None]
    assert curves.late_ms == [None] * 4
    assert curves_of([], hour).at == []


def test_hours_that_are_over_are_read_once(desk):
    async def story():
        async with desk() as at:
            await clear(at)
            hours, now = Hours(), datetime.now(UTC)
            assert await hours.read(at.database, now) == []
            async with at.database.owner() as connection:
                add = (
                    "insert into health_samples (node, worker, at, calls, lag_ms_p99, "
                    "rx_frames, forwarded_frames) select 'n', 0, "
                    "date_trunc('hour', now()) - $1 * interval '1 hour', $1, 1, 0, 0"
                )
                for hours_ago in (0, 1, 4, 7):
                    await connection.execute(add, hours_ago)
            found = await hours.read(at.database, now)
            assert [one.calls_max for one in found] == [0, 1, 4, 7]

            async with at.database.owner() as connection:
                await connection.execute("update health_samples set calls = calls + 10")
            found = await hours.read(at.database, now)
            assert [one.calls_max for one in found] == [10, 11, 4, 7]
            later = now + WEEK - timedelta(hours=3)
            found = await hours.read(at.database, later)
            assert [one.calls_max for one in found] == [10, 11]
            await clear(at)

    run(story)


def test_old_samples_are_forgotten(desk):
    async def story():
        async with desk() as at:
            await clear(at)
            sample = Sample(
                node="n",
                worker=0,
                calls=0,
                lag_ms_p99=1.0,
                rx_frames=0,
                forwarded_frames=0,
            )
            await health.add_sample(at.database, sample)
            async with at.database.owner() as connection:
                await connection.execute(
                    "update health_samples set at = at - interval '9 days'"
                )
            await health.add_sample(at.database, sample)
            async with at.database.owner() as connection:
                count = "select count(*) from health_samples"
                assert await connection.fetchval(count) == 1

    run(story)


def test_page_is_for_operators_alone(desk):
    async def story():
        async with desk() as at:
            for browser in (at.owner, at.staff, at.other):
                assert (await browser.get(HERE))[0] == 404
                assert (await browser.post(f"{HERE}/check"))[0] == 404
            assert (await at.nobody.get(HERE))[0] == 303

    run(story)


def test_checks_run_on_request_and_are_kept(desk, monkeypatch):
    async def story():
        async def doctor():
            return [("warning", "numbers", "none asked")]

        monkeypatch.setattr("bridge.service.health.run_doctor", doctor)
        async with desk() as at:
            await clear(at)
            await at.operator.get(HERE)
            status, _ = await at.operator.post(f"{HERE}/check")
            assert status == 303
            found = await checks_of(at)
            assert (found[0].mark, found[0].text) == ("warning", "none asked")
            _, text = await at.operator.get(HERE)
            assert "none asked" in text

    run(story)
