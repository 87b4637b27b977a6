"""`kolbridge calls --summary`: figures of each business over days of its own."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import msgspec
import orjson
import pytest

from bridge.business.opening_hours import TenantError
from bridge.cli import calls_summary, main
from crm import businesses, calls
from crm.database import Database
from tests.bridge.records.test_summary import kept

TODAY = date(2026, 11, 28)


@pytest.mark.parametrize(
    ("since", "until", "found"),
    [
        (None, None, ("2026-10-30", "2026-11-28")),
        ("7d", None, ("2026-11-22", "2026-11-28")),
        ("1d", "2026-11-01", ("2026-11-01", "2026-11-01")),
        ("2026-11-01", "2026-11-02", ("2026-11-01", "2026-11-02")),
    ],
)
def test_period_is_of_whole_days(since, until, found):
    assert tuple(map(str, calls_summary.period(since, until, TODAY))) == found


@pytest.mark.parametrize(
    ("since", "until", "words"),
    [
        ("0d", None, "--since '0d': expected 2026-11-28 or 7d"),
        ("week", None, "--since 'week': expected"),
        (None, "28.11.2026", "--until '28.11.2026': expected"),
        ("2026-11-29", None, "--since 2026-11-29: expected a day before"),
    ],
)
def test_period_that_is_none_is_named(since, until, words):
    with pytest.raises(TenantError, match=words):
        calls_summary.period(since, until, TODAY)


@pytest.fixture
def told(embedded_url, monkeypatch, tmp_path, capsys):
    """A business in Jerusalem, called on the edges of a day; type a command at it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", embedded_url)
    name = f"Salon {uuid4().hex[:8]}"

    async def story():
        db = await Database.open(embedded_url, pool_max=1)
        salon = await businesses.create(db, name, time_zone="Asia/Jerusalem")
        # Midnight of the 21st there is 22:00 UTC of the 20th.
        begins = datetime(2026, 11, 20, 22, tzinfo=UTC)
        for at, changes in (
            (begins - timedelta(seconds=1), {}),
            (begins, {}),
            (begins + timedelta(hours=12), {"failed": True}),
            (begins + timedelta(hours=23), {"end_reason": "stream_failed"}),
            (begins + timedelta(hours=24), {}),
        ):
            made = kept(salon, f"CA{uuid4().hex}", **changes).call
            shift = at - made.started_at
            await calls.save(db, salon, moved(made, shift))
        await db.close()

    asyncio.run(story())

    def type_in(*words):
        code = main.main(["calls", "--business", name, *words])
        shown = capsys.readouterr()
        return code, shown.out.replace(name, "Salon"), shown.err

    return type_in


def moved(call, shift):
    return msgspec.structs.replace(
        call,
        started_at=call.started_at + shift,
        answered_at=call.answered_at + shift,
        ended_at=call.ended_at + shift,
        cost=None if call.failed else 0.25,
    )


def test_day_is_the_businesss_own(told):
    code, out, _ = told("--summary", "--since", "2026-11-21", "--until", "2026-11-21")

    lines = out.splitlines()
    assert code == 0
    assert lines[0] == "2026-11-21 to 2026-11-21, cost in USD"
    assert lines[1].split() == [
        "calls",
        "minutes",
        "failures",
        "fallbacks",
        "cost",
        "business",
    ]
    calls_, minutes, *others = lines[2].split()
    assert (calls_, others) == ("3", ["1", "2", "0.5000", "Salon"])
    assert 0 < float(minutes) <= 1.5
    assert lines[3] == "the cost leaves out 1 calls, whose model has no price"


def test_summary_is_json_too(told):
    _, out, _ = told(
        "--summary", "--since", "2026-11-20", "--until", "2026-11-22", "--json"
    )

    row = orjson.loads(out)
    assert (row["calls"], row["since"], row["business"]) == (5, "2026-11-20", "Salon")


def test_period_without_a_summary_is_refused(told):
    assert told("--since", "7d")[0] == 2
    assert "expected with --summary" in told("--until", "2026-11-01")[2]


def test_sum_of_all_businesses_is_a_line():
    row = {"calls": 1, "minutes": 2.0, "failures": 0, "fallbacks": 1, "cost": 0.5}
    rows = [{**row, "business": "a"}, {**row, "business": "b"}]

    summed = calls_summary.total(rows)
    assert (summed["calls"], summed["minutes"], summed["business"]) == (2, 4.0, "all")
