"""Whether the users of open pages are still logged in: asked at once for all of them.

A page that asked by itself cost a transaction a second. Nothing is asked while no page
is open.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from bridge.console.console import Viewer
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.supervised import SupervisedTask
from crm import open_sessions
from crm.database import Database
from crm.open_sessions import Who
from crm.transient import DATABASE_ERRORS

# How often it is asked who is still logged in.
LOOK_S = 1.0


class Unknown(Exception):
    """The database did not say who is logged in."""


class SessionWatch:
    """The sessions of the open pages of one process."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        self._database = database
        self._tokens: Counter[str] = Counter()
        # As the last look has found them; None where it failed.
        self._open: dict[str, Who] | None = {}
        # What was watched when the last look began.
        self._asked: frozenset[str] = frozenset()
        self._task = SupervisedTask("session_watch", self._keep_looking, metrics)

    @contextmanager
    def watched(self, token: str) -> Iterator[None]:
        """Ask of a session from here on."""
        if not self._tokens:
            self._task.start()
        self._tokens[token] += 1
        try:
            yield
        finally:
            self._tokens -= Counter((token,))
            if not self._tokens:
                self._task.cancel()
                self._open, self._asked = {}, frozenset()

    def is_still(self, token: str, viewer: Viewer) -> bool:
        """Tell whether a viewer is logged in, and still who they were.

        A session that was not asked of yet is open: its request was let in. Raises
        Unknown where the last look failed.
        """
        if self._open is None:
            raise Unknown
        if token not in self._asked:
            return True
        now = self._open.get(token)
        return now == (viewer.user_id, viewer.role, viewer.business_id)

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            asked = frozenset(self._tokens)
            try:
                found = await open_sessions.look(self._database, asked)
            except (TimeoutError, *DATABASE_ERRORS):
                self._open = None
            else:
                self._open, self._asked = found, asked


WATCH = web.AppKey("session_watch", SessionWatch)
