"""What is done to PostgreSQL, or to a node's way to it, while there are calls."""

import asyncio
import os
import signal
from collections.abc import Sequence
from pathlib import Path
from time import monotonic

import asyncpg

from bench.chaos.calls import Visit, until_utterance
from bench.chaos.nodes import Node
from bench.chaos.scene import Chaos

CUT_S = 10.0
AWAY_S = (1.0, 8.0)
READ_ONLY_S = 60.0
_LOOK_S = 0.05


async def cut_off(run: Chaos, node: Node, visits: Sequence[Visit]) -> None:
    """Cut a node off from PostgreSQL for ten seconds: others take its calls."""
    await until_utterance(visits, 1)
    await asyncio.sleep(run.rng.uniform(1.0, 8.0))
    await run.note_hit(node, "cut_off", monotonic())
    run.links[node.name].cut()
    await asyncio.sleep(CUT_S)
    run.links[node.name].mend()


async def restarted(run: Chaos, node: Node, visits: Sequence[Visit]) -> None:
    """Stop PostgreSQL at once, and start it again some seconds later."""
    await until_utterance(visits, 1)
    await asyncio.sleep(run.rng.uniform(0.0, 8.0))
    async with run.database.owner() as connection:
        folder = await connection.fetchval("show data_directory")
    lines = await asyncio.to_thread(Path(folder, "postmaster.pid").read_text)
    os.kill(int(lines.split()[0]), signal.SIGQUIT)
    await asyncio.sleep(run.rng.uniform(*AWAY_S))
    assert run.server is not None, "the run's own server"
    while not await _answers(run):
        run.server.tend()
        await asyncio.sleep(_LOOK_S)


async def _answers(run: Chaos) -> bool:
    try:
        await run.database.ping()
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    return True


async def read_only(run: Chaos, node: Node, visits: Sequence[Visit]) -> None:
    """Let PostgreSQL write nothing for a minute, as a server that is no primary."""
    await until_utterance(visits, 1)
    await asyncio.sleep(run.rng.uniform(0.0, 8.0))
    until = monotonic() + READ_ONLY_S
    await _set_read_only(run, "on")
    await asyncio.sleep(until - monotonic())
    await _set_read_only(run, "off")


async def _set_read_only(run: Chaos, value: str) -> None:
    connection = await asyncpg.connect(run.url)
    try:
        await connection.execute("set transaction_read_only = off")
        await connection.execute(
            f"alter system set default_transaction_read_only = {value}"
        )
        await connection.execute("select pg_reload_conf()")
    finally:
        await connection.close()
