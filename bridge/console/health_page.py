"""Health, for operators: checks, nodes, how late the loops were, money against limits.

The page reads what the processes keep up in the background, and starts no check itself
but on request, in another process.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID

import msgspec
from aiohttp import web
from markupsafe import Markup

from bridge.console.console import CONSOLE, OPERATOR, ROOT, VIEWER, Console, MenuItem
from bridge.console.language import N_
from bridge.console.rendering import render
from crm import accounts, health, nodes
from crm.database import Database
from crm.health import Span
from crm.nodes import Node

HERE = f"{ROOT}/health"
BUSINESS_ROWS = 20
NOW = 5
READ_AGAIN = timedelta(hours=2)
HOUR, WEEK = timedelta(hours=1), timedelta(days=8)
MENU = (MenuItem(N_("Health"), HERE, (OPERATOR,)),)


class Spent(NamedTuple):
    """What a business used today, against its limits; 0 is no limit."""

    id: UUID
    name: str
    cost: float
    cost_max: float
    minutes: float
    minutes_max: float
    running: int

    @property
    def is_near(self) -> bool:
        """Whether a limit is reached to nine tenths."""
        return any(
            most and used >= 0.9 * most
            for used, most in (
                (self.cost, self.cost_max),
                (self.minutes, self.minutes_max),
            )
        )


class Curves(msgspec.Struct, frozen=True):
    """What the page draws of some spans, by even steps; None is a gap."""

    # Seconds since 1970.
    at: list[int]
    late_ms: list[float | None]
    worst_ms: list[float | None]
    calls: list[int | None]
    gate_percent: list[float | None]


def curves_of(spans: Sequence[Span], step: timedelta) -> Curves:
    """Return the curves of spans of one length, newest first."""
    by_time = {round(one.begins_at.timestamp()): one for one in spans}
    step_s = round(step.total_seconds())
    at = [*range(min(by_time), max(by_time) + 1, step_s)] if by_time else []
    found = [by_time.get(second) for second in at]
    shares = [None if one is None else one.gate_share for one in found]
    return Curves(
        at,
        [None if one is None else one.lag_ms_p99 for one in found],
        [None if one is None else one.lag_ms_p99_max for one in found],
        [None if one is None else one.calls_max for one in found],
        [None if share is None else share * 100 for share in shares],
    )


class Hours:
    """The hours of the last WEEK. Those that are over are read once: of several nodes
    they are made of many rows."""

    def __init__(self) -> None:
        self._kept: dict[datetime, Span] = {}

    async def read(self, database: Database, now: datetime) -> list[Span]:
        """Return the hours, newest first."""
        since = WEEK
        if self._kept:
            since = min(WEEK, now - max(self._kept) + READ_AGAIN)
        found = await health.spans(database, "hour", since)
        for span in found:
            # Of the oldest hour only a part may have been read.
            if span.begins_at > now - since or span.begins_at not in self._kept:
                self._kept[span.begins_at] = span
        for gone in [at for at in self._kept if at < now - WEEK]:
            del self._kept[gone]
        return [self._kept[at] for at in sorted(self._kept, reverse=True)]


HOURS = web.AppKey("health_hours", Hours)


def _database(request: web.Request) -> Database:
    if not request[VIEWER].is_operator:
        raise web.HTTPNotFound
    return request.config_dict[CONSOLE].database


async def show(request: web.Request) -> web.StreamResponse:
    """Show the page; to others than operators there is none."""
    database = _database(request)
    console = request.config_dict[CONSOLE]
    after = (request.query.get("after", ""), request.query.get("id", ""))
    seen = await accounts.businesses_of(
        database, request[VIEWER].user_id, after, BUSINESS_ROWS + 1
    )
    checks = await health.checks(database)
    minutes = await health.spans(database, "minute", HOUR)
    hours = await request.config_dict[HOURS].read(database, datetime.now(UTC))
    curves = {
        "hour": curves_of(minutes, timedelta(minutes=1)),
        "week": curves_of(hours, HOUR),
    }
    return await render(
        request,
        "health/health.html",
        checks=checks,
        faults=sum(one.mark == "fault" for one in checks),
        is_checking=console.health is not None and console.health.is_checking,
        can_check=console.health is not None,
        nodes=[(one, _state(one)) for one in await nodes.every(database)],
        late_now_ms=health.lag_ms_p99_of(minutes[:NOW]),
        late_ms=health.lag_ms_p99_of(hours),
        minutes=minutes,
        hours=hours,
        days=health.days_of(hours),
        # Numbers alone: nothing in it could end the element that it stands in.
        curves=Markup(msgspec.json.encode(curves).decode()),
        spent=[await _spent(console, one.id, one.name) for one in seen[:BUSINESS_ROWS]],
        last=seen[BUSINESS_ROWS - 1] if len(seen) > BUSINESS_ROWS else None,
        check_minutes=console.settings.health_check_minutes,
    )


def _state(node: Node) -> str:
    if node.is_stale:
        return "stale"
    return "draining" if node.is_draining or node.drain_asked else "up"


async def _spent(console: Console, business_id: UUID, name: str) -> Spent:
    day = await health.day(console.database, business_id, datetime.now(UTC))
    cost_max, minutes_max = (
        float(day.own_limits.get(limit, getattr(console.settings.call, limit)))
        for limit in health.LIMITS
    )
    usage = day.usage
    return Spent(
        business_id,
        name,
        usage.cost_today + usage.written_cost_today,
        cost_max,
        usage.seconds_today / 60,
        minutes_max,
        usage.running,
    )


async def check_now(request: web.Request) -> web.StreamResponse:
    """Have the checks of this node run."""
    _database(request)
    port = request.config_dict[CONSOLE].health
    if port is None:
        raise web.HTTPNotFound
    port.check_now()
    return web.Response(status=303, headers={"Location": HERE})


def add_routes(app: web.Application, console: Console) -> None:
    """Add the page."""
    app[HOURS] = Hours()
    app.router.add_get("/health", show)
    app.router.add_post("/health/check", check_now)
