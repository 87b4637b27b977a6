"""`kolbridge demo --console`: the console with two businesses that have a past.

The service runs on a free port of loopback with the sandbox's model, and with records
of whole calls. The demo's two calls are placed at once, so that there is a call to look
at while it runs, and one with its sound a minute later.
"""

import argparse
import asyncio
import secrets
import signal
import tempfile
from pathlib import Path

from bridge.cli.demo import past, past_messages
from bridge.cli.demo.script import BUSINESSES, script
from bridge.cli.demo.service import environment, make, place_call, running_bridge
from bridge.sandbox.realtime import RealtimeServer
from bridge.sandbox.responses.server import ResponsesServer
from bridge.sandbox.script import by_language
from crm import accounts, businesses
from crm.businesses import Business
from crm.connect import open_url, service_url
from crm.database import Database

LINK_MINUTES = 24 * 60


def run(args: argparse.Namespace) -> int:
    """Run until Ctrl-C; 0, or 2 if the console is not installed."""
    try:
        import argon2  # noqa: F401
        import jinja2  # noqa: F401
        import segno  # noqa: F401
    except ModuleNotFoundError as error:
        print(
            f"kolbridge demo: --console needs {error.name}: "
            "pip install kolbridge[console]"
        )
        return 2
    with tempfile.TemporaryDirectory(prefix="kolbridge-demo-") as home:
        url, server = open_url(None, Path(home))
        try:
            asyncio.run(_demo(url, Path(home), args.live))
        finally:
            if server is not None:
                server.stop()
    return 0


async def _demo(database_url: str, home: Path, live: bool) -> None:
    db = await Database.open(database_url, pool_max=4)
    model = RealtimeServer(
        by_language(
            {b.language: script(b.language, b.service.name) for b in BUSINESSES}
        )
    )
    writing = ResponsesServer(api_key=model.api_key)
    await model.start()
    await writing.start()
    try:
        made = [await _make(db, business.language) for business in BUSINESSES]
        env = environment(await service_url(database_url), None if live else model)
        if not live:
            env["OPENAI_API_URL"] = writing.url
        env |= {"CONSOLE": "1", "RECORD_DIR": str(home / "recordings")}
        env |= {"RECORD_AUDIO": "1", "KOLBRIDGE_HOME": str(home)}
        async with running_bridge(env) as bridge:
            stopped = _stop_asked()
            await _tell(db, bridge.url, made)
            calls = [
                asyncio.ensure_future(place_call(bridge.url, business))
                for business in BUSINESSES
            ]
            await stopped.wait()
            for call in calls:
                call.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
    finally:
        await model.close()
        await writing.close()
        await db.close()


async def _make(db: Database, language: str) -> Business:
    (described,) = [one for one in BUSINESSES if one.language == language]
    story = past.STORIES[language]
    made = await make(db, described, services=story.services, staff=story.staff)
    business = await businesses.get(db, made.id)
    assert business is not None, "it was just made"
    await past.write(db, business)
    await past_messages.write(db, business)
    return business


async def _tell(db: Database, url: str, made: list[Business]) -> None:
    """Print a link for the operator, and one for the owner of each business."""
    operator = await accounts.add(db, "operator", "Operator", "operator")
    links = [("operator of both businesses", operator)]
    for business in made:
        owner = await accounts.add(
            db,
            f"owner-{business.language}",
            "Owner",
            "owner",
            business_id=business.id,
            language=business.language,
        )
        links.append((f"owner of {business.name}", owner))
    print("The console runs. Each link logs in once, as the\n")
    for who, user_id in links:
        token = secrets.token_urlsafe(32)
        await accounts.add_link(db, user_id, token, LINK_MINUTES)
        print(f"  {who}:\n  {url}/console/login/{token}\n")
    print(
        "Two calls ring now: see them under Live, and hear them later under Calls.\n"
        "Try it has a telephone, and a chat where the extra whatsapp is installed.\n"
        "Ctrl-C ends the demo and removes its data.\n",
        flush=True,
    )


def _stop_asked() -> asyncio.Event:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(sign, stopped.set)
    return stopped
