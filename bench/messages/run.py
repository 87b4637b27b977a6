"""Conversations in writing at a running service: how fast, and what faults cost.

Writers ask for an appointment, pick a time and book it, so many at once. Then the same
with faults: the messenger is killed, the service is killed, PostgreSQL is stopped at
once, Twilio's REST API is away for seconds, and a share of the requests to it fail or
lose their answers. Every message must have one answer, every writer one appointment.

    python -m bench messages --conversations 1000 --at-once 100
    python -m bench messages --beside-calls 200 --at-once 200

The second one measures what conversations cost the frames of calls.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import cycle
from pathlib import Path
from typing import Any

import uvloop

from bench import results
from bench.command_line import parser_of
from bench.machine import spread
from bench.messages import beside_calls
from bench.messages.scene import Scene
from bench.messages.writers import visits_of
from bridge.messaging.receiving import JOIN_PAUSE
from crm.connect import open_url

# Writers do not all write at the same moment.
APART_S = 0.05
# Between the end of a fault and the next one.
PAUSE_S = 4.0
# After the last answer, for what comes late or twice.
QUIET_S = 5.0
# Beside the model's time and the wait for more messages.
REPLY_P99_S_MAX = 1.0
# https://www.twilio.com/docs/api/errors/11200
_NOBODY_THERE = "11200 "

Figures = dict[str, Any]


async def drive(scene: Scene, at_once: int, *, faults: bool) -> None:
    """Run all conversations, with faults until the last one has ended."""
    talking = asyncio.create_task(visits_of(scene.visits, at_once, APART_S))
    showing = asyncio.create_task(_show(scene))
    happening = asyncio.create_task(_faults(scene)) if faults else None
    try:
        await talking
    finally:
        if happening is not None:
            # A fault that has begun is mended.
            scene.is_over = True
            await happening
        showing.cancel()
    await scene.api.settle()
    await asyncio.sleep(QUIET_S)


async def _faults(scene: Scene) -> None:
    scene.fail_requests()
    kinds: dict[str, Callable[[], Awaitable[None]]] = {
        "messenger killed": scene.kill_messenger,
        "REST away": scene.cut_rest,
        "PostgreSQL stopped": scene.restart_database,
        "service killed": scene.kill_service,
    }
    for name, do in cycle(kinds.items()):
        await asyncio.sleep(scene.rng.uniform(0.0, PAUSE_S))
        if scene.is_over:
            break
        await do()
        scene.faults[name] += 1
    scene.fail_requests(0.0)


async def _show(scene: Scene) -> None:
    while True:
        await asyncio.sleep(10.0)
        booked = sum(visit.is_booked for visit in scene.visits)
        print(f"{booked} booked, faults: {dict(scene.faults)}", file=sys.stderr)


async def figures(scene: Scene) -> Figures:
    """Return what came of all conversations."""
    visits = scene.visits
    waits = [one.seconds for visit in visits for one in visit.answered]
    rows = await _rows(scene)
    return {
        "conversations": len(visits),
        "messages": sum(len(visit.answered) for visit in visits),
        "faults": dict(scene.faults),
        "requests_failed": len(scene.api.faults.happened),
        "told_to_wait": sum(visit.told_to_wait for visit in visits),
        "not_booked": sum(not visit.is_booked for visit in visits),
        "replies_twice": sum(len(visit.writer.unread) for visit in visits),
        "unread": [one.body for visit in visits for one in visit.writer.unread][:20],
        "appointments_missing": sum(not count for count in rows["booked"].values()),
        "appointments_twice": sum(count > 1 for count in rows["booked"].values()),
        "messages_lost": rows["lost"],
        "answer_s": spread(waits),
        "beside_model_s": spread([_own(one, scene) for one in waits]),
        "problems": _problems(scene),
    }


def _own(seconds: float, scene: Scene) -> float:
    """Return our share of a wait, without that for more messages and the model's."""
    return seconds - JOIN_PAUSE.total_seconds() - scene.model.latency_s


async def _rows(scene: Scene) -> dict[str, Any]:
    booked: Counter[str] = Counter()
    received = 0
    for business_id in scene.business_ids:
        async with scene.database.tenant(business_id) as connection:
            for row in await connection.fetch(
                "select l.phone, count(a.id) as count from leads l left join "
                "appointments a on a.business_id = l.business_id and a.lead_id = l.id "
                "and a.status = 'booked' group by l.phone"
            ):
                booked[row["phone"]] += row["count"]
            received += await connection.fetchval(
                "select count(*) from messages where direction = 'in'"
            )
    wrote = sum(len(visit.answered) for visit in scene.visits)
    numbers = (visit.writer.number for visit in scene.visits)
    return {"booked": {one: booked[one] for one in numbers}, "lost": wrote - received}


def _problems(scene: Scene) -> list[str]:
    """Return what the peers object to, each kind once.

    That nobody takes a callback is no objection while the service is killed.
    """
    found = [
        problem
        for problem in scene.api.problems
        if not (scene.faults and problem.startswith(_NOBODY_THERE))
    ]
    found += scene.model.problems
    for visit in scene.visits:
        found += visit.writer.problems
        found += [visit.problem] if visit.problem else []
    return [f"{text} (x{count})" for text, count in Counter(found).most_common(20)]


def judge(found: Figures, *, faults: bool) -> list[str]:
    """Return a line for each promise that was not kept."""
    never = (
        *("not_booked", "replies_twice", "appointments_missing"),
        *("appointments_twice", "messages_lost"),
    )
    broken = [f"{name}: {found[name]}" for name in never if found[name]]
    broken += found["problems"]
    p99 = found["beside_model_s"]["p99"]
    if not faults and p99 > REPLY_P99_S_MAX:
        broken.append(f"replies: p99 {p99:.2f} s, allowed {REPLY_P99_S_MAX:g}")
    return broken


async def measure(
    url: str, home: Path, server: Any, args: argparse.Namespace, *, faults: bool
) -> Figures:
    """Run one scene; return its figures."""
    scene = Scene(url, home, args.seed, server, args.model_s, args.think_s)
    async with scene.running(args.conversations):
        began_s = scene.messenger_cpu_s()
        await drive(scene, args.at_once, faults=faults)
        found = await figures(scene)
        if not faults:
            used_s = scene.messenger_cpu_s() - began_s
            found["cpu_ms_an_answer"] = round(1e3 * used_s / found["messages"], 1)
    found["log"] = scene.node.log if judge(found, faults=faults) else ""
    return found


def run(args: argparse.Namespace, *, faults: bool) -> Figures:
    """Run on a database made for it."""
    with tempfile.TemporaryDirectory(prefix="kolbridge-messages-") as folder:
        home = Path(folder)
        url, server = open_url(None, home)
        try:
            return uvloop.run(measure(url, home, server, args, faults=faults))
        finally:
            if server is not None:
                server.stop()


def _beside(args: argparse.Namespace) -> int:
    """Print frame latencies with and without writers."""
    about = results.machine()
    found = beside_calls.measure(args.beside_calls, args.at_once, args.think_s)
    for kind in ("without", "with"):
        print(
            f"{kind:9}{found['writers']} writers, {found['calls']} calls: {found[kind]}"
        )
    print(f"{found['answers']} answers")
    results.save("beside-calls", found, about)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Print the figures and write JSON; 1 if a promise was broken."""
    parser = parser_of("messages", __doc__)
    parser.add_argument("--conversations", type=int, default=200)
    parser.add_argument("--at-once", type=int, default=100)
    parser.add_argument("--model-s", type=float, default=0.0, help="each answer takes")
    parser.add_argument("--think-s", type=float, default=5.0, help="writers read for")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quiet-only", action="store_true", help="without faults")
    parser.add_argument("--faults-only", action="store_true", help="with faults only")
    parser.add_argument("--beside-calls", type=int, default=0, metavar="CALLS")
    args = parser.parse_args(argv)
    if args.beside_calls:
        return _beside(args)
    # The service looks whether the model's port is open, which is no handshake.
    logging.getLogger("websockets").addHandler(logging.NullHandler())
    about, measured, broken = results.machine(), {}, []
    for name, faults in (("quiet", False), ("faults", True)):
        if (faults and args.quiet_only) or (not faults and args.faults_only):
            continue
        measured[name] = run(args, faults=faults)
        broken += [f"{name}: {one}" for one in judge(measured[name], faults=faults)]
        print(name, {key: value for key, value in measured[name].items() if value})
    results.save("messages", measured, about)
    for line in broken:
        print(f"broken: {line}", file=sys.stderr)
    return 1 if broken else 0
