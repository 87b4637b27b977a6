"""Nodes are killed, frozen and drained under calls: no call and no record is lost.

Three nodes stand behind HAProxy, with one PostgreSQL. Calls come in waves, and a node
takes each wave. It is then killed in the first second, in the greeting, in a sentence,
in an interruption, in a tool before or after its commit, in the goodbye, or at any
moment; or killed, and the node that takes its calls as well; or frozen, or cut off from
PostgreSQL, for ten seconds. Or PostgreSQL is restarted or lets nobody write for a
minute, HAProxy is reloaded, or all nodes are drained in turn. A node that was killed is
started again under its name. The sandbox's Twilio asks what follows a lost stream, and
has a REST API by which calls are moved.

    python -m bench chaos --calls 60 --seed 7
    python -m bench chaos --kind drained --calls 600 --wave 60
"""

import argparse
import asyncio
import logging
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import Any

import orjson
import uvloop

from bench.chaos.calls import Visit
from bench.chaos.faults import FAULTS
from bench.chaos.nodes import LOG
from bench.chaos.scene import Chaos, Fault
from bench.command_line import parser_of
from bench.machine import spread
from crm.connect import open_url

WAVE = 12
# After the last call, until the model's sessions are counted.
QUIET_S = 10.0
# A record is tried again after 30 s at most.
RECORDED_S = 45.0
# Twilio is not told of these: its socket stays open, and only the database shows it.
SILENT = ("frozen", "cut_off")

Figures = dict[str, Any]


async def drive(
    run: Chaos,
    calls: int,
    faults: Mapping[str, Fault],
    wave: int = WAVE,
    quiet_s: float = QUIET_S,
) -> Figures:
    """Place the calls in waves, with a fault in each; return the figures."""
    async with run.running():
        left, nodes = calls, cycle(run.nodes)
        for kind, fault in cycle(faults.items()):
            if not left:
                break
            size = min(wave, left)
            left -= size
            print(f"{kind}: {size} calls", file=sys.stderr)
            await run.wave(next(nodes), fault, size)
        await _until_recorded(run)
        await asyncio.sleep(quiet_s)
        return await _figures(run)


async def _until_recorded(run: Chaos) -> None:
    """Wait for records that the database did not take, as long as they may need."""
    with suppress(TimeoutError):
        async with asyncio.timeout(RECORDED_S):
            while (await _rows(run))["records_lost"]:  # noqa: ASYNC110 a count
                await asyncio.sleep(QUIET_S / 10)


async def _figures(run: Chaos) -> Figures:
    words: dict[str, list[float]] = {"killed": [], "silent": []}
    for visit in run.visits:
        assert visit.result is not None, "all calls are over"
        visit.hits = run.hits.get(visit.result.call_sid, [])
        for kind, seconds in visit.next_words_s():
            words["silent" if kind in SILENT else "killed"].append(seconds)
    heard = [visit.times_heard() for visit in run.visits]
    return {
        "balancer": run.balancer.name,
        "calls": len(run.visits),
        "calls_hit": sum(bool(visit.hits) for visit in run.visits),
        "calls_lost": sum(map(_is_lost, run.visits)),
        "next_words_s": spread(words["killed"]),
        "next_words_after_silence_s": spread(words["silent"]),
        "heard_again": len(words["killed"] + words["silent"]),
        "moved_by_rest": run.api.updates,
        "sentences": sum(map(len, heard)),
        "sentences_twice": sum(n > 1 for one in heard for n in one.values()),
        "sentences_cut": sum(n < 1 for one in heard for n in one.values()),
        "sessions_open": len(run.realtime.open_sessions),
        "violations": sum(len(one.violations) for one in run.realtime.sessions),
        **await _rows(run),
        "lost": list(map(_told, filter(_is_lost, run.visits))),
        "not_heard_once": [
            {
                "call": visit.result.call_sid if visit.result else "",
                "hits": [kind for _, kind in visit.hits],
                **times,
            }
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
        "bookings_lost": sum(
            bookings[visit.phone] == 0 and (visit.must_book or visit.was_told)
            for visit in run.visits
        ),
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
    seed: int,
    calls: int,
    kinds: Sequence[str],
    wave: int = WAVE,
    logs: Path | None = None,
) -> Figures:
    """Run on a database made for it; keep the nodes' logs in a folder."""
    faults = {kind: FAULTS[kind] for kind in kinds}
    with tempfile.TemporaryDirectory(prefix="kolbridge-chaos-") as folder:
        home = Path(folder)
        url, server = open_url(None, home)
        try:
            return uvloop.run(
                drive(Chaos(url, home, seed, server=server), calls, faults, wave)
            )
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
    parser.add_argument("--wave", type=int, default=WAVE, help="calls at once (12)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kind", choices=FAULTS, action="append", help="all (default)")
    parser.add_argument("--logs", type=Path, help="keep the nodes' logs here")
    args: argparse.Namespace = parser.parse_args(argv)
    # Of a node that is killed while it connects to the model.
    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)
    kinds = args.kind or list(FAULTS)
    found = run_chaos(args.seed, args.calls, kinds, args.wave, args.logs)
    print(orjson.dumps(found, option=orjson.OPT_INDENT_2).decode())
    broken = judge(found)
    for line in broken:
        print(f"over budget: {line}", file=sys.stderr)
    return 1 if broken else 0
