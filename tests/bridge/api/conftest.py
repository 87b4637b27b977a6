"""The API of two businesses on loopback, as a program sees it."""

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from aiohttp import ClientSession, web

from bridge.api import application, feeds
from bridge.settings.process import Settings
from bridge.telemetry.metrics import Metrics
from crm import access_tokens, businesses
from crm.access_tokens import SCOPES
from crm.businesses import Service
from crm.database import Database

URL = "http://localhost"


class Program:
    """A program with a token of one business."""

    def __init__(self, session, base, business_id, token):
        self.session = session
        self.base = base
        self.id = business_id
        self.token = token

    async def ask(self, method, path, body=None, **headers):
        """Return an answer's status and document."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.token:
            named.setdefault("Authorization", f"Bearer {self.token}")
        async with self.session.request(
            method, f"{self.base}{application.ROOT}{path}", json=body, headers=named
        ) as response:
            text = await response.read()
            document = await response.json(content_type=None) if text else None
            self.headers = response.headers
            return response.status, document

    async def get(self, path, **headers):
        status, document = await self.ask("GET", path, **headers)
        assert status == 200, document
        return document


@pytest.fixture
def api(embedded_url):
    """Run a story with programs of two businesses, `ours` and `theirs`."""

    def run(story):
        async def main():
            db = await Database.open(embedded_url, pool_max=6)
            app, metrics = web.Application(), Metrics()
            settings = Settings(notice_allow_hosts="localhost")
            own = application.Api(settings, db, metrics, URL)
            app.add_subapp(application.ROOT, own.application())
            app.add_subapp(feeds.ROOT, feeds.Feeds(db, metrics).application())
            runner = web.AppRunner(app)
            await runner.setup()
            site = web.TCPSite(runner, "localhost", 0)
            await site.start()
            base = f"{URL}:{site._server.sockets[0].getsockname()[1]}"
            try:
                async with ClientSession() as session:
                    ours = await program(db, session, base, "Ours")
                    theirs = await program(db, session, base, "Theirs")
                    await story(
                        SimpleNamespace(
                            db=db, ours=ours, theirs=theirs, base=base, session=session
                        )
                    )
            finally:
                await runner.cleanup()
                await db.close()

        asyncio.run(main())

    return run


async def program(db, session, base, name):
    business_id = await businesses.create(db, name, time_zone="Asia/Jerusalem")
    await businesses.add_service(db, business_id, Service("Cut", 30))
    for dow in range(7):
        await businesses.set_hours(db, business_id, dow, [(0, 1440)])
    made = await access_tokens.make(db, business_id, "api", "Program", SCOPES)
    return Program(session, base, business_id, made.secret)


def soon(hours=24):
    """Return a full hour to come."""
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return hour + timedelta(hours=hours)
