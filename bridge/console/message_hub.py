"""What open pages of conversations are told: that there is news, and nothing else.

One task of the process looks for all of its pages, at conversations that a page shows
and at lists; a page asks for what is new as it shows it. Nothing is asked while no page
is open. While the database does not answer, the pages wait.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID

from bridge.telemetry.metrics import Metrics
from bridge.telemetry.supervised import SupervisedTask
from crm import conversation_pages
from crm.database import Database
from crm.transient import DATABASE_ERRORS

# A message appears within this time, and the way to the browser.
LOOK_S = 0.5
# Open pages of one process; a browser that is refused tries again.
PAGES_MAX = 100


class Watched(NamedTuple):
    """What a page shows: a conversation, or a business's list where that is None."""

    business_id: UUID
    conversation_id: UUID | None


class MessageHub:
    """The newest look at what open pages show, shared by all pages of the process."""

    def __init__(self, database: Database, metrics: Metrics) -> None:
        # A text for each: it changes with what a page shows.
        self.revisions: dict[Watched, str] = {}
        self._database = database
        self._watched: Counter[Watched] = Counter()
        self._task = SupervisedTask("message_hub", self._keep_looking, metrics)
        self._next: asyncio.Future[None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether no further page may watch."""
        return self._watched.total() >= PAGES_MAX

    @contextmanager
    def watching(self, watched: Watched) -> Iterator[None]:
        """Look at this from here on, until its last page has left."""
        if not self._watched:
            self._task.start()
        self._watched[watched] += 1
        try:
            yield
        finally:
            self._watched[watched] -= 1
            if not self._watched[watched]:
                del self._watched[watched]
                self.revisions.pop(watched, None)
            if not self._watched:
                self._task.cancel()

    async def next_look(self) -> None:
        """Wait for the next look."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._next)

    async def _keep_looking(self) -> None:
        while True:
            for business_id in {one.business_id for one in self._watched}:
                try:
                    await self._look(business_id)
                except (TimeoutError, *DATABASE_ERRORS):
                    # What was seen last stays.
                    continue
            news, self._next = self._next, None
            if news is not None:
                news.set_result(None)
            await asyncio.sleep(LOOK_S)

    async def _look(self, business_id: UUID) -> None:
        mine = [one for one in self._watched if one.business_id == business_id]
        ids = [one.conversation_id for one in mine if one.conversation_id is not None]
        found: dict[Watched, str] = {}
        if ids:
            revisions = await conversation_pages.revisions(
                self._database, business_id, ids
            )
            # An erased conversation has no text, which is news, too.
            found = {Watched(business_id, one): revisions.get(one, "") for one in ids}
        if len(ids) < len(mine):
            found[
                Watched(business_id, None)
            ] = await conversation_pages.revision_of_list(self._database, business_id)
        # A page may have left meanwhile.
        self.revisions.update(
            (watched, text)
            for watched, text in found.items()
            if watched in self._watched
        )
