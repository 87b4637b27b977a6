"""`kolbridge calls --summary`: totals of each business's calls over a period."""

import argparse
from datetime import date, timedelta
from typing import Any
from uuid import UUID

import msgspec

from bridge.business.opening_hours import TenantError
from crm import calls
from crm.database import Database

# The period that is shown by default.
DAYS = 30
_HEAD = ("calls", "minutes", "failures", "fallbacks", "cost", "business")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose a summary and its period."""
    parser.add_argument(
        "--summary",
        action="store_true",
        help="total calls, minutes, failures, fallbacks and cost per business",
    )
    parser.add_argument(
        "--since", metavar="DAY", help=f"first day, or a number of days: 7d ({DAYS}d)"
    )
    parser.add_argument("--until", metavar="DAY", help="last day, inclusive (today)")


async def show(
    args: argparse.Namespace,
    db: Database,
    found: list[tuple[UUID, str]],
    currency: str,
) -> None:
    """Print a line for each business and one for all; days are in each one's zone."""
    first, last = period(args.since, args.until, date.today())
    rows = [
        {"business": name, **dict(await calls.summary(db, business_id, first, last))}
        for business_id, name in found
    ]
    if args.json:
        span = {"since": first, "until": last}
        for row in rows:
            print(msgspec.json.encode({**span, **row}).decode())
        return
    print(f"{first} to {last}, cost in {currency}")
    print(_line(dict(zip(_HEAD, _HEAD, strict=True))))
    for row in [*rows, total(rows)] if len(rows) > 1 else rows:
        print(_line(row))
    without = sum(row["uncosted"] for row in rows)
    if without:
        print(f"the cost leaves out {without} calls, whose model has no price")


def period(since: str | None, until: str | None, today: date) -> tuple[date, date]:
    """Return the first and the last day; raises TenantError."""
    last = today if until is None else _day("--until", until)
    text = f"{DAYS}d" if since is None else since
    if text.endswith("d") and text[:-1].isdecimal() and 1 <= int(text[:-1]) <= 36_600:
        return last - timedelta(days=int(text[:-1]) - 1), last
    first = _day("--since", text)
    if first > last:
        raise TenantError(f"--since {first}: expected a day before {last}")
    return first, last


def total(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the sum of all businesses."""
    summed: dict[str, Any] = {
        name: sum(row[name] for row in rows) for name in _HEAD if name != "business"
    }
    return {**summed, "business": "all"}


def _day(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise TenantError(f"{option} {text!r}: expected 2026-11-28 or 7d") from None


def _line(row: dict[str, Any]) -> str:
    numbers = [row[name] for name in _HEAD[:-1]]
    shown = [
        f"{number:.1f}" if name == "minutes" and number != name else str(number)
        for name, number in zip(_HEAD, numbers, strict=False)
    ]
    if row["cost"] != "cost":
        shown[-1] = f"{row['cost']:.4f}"
    return "".join(f"{text:>11}" for text in shown) + f"  {row['business']}"
