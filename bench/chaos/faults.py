"""What is done to a node while it has calls."""

import asyncio
import signal
from collections.abc import Sequence

from bench.chaos import database_faults
from bench.chaos.calls import (
    INTERRUPTING,
    Visit,
    time_of,
    until_interruption,
    until_utterance,
)
from bench.chaos.nodes import Node
from bench.chaos.scene import Chaos, Fault

FREEZE_S = 10.0
# Until a transaction of the killed process has waited for the lock.
_LOCK_S = 0.3


async def _at_opening(run: Chaos, node: Node, visits: Sequence[Visit]) -> None:
    """Kill a node in the first second of a call."""
    await asyncio.sleep(run.rng.uniform(0.1, 1.0))
    await run.kill(node, "opening")


async def _in_greeting(run: Chaos, node: Node, visits: Sequence[Visit]) -> None:
    await until_utterance(visits, 1)
    await asyncio.sleep(run.rng.uniform(0.2, 2.5))
    await run.kill(node, "greeting")


async def _in_sentence(run: Chaos, node: Node, visits: Sequence[Visit]) -> None:
    await until_utterance(visits, 2)
    await asyncio.sleep(run.rng.uniform(0.2, 3.0))
    await run.kill(node, "sentence")


async def _before_commit(run: Chaos, node: Node, visits: Sequence[Visit]) -> None:
    """Kill a node while its tool waits for a lock, and release the lock."""
    await run.model.asked.get()
    async with run.database.owner() as connection, connection.transaction():
        await connection.execute("lock table appointments in exclusive mode")
        await asyncio.sleep(run.rng.uniform(0.5, 2.0))
        await run.hit(node, signal.SIGKILL, "before_commit")
        await asyncio.sleep(_LOCK_S)
    await run.start_again(node)


async def _after_commit(run: Chaos, node: Node, visits: Sequence[Visit]) -> None:
    """Kill a node as soon as a booking of it can be seen."""
    starts_at = time_of(await run.model.asked.get())
    is_booked = False
    async with run.database.owner() as connection:
        while not is_booked:
            is_booked = await connection.fetchval(
                "select exists (select from appointments "
                "where business_id = $1 and starts_at = $2)",
                run.business_id,
                starts_at,
            )
    await run.kill(node, "after_commit")


async def _at_any_moment(run: Chaos, node: Node, visits: Sequence[Visit]) -> None:
    await asyncio.sleep(run.rng.uniform(1.0, 20.0))
    await run.kill(node, "any_moment")


async def _frozen(run: Chaos, node: Node, visits: Sequence[Visit]) -> None:
    await until_utterance(visits, 1)
    await asyncio.sleep(run.rng.uniform(1.0, 8.0))
    await run.hit(node, signal.SIGSTOP, "frozen")
    await asyncio.sleep(FREEZE_S)
    node.send(signal.SIGCONT)


async def _drained(run: Chaos, node: Node, visits: Sequence[Visit]) -> None:
    """Drain all nodes in turn, and start each again."""
    await until_utterance(visits, 1)
    for one in run.nodes:
        await asyncio.sleep(run.rng.uniform(0.0, 2.0))
        one.send(signal.SIGTERM)
        await one.ended()
        await run.start(one)


async def _in_interruption(run: Chaos, node: Node, visits: Sequence[Visit]) -> None:
    """Kill a node when a caller has begun to speak over the AI."""
    await until_interruption(visits)
    await asyncio.sleep(run.rng.uniform(0.0, 1.0))
    await run.kill(node, "interruption")


async def _in_goodbye(run: Chaos, node: Node, visits: Sequence[Visit]) -> None:
    await until_utterance(visits, 4)
    await asyncio.sleep(run.rng.uniform(0.0, 1.5))
    await run.kill(node, "goodbye")


async def _two_killed(run: Chaos, node: Node, visits: Sequence[Visit]) -> None:
    """Kill a node, and soon the one that has most of its calls."""
    await until_utterance(visits, 1)
    await asyncio.sleep(run.rng.uniform(0.5, 6.0))
    await run.hit(node, signal.SIGKILL, "two_killed")
    await asyncio.sleep(run.rng.uniform(1.0, 4.0))
    other = await run.busiest(but=node)
    await run.hit(other, signal.SIGKILL, "two_killed")
    await asyncio.gather(run.start_again(node), run.start_again(other))


async def _reloaded(run: Chaos, node: Node, visits: Sequence[Visit]) -> None:
    """Let HAProxy read its configuration anew, twice."""
    for _ in range(2):
        await until_utterance(visits, 1)
        await asyncio.sleep(run.rng.uniform(0.0, 5.0))
        await run.balancer.reload()


FAULTS: dict[str, Fault] = {
    "opening": Fault(_at_opening),
    "greeting": Fault(_in_greeting),
    "sentence": Fault(_in_sentence),
    "interruption": Fault(_in_interruption, INTERRUPTING),
    "before_commit": Fault(_before_commit),
    "after_commit": Fault(_after_commit),
    "goodbye": Fault(_in_goodbye),
    "any_moment": Fault(_at_any_moment),
    "two_killed": Fault(_two_killed),
    "frozen": Fault(_frozen),
    "cut_off": Fault(database_faults.cut_off, books=False),
    "restarted": Fault(database_faults.restarted, books=False),
    "read_only": Fault(database_faults.read_only, books=False),
    "reloaded": Fault(_reloaded),
    "drained": Fault(_drained, is_for_all=True, spread_s=20.0),
}
