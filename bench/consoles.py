"""Frame latency with ten open live pages, and without any, in one run.

The calls run all the time. Slices of two seconds with and without open pages take
turns, so that changes of the machine affect both. The pages are read by a process of
their own. A latency is that of the second quietest slice.

    python -m bench consoles
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from secrets import token_hex
from typing import Any

import aiohttp
import uvloop

from bench import results
from bench.capacity import Server, one_slice
from bench.command_line import parser_of
from bench.latency import HALF, quiet
from bench.load import KOLBRIDGE, open_calls, prepare, serving
from crm import accounts
from crm.connect import open_url
from crm.database import Database

CALLS = 50
PAGES = 10
SLICES = 6
# Before each slice, so that both kinds begin alike.
PAUSE_S = 1.5
EVENTS_PATH = "/console/live/events"


async def operator_token(database_url: str) -> str:
    """Make an operator who is logged in; return the session's token."""
    db = await Database.open(database_url, pool_max=1)
    login = f"bench-{token_hex(4)}@example.com"
    user_id = await accounts.add(db, login, "Bench", "operator")
    token = token_hex(16)
    await accounts.open_session(db, user_id, token, "bench", "127.0.0.1")
    await db.close()
    return token


async def read_pages(url: str, token: str, pages: int) -> None:
    """Keep live pages open until the process is ended."""
    cookies = {"kolbridge_session": token}
    limit = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(cookies=cookies, timeout=limit) as http:

        async def read() -> None:
            async with http.get(url + EVENTS_PATH) as answer:
                answer.raise_for_status()
                print("open", flush=True)
                async for _ in answer.content.iter_any():
                    pass

        await asyncio.gather(*(read() for _ in range(pages)))


@asynccontextmanager
async def open_pages(url: str, token: str, pages: int) -> AsyncIterator[None]:
    """Have another process keep live pages open."""
    words = (sys.executable, "-m", "bench.consoles", "--read", url, token, str(pages))
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        for _ in range(pages):
            assert await process.stdout.readline() == b"open\n", "a page was refused"
        yield
    finally:
        process.kill()
        await process.wait()


async def slices(database_url: str, calls: int, pages: int) -> dict[str, Any]:
    """Return the figures of all slices, without pages and with them."""
    await prepare(database_url)
    token = await operator_token(database_url)
    found: dict[str, Any] = {"without": [], "with": []}
    async with serving(database_url, calls) as (run, url, pid):
        server = Server(KOLBRIDGE, run, await open_calls(run, url), pid)
        await one_slice(server, HALF)
        for _ in range(SLICES):
            await asyncio.sleep(PAUSE_S)
            found["without"].append(await one_slice(server, HALF))
            async with open_pages(url, token, pages):
                await asyncio.sleep(PAUSE_S)
                found["with"].append(await one_slice(server, HALF))
    return found


def summary(found: dict[str, Any]) -> dict[str, Any]:
    """Return one figure for each latency, and the cost of a call."""
    names = [(way, part) for way in ("uplink", "downlink") for part in ("p50", "p99")]
    return {
        kind: {
            **{
                f"{way}_{part}_ms": quiet([one[way][part] for one in each])
                for way, part in names
            },
            "cpu_us_a_call_second": round(quiet([one["cpu_us"] for one in each])),
        }
        for kind, each in found.items()
    }


def measure(calls: int, pages: int) -> dict[str, Any]:
    """Run all slices on a database made for them."""
    with tempfile.TemporaryDirectory(prefix="kolbridge-consoles-") as home:
        url, database = open_url(None, Path(home))
        try:
            found = uvloop.run(slices(url, calls, pages))
        finally:
            if database is not None:
                database.stop()
    return {"calls": calls, "pages": pages, **summary(found)}


def main(argv: list[str] | None = None) -> int:
    """Print the latencies and write JSON."""
    parser = parser_of("consoles", __doc__)
    parser.add_argument("--calls", type=int, default=CALLS)
    parser.add_argument("--pages", type=int, default=PAGES)
    parser.add_argument("--read", nargs=3, metavar=("URL", "TOKEN", "PAGES"))
    args = parser.parse_args(argv)
    if args.read:
        url, token, pages = args.read
        uvloop.run(read_pages(url, token, int(pages)))
        return 0
    about = results.machine()
    found = measure(args.calls, args.pages)
    for kind in ("without", "with"):
        print(f"{kind:9}{found['pages']} pages, {found['calls']} calls: {found[kind]}")
    results.save("consoles", found, about)
    return 0


if __name__ == "__main__":
    sys.exit(main())
