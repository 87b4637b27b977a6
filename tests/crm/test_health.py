"""How late the loops were: percentiles of any span, from counts."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from crm import health
from crm.database import Database
from crm.health import LAG_BOUNDS_MS, Sample, Span, days_of, percentile_99

SAMPLE = Sample(
    node="n", worker=0, calls=1, lag_ms_p99=9.0, rx_frames=100, forwarded_frames=25
)


def counts(**by_bound):
    """Return counts: `under_5=3` are three looks from 2 to 5 ms late."""
    bounds = [f"under_{bound:g}" for bound in LAG_BOUNDS_MS]
    return tuple(by_bound.get(name, 0) for name in (*bounds, "over"))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (counts(), None),
        (counts(under_1=1000), 0.99),
        # 990 of 1,000 are in the first, so all of it.
        (counts(under_1=990, under_20=10), 1.0),
        # The 990th is half of the way through the second.
        (counts(under_1=980, under_2=20), 1.5),
        (counts(under_1=10, over=90), 500.0),
    ],
)
def test_percentile_of_counts(given, expected):
    assert percentile_99(given) == (expected and pytest.approx(expected))


def test_spans_add_up_what_all_processes_counted(database_url):
    async def story():
        db = await Database.open(database_url)
        try:
            async with db.owner() as connection:
                await connection.execute("delete from health_samples")
            assert await health.spans(db, "hour", health.KEPT) == []
            older = msgspec.structs.replace(SAMPLE, node="older")
            await health.add_sample(db, older)
            (span,) = await health.spans(db, "hour", health.KEPT)
            assert (span.lag_counts, span.lag_ms_p99) == (None, None)

            for worker, found in ((0, counts(under_1=980)), (1, counts(under_2=20))):
                sample = msgspec.structs.replace(
                    SAMPLE, worker=worker, lag_counts=found
                )
                await health.add_sample(db, sample)
            (span,) = await health.spans(db, "hour", health.KEPT)
            assert span.lag_ms_p99 == pytest.approx(1.5)
            assert (span.lag_ms_p99_max, span.gate_share) == (9.0, 0.25)
            assert span.calls_max == 3
        finally:
            async with db.owner() as connection:
                await connection.execute("delete from health_samples")
            await db.close()

    asyncio.run(story())


def test_days_are_made_of_their_hours():
    def span(at, calls, found):
        return Span(
            begins_at=at,
            calls_max=calls,
            lag_ms_p99_max=float(calls),
            rx_frames=10 * calls,
            forwarded_frames=calls,
            lag_counts=found,
        )

    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    hours = [
        span(noon, 2, counts(under_1=980)),
        span(noon - timedelta(hours=1), 5, counts(under_2=20)),
        span(noon - timedelta(hours=2), 1, None),
        span(noon - timedelta(hours=24), 7, None),
    ]
    today, before = days_of(hours)

    assert today.begins_at == noon.replace(hour=0)
    assert (today.calls_max, today.lag_ms_p99_max, today.gate_share) == (5, 5.0, 0.1)
    assert today.lag_ms_p99 == pytest.approx(1.5)
    assert (before.calls_max, before.lag_counts) == (7, None)
