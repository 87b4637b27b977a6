"""A node whose clock is 5 s off: only PostgreSQL's clock decides who is dead."""

import asyncio
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from time import time
from uuid import uuid4

import orjson
import pytest

from crm import businesses, live_calls, nodes
from crm.database import Database
from crm.nodes import STALE_S
from tests.crm.test_nodes import age, node

OFF_S = 5
ROOT = Path(__file__).parents[2]
COMPILER = (sysconfig.get_config_var("CC") or "cc").split()[0]
# Takes the place of the C library's functions that tell the time of day.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <time.h>
#include <sys/time.h>
int clock_gettime(clockid_t id, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))
        dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, at);
    if (id == CLOCK_REALTIME) at->tv_sec += OFF_S;
    return result;
}
int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""
# A process of another node: what it claims, and what it finds.
OTHER = """
import asyncio, sys, time
from uuid import UUID
import orjson
from crm import live_calls, nodes
from crm.database import Database
from tests.crm.test_nodes import node

async def main(url, mine, living, dead):
    me = UUID(mine)
    db = await Database.open(url)
    await nodes.join(db, node("b", me))
    claimed = [
        await live_calls.claim(db, call, 1, "b", me, 0) for call in (living, dead)
    ]
    print(orjson.dumps({
        "time": time.time(),
        "claimed": claimed,
        "stale": [owner.call_sid for owner in await live_calls.stale(db, 10)],
        "is_stale": {one.name: one.is_stale for one in await nodes.every(db)},
        "age_s": {one.name: one.age_s for one in await nodes.every(db)},
    }).decode())
    await db.close()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def shims(tmp_path_factory):
    """The library for each clock, by its offset in s."""
    if shutil.which(COMPILER) is None:
        pytest.skip("no C compiler here")
    folder = tmp_path_factory.mktemp("clocks")
    made = {}
    for off_s in (OFF_S, -OFF_S):
        made[off_s] = folder / f"clock{off_s}.so"
        command = (COMPILER, "-shared", "-fPIC", f"-DOFF_S=({off_s})", "-x", "c", "-")
        subprocess.run(
            [*command, "-o", made[off_s], "-ldl"],
            input=SHIM.encode(),
            check=True,
        )
    return made


def as_other(shim, *arguments):
    """Run the other node's process with its own clock; return what it said."""
    given = {**os.environ, "LD_PRELOAD": str(shim), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", OTHER, *arguments],
        env=given,
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    return orjson.loads(done.stdout)


async def keep_beating(db, beat):
    while True:
        await nodes.beat(db, beat)
        await asyncio.sleep(0.5)


@pytest.mark.parametrize("off_s", [OFF_S, -OFF_S])
def test_node_with_another_clock_claims_the_calls_of_dead_nodes_alone(
    embedded_url, shims, off_s
):
    living, dead, mine = uuid4(), uuid4(), uuid4()

    async def story(db):
        business_id = await businesses.create(db, "Salon")

        async def call_of(name, incarnation):
            await nodes.beat(db, node(name, incarnation))
            owner = await live_calls.open(
                db,
                call_sid=f"CA{uuid4().hex}",
                business_id=business_id,
                account_sid="AC1",
                to_number="+12025550123",
                node=name,
                incarnation=incarnation,
                worker=0,
            )
            return owner.call_sid

        calls = [await call_of("a", living), await call_of("c", dead)]
        await age(db, "c", STALE_S + 0.5)
        beating = asyncio.create_task(keep_beating(db, node("a", living)))
        said = await asyncio.to_thread(
            as_other, shims[off_s], embedded_url, str(mine), *calls
        )
        beating.cancel()
        seen = {one.name: one for one in await nodes.every(db)}
        return said, seen

    async def main():
        db = await Database.open(embedded_url)
        try:
            await clear(db)  # of what the calls of other tests have left
            return await story(db)
        finally:
            await clear(db)
            await db.close()

    async def clear(db):
        async with db.owner() as connection:
            await connection.execute("delete from nodes")
            await connection.execute("delete from call_owners")

    said, seen = asyncio.run(main())

    assert abs(said["time"] - time() - off_s) < 4.0, "the clock is another one"
    assert said["claimed"] == [None, 2]
    assert said["stale"] == []
    assert said["is_stale"] == {"a": False, "b": False, "c": True}
    assert 0.0 <= said["age_s"]["b"] < STALE_S
    # The others see its heartbeat as their own.
    assert 0.0 <= seen["b"].age_s < STALE_S
