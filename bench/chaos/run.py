"""Nodes are killed, frozen and drained under calls: no call and no record is lost.

Three nodes stand behind HAProxy, with one PostgreSQL. Calls come in waves, and a node
takes each wave. It is then killed in the first second, in the greeting, in a sentence,
in a tool before or after its commit, or at any moment; or frozen for ten seconds; or
all nodes are drained in turn. A node that was killed is started again under its name.
The sandbox's Twilio asks what follows a lost stream, and has a REST API by which calls
are moved.

    python -m bench chaos --calls 60 --seed 7
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import orjson
import uvloop

from bench.chaos.calls import SOUND, Visit
from bench.chaos.faults import FAULTS
from bench.chaos.nodes import LOG
from bench.chaos.scene import Chaos
from bench.command_line import parser_of
from bench.machine import spread
from crm.connect import open_url

WAVE = 6
# After the last call, until the model's sessions are counted.
QUIET_S = 10.0

Figures = dict[str, Any]


async def drive(
    run: Chaos, calls: int, kinds: Sequence[str], quiet_s: float = QUIET_S
) -> Figures:
    """Place the calls in waves; return the figures."""
    async with run.running():
        left, nodes = calls, cycle(run.nodes)
        for kind in cycle(kinds):
            if not left:
                break
            size = min(WAVE, left)
            left -= size
            print(f"{kind}: {size} calls", file=sys.stderr)
            await run.wave(next(nodes), FAULTS[kind], size)
        await asyncio.sleep(quiet_s)
        return await _figures(run)


async def _figures(run: Chaos) -> Figures:
    words: dict[str, list[float]] = {"killed": [], "frozen": []}
    for visit in run.visits:
        assert visit.result is not None, "all calls are over"
        visit.hits = run.hits.get(visit.result.call_sid, [])
        for kind, seconds in visit.next_words_s():
            words["frozen" if kind == "frozen" else "killed"].append(seconds)
    heard = [visit.times_heard() for visit in run.visits]
    return {
        "balancer": run.balancer.name,
        "calls": len(run.visits),
        "calls_hit": sum(bool(visit.hits) for visit in run.visits),
        "calls_lost": sum(map(_is_lost, run.visits)),
        "next_words_s": spread(words["killed"]),
        "next_words_after_freeze_s": spread(words["frozen"]),
        "heard_again": len(words["killed"] + words["frozen"]),
        "moved_by_rest": run.api.updates,
        "sentences": len(heard) * len(SOUND),
        "sentences_twice": sum(n > 1 for one in heard for n in one.values()),
        "sentences_cut": sum(n < 1 for one in heard for n in one.values()),
        "sessions_open": len(run.realtime.open_sessions),
        "violations": sum(len(one.violations) for one in run.realtime.sessions),
        **await _rows(run),
        "lost": list(map(_told, filter(_is_lost, run.visits))),
        "not_heard_once": [
            {"hits": [kind for _, kind in visit.hits], **times}
            for visit, times in zip(run.visits, heard, strict=True)
            if any(n != 1 for n in times.values())
        ],
    }


async def _rows(run: Chaos) -> Figures:
    """Return how many records and bookings the calls have too few or too many."""
    async with run.database.owner() as connection:
        rows = await connection.fetch(
            "select call_sid from calls where business_id = $1", run.business_id
        )
        booked = await connection.fetch(
            "select l.phone from appointments a join leads l on l.id = a.lead_id "
            "where a.business_id = $1 and a.status = 'booked'",
            run.business_id,
        )
        owners = await connection.fetchval("select count(*) from call_owners")
    records = Counter(row["call_sid"] for row in rows)
    bookings = Counter(row["phone"] for row in booked)
    sids = [visit.result.call_sid for visit in run.visits if visit.result]
    return {
        "records_lost": sum(records[sid] == 0 for sid in sids),
        "records_twice": sum(records[sid] > 1 for sid in sids),
        "bookings_lost": sum(bookings[visit.phone] == 0 for visit in run.visits),
        "bookings_twice": sum(bookings[visit.phone] > 1 for visit in run.visits),
        "owners_left": owners,
    }


def _is_lost(visit: Visit) -> bool:
    result = visit.result
    assert result is not None, "the call is over"
    return result.ended_by in ("network", "nobody") or bool(result.spoken)


def _told(visit: Visit) -> Figures:
    result = visit.result
    assert result is not None, "the call is over"
    return {
        "call": result.call_sid,
        "hits": [kind for _, kind in visit.hits],
        "ended_by": result.ended_by,
        "spoken": result.spoken,
        "problems": result.problems[-3:],
    }


MUST_BE_ZERO = (
    "calls_lost",
    "records_lost",
    "records_twice",
    "bookings_lost",
    "bookings_twice",
    "sessions_open",
    "owners_left",
)


def judge(found: Figures) -> list[str]:
    """Return a line for everything that was lost, or was there twice."""
    return [f"{name}: {found[name]}" for name in MUST_BE_ZERO if found[name]]


def run_chaos(
    seed: int, calls: int, kinds: Sequence[str], logs: Path | None = None
) -> Figures:
    """Run on a database made for it; keep the nodes' logs in a folder."""
    with tempfile.TemporaryDirectory(prefix="kolbridge-chaos-") as folder:
        home = Path(folder)
        url, server = open_url(None, home)
        try:
            return uvloop.run(drive(Chaos(url, home, seed), calls, kinds))
        finally:
            if server is not None:
                server.stop()
            for log in home.glob(f"*/{LOG}") if logs is not None else ():
                assert logs is not None, "it is given"
                logs.mkdir(exist_ok=True)
                shutil.copy(log, logs / f"{log.parent.name}.{LOG}")


def main(argv: list[str] | None = None) -> int:
    """Print the figures as JSON; 1 if a call or a record was lost or is there twice."""
    parser = parser_of("chaos", __doc__)
    parser.add_argument("--calls", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=FAULTS, action="append", help="all (default)")
    parser.add_argument("--logs", type=Path, help="keep the nodes' logs here")
    args: argparse.Namespace = parser.parse_args(argv)
    found = run_chaos(args.seed, args.calls, args.kind or list(FAULTS), args.logs)
    print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
    broken = judge(found)
    for line in broken:
        print(f"over budget: {line}", file=sys.stderr)
    return 1 if broken else 0
