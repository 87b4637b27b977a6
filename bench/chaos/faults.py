"""What is done to a node while it has calls."""

import asyncio
import signal
from collections.abc import Sequence

from bench.chaos.calls import Visit, time_of
from bench.chaos.nodes import Node
from bench.chaos.scene import Chaos, Fault

FREEZE_S = 10.0
_LOOK_S = 0.01
# Until a transaction of the killed process has waited for the lock.
_LOCK_S = 0.3


async def _until_utterance(visits: Sequence[Visit], number: int) -> None:
    """Wait until the AI begins its utterance of this number in one of the calls."""
    while all(visit.utterances < number for visit in visits):  # noqa: ASYNC110 a count
        await asyncio.sleep(_LOOK_S)


async def _at_opening(run: Chaos, node: Node, visits: Sequence[Visit]) -> None:
    """Kill a node in the first second of a call."""
    await asyncio.sleep(run.rng.uniform(0.1, 1.0))
    await run.kill(node, "opening")


async def _in_greeting(run: Chaos, node: Node, visits: Sequence[Visit]) -> None:
    await _until_utterance(visits, 1)
    await asyncio.sleep(run.rng.uniform(0.2, 2.5))
    await run.kill(node, "greeting")


async def _in_sentence(run: Chaos, node: Node, visits: Sequence[Visit]) -> None:
    await _until_utterance(visits, 2)
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
    await _until_utterance(visits, 1)
    await asyncio.sleep(run.rng.uniform(1.0, 8.0))
    await run.hit(node, signal.SIGSTOP, "frozen")
    await asyncio.sleep(FREEZE_S)
    node.send(signal.SIGCONT)


async def _drained(run: Chaos, node: Node, visits: Sequence[Visit]) -> None:
    """Drain all nodes in turn, and start each again."""
    await _until_utterance(visits, 1)
    for one in run.nodes:
        await asyncio.sleep(run.rng.uniform(0.0, 2.0))
        one.send(signal.SIGTERM)
        await one.ended()
        await run.start(one)


FAULTS: dict[str, Fault] = {
    "opening": _at_opening,
    "greeting": _in_greeting,
    "sentence": _in_sentence,
    "before_commit": _before_commit,
    "after_commit": _after_commit,
    "any_moment": _at_any_moment,
    "frozen": _frozen,
    "drained": _drained,
}
