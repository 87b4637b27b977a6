"""What the live pages of one process show: looked at once for all of them.

Nothing is asked while no page is open. A page is told only what has changed since it
was told last. It holds one row for each running call, so that a page that is open for a
day needs no more memory than a new one.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

from bridge.console.event_stream import event
from bridge.console.live_port import LivePort
from bridge.telemetry.live_call import LiveCall, RefusedCall, Snapshot
from bridge.telemetry.masking import mask_phone

# A row appears within this time of its call, and the way to the browser.
LOOK_S = 0.25
# Pages are written one after the other, so that frames of calls pass in between.
STEP_S = 0.01
STEPS = 10
# Open pages of one process; a browser that is refused tries again.
PAGES_MAX = 100


class Row(NamedTuple):
    """A call or a refusal as the pages are told it."""

    business_id: str
    data: bytes


class LiveHub:
    """The newest look at the running calls, shared by all pages of the process."""

    def __init__(self, live: LivePort) -> None:
        self.calls: dict[str, Row] = {}
        self.refused: dict[str, Row] = {}
        self._live = live
        self._watchers = 0
        # How many pages were ever opened.
        self._pages = 0
        self._task: asyncio.Task[None] | None = None
        self._next: asyncio.Future[None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether no further page may watch."""
        return self._watchers >= PAGES_MAX

    @contextmanager
    def watched(self) -> Iterator[float]:
        """Look at the calls from here on, until the last page has left.

        Yields how long after a look this page is to be written.
        """
        self._watchers += 1
        self._pages += 1
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._keep_looking())
        try:
            yield self._pages % STEPS * STEP_S
        finally:
            self._watchers -= 1
            if not self._watchers and self._task is not None:
                self._task.cancel()
                self._task = None

    async def next_look(self) -> None:
        """Wait for the next look."""
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._next)

    async def _keep_looking(self) -> None:
        while True:
            self._note(await self._live.snapshot())
            news, self._next = self._next, None
            if news is not None:
                news.set_result(None)
            await asyncio.sleep(LOOK_S)

    def _note(self, snapshot: Snapshot) -> None:
        self.calls = {call.call_sid: _call(call) for call in snapshot.calls}
        self.refused = {
            f"{one.at}-{one.number}-{one.reason}": _refused(one)
            for one in snapshot.refused
        }


class Page:
    """What one page has been told; `business_id` is None for all businesses."""

    def __init__(self, hub: LiveHub, business_id: str | None) -> None:
        self._hub = hub
        self._business_id = business_id
        self._calls: dict[str, bytes] = {}
        self._refused: dict[str, bytes] = {}

    def news(self) -> bytes:
        """Return the events for what has changed since the last time."""
        out = bytearray()
        calls = self._seen(self._hub.calls)
        for call_sid, data in calls.items():
            if self._calls.get(call_sid) != data:
                out += event("call", data)
        for call_sid in self._calls.keys() - calls.keys():
            out += event("gone", msgspec.json.encode(call_sid))
        refused = self._seen(self._hub.refused)
        for name in refused.keys() - self._refused.keys():
            out += event("refused", refused[name])
        self._calls, self._refused = calls, refused
        return bytes(out)

    def names(self) -> bytes:
        """Return which calls there are, for a page that comes back."""
        return msgspec.json.encode(list(self._seen(self._hub.calls)))

    def _seen(self, rows: dict[str, Row]) -> dict[str, bytes]:
        mine = self._business_id
        return {
            name: row.data
            for name, row in rows.items()
            if mine is None or row.business_id == mine
        }


def _call(call: LiveCall) -> Row:
    shown: dict[str, Any] = msgspec.to_builtins(call)
    shown["from_number"] = mask_phone(call.from_number)
    del shown["to_number"]
    return Row(call.business_id, msgspec.json.encode(shown))


def _refused(refused: RefusedCall) -> Row:
    return Row(refused.business_id, msgspec.json.encode(refused))
