"""What the live pages of one process show: looked at once for all of them.

Nothing is asked while no page is open. What has changed from one look to the next is
written once for all pages of a business, and once for those of all businesses: of a
call that was known, only the fields that changed. A page that missed a look is told
whole rows. A page holds no rows of its own, so that one that is open for a day needs no
more memory than a new one.
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
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.supervised import SupervisedTask

# A row appears within this time of its call, and the way to the browser.
LOOK_S = 0.25
# Pages are written one after the other, so that frames of calls pass in between.
STEP_S = 0.01
STEPS = 10
# Open pages of one process; a browser that is refused tries again.
PAGES_MAX = 100


class Row(NamedTuple):
    """A call or a refusal as the pages are told it, whole and field by field."""

    business_id: str
    data: bytes
    fields: dict[str, Any]


class Seen(NamedTuple):
    """What a page shows after a look. It is shared, and nobody changes it."""

    calls: dict[str, Row]
    refused: dict[str, Row]


NOTHING = Seen({}, {})


class LiveHub:
    """The newest look at the running calls, shared by all pages of the process."""

    def __init__(self, live: LivePort, metrics: Metrics) -> None:
        # How many looks there were.
        self.looks = 0
        self._now = self._before = NOTHING
        # Of the newest look, by business; None: of all.
        self._seen: dict[str | None, Seen] = {None: NOTHING}
        self._seen_before: dict[str | None, Seen] = {}
        self._news: dict[str | None, bytes] = {}
        self._known: dict[str, tuple[LiveCall, Row]] = {}
        self._live = live
        self._watchers = 0
        # How many pages were ever opened.
        self._pages = 0
        self._task = SupervisedTask("live_hub", self._keep_looking, metrics)
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
        if not self._watchers:
            self._task.start()
        self._watchers += 1
        self._pages += 1
        try:
            yield self._pages % STEPS * STEP_S
        finally:
            self._watchers -= 1
            if not self._watchers:
                self._task.cancel()

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
        # A call that is as it was keeps its row.
        known: dict[str, tuple[LiveCall, Row]] = {}
        for call in snapshot.calls:
            before = self._known.get(call.call_sid)
            if before is None or before[0] != call:
                before = call, _call(call)
            known[call.call_sid] = before
        self._known = known
        refused = {
            f"{one.at}-{one.number}-{one.reason}": _refused(one)
            for one in snapshot.refused
        }
        calls = {call_sid: row for call_sid, (_, row) in known.items()}
        self._seen_before, self._news = self._seen, {}
        self._before, self._now = self._now, Seen(calls, refused)
        self._seen = {None: self._now}
        self.looks += 1

    def seen(self, business_id: str | None) -> Seen:
        """Return what a page shows; `business_id` is None for all businesses."""
        if business_id not in self._seen:
            self._seen[business_id] = _of(self._now, business_id)
        return self._seen[business_id]

    def news(self, business_id: str | None) -> bytes:
        """Return the events from the last look but one to the last."""
        if business_id not in self._news:
            before = self._seen_before.get(business_id)
            if before is None:
                before = _of(self._before, business_id)
            self._news[business_id] = _changes(before, self.seen(business_id))
        return self._news[business_id]


class Page:
    """What one page has been told; `business_id` is None for all businesses."""

    def __init__(self, hub: LiveHub, business_id: str | None) -> None:
        self._hub = hub
        self._business_id = business_id
        self._told = NOTHING
        # The look of which it was told; before the first there is none.
        self._look = -1

    def news(self) -> bytes:
        """Return the events for what has changed since the last time."""
        hub, look = self._hub, self._look
        before, self._told = self._told, hub.seen(self._business_id)
        self._look = hub.looks
        if look == hub.looks:
            return b""
        if look == hub.looks - 1:
            return hub.news(self._business_id)
        return _changes(before, self._told, is_whole=True)

    def names(self) -> bytes:
        """Return which calls there are, for a page that comes back."""
        return msgspec.json.encode(list(self._hub.seen(self._business_id).calls))


def _of(seen: Seen, business_id: str | None) -> Seen:
    """Return what is of one business."""
    if business_id is None:
        return seen
    calls, refused = (
        {name: row for name, row in rows.items() if row.business_id == business_id}
        for rows in seen
    )
    return Seen(calls, refused)


def _changes(before: Seen, now: Seen, *, is_whole: bool = False) -> bytes:
    """Return the events that lead from what was seen before to what is seen now."""
    out = bytearray()
    for call_sid, row in now.calls.items():
        was = before.calls.get(call_sid)
        if was is row or (was is not None and was.data == row.data):
            continue
        if was is None or is_whole:
            out += event("call", row.data)
            continue
        changed = {
            name: value
            for name, value in row.fields.items()
            if was.fields[name] != value
        }
        changed["call_sid"] = call_sid
        out += event("change", msgspec.json.encode(changed))
    for call_sid in before.calls.keys() - now.calls.keys():
        out += event("gone", msgspec.json.encode(call_sid))
    for name, row in now.refused.items():
        if name not in before.refused:
            out += event("refused", row.data)
    return bytes(out)


def _call(call: LiveCall) -> Row:
    shown: dict[str, Any] = msgspec.to_builtins(call)
    shown["from_number"] = mask_phone(call.from_number)
    del shown["to_number"]
    return Row(call.business_id, msgspec.json.encode(shown), shown)


def _refused(refused: RefusedCall) -> Row:
    return Row(refused.business_id, msgspec.json.encode(refused), {})
