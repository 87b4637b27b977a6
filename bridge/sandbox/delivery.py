"""From an accepted message to its writer: the window, the order, statuses, callbacks.

A message is `queued`, then `sent`, `delivered` and, if its writer shows it, `read`; or
`failed` with a code. https://www.twilio.com/docs/messaging/guides/
track-outbound-message-status tells the fields of a callback.

- A writer's message opens their window for 24 hours of the sandbox's clock. Outside it
  a message fails with 63016, but an approved template, and even then no list picker
  (https://www.twilio.com/docs/api/errors/63016).
- A number without WhatsApp is 63024; a file that cannot be fetched 63019; a file of a
  type or size that WhatsApp does not take, 63021.
- Two messages to one writer may change places, unless the first was `sent` before the
  second was created.

Not verified: that a callback tells of `queued`; 63021 for types and sizes.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from bridge.sandbox.contents import SESSION_ONLY
from bridge.sandbox.message_records import (
    API_VERSION,
    PREFIX,
    Clock,
    Message,
    RefusalError,
)
from bridge.sandbox.webhooks import Signer, Webhooks

WINDOW = timedelta(hours=24)
TYPING = timedelta(seconds=25)
_CHANNEL_SID = "XE" + "0" * 32
_EVENTS = frozenset(("delivered", "read", "undelivered"))


@dataclass
class Ways:
    """How messages and callbacks go; change it at any time, also between messages.

    Pairs are bounds in seconds, shares are from 0 to 1. `order` "reversed" holds a
    message's callbacks until its last status and posts that one first; "any" lets each
    go by itself, after its own `late_s`.
    """

    step_s: tuple[float, float] = (0.0, 0.01)  # from one status to the next
    late_s: tuple[float, float] = (0.0, 0.0)  # of a callback
    order: Literal["right", "any", "reversed"] = "right"
    repeats: float = 0.0  # the share of callbacks that are posted twice
    loses: float = 0.0  # the share of callbacks that are never posted
    swaps: float = 0.5  # the share of messages that overtake the one before
    reads: bool = True  # the writer shows what they have read


class Failure(NamedTuple):
    """What becomes of a message on demand, with Twilio's code."""

    code: int
    status: Literal["failed", "undelivered"] = "failed"


class Typing(NamedTuple):
    """The business is seen to type: since when, and at which message of the writer."""

    at: datetime
    message_sid: str


@dataclass
class Inbox:
    """A WhatsApp user: what they see, in the order in which they see it."""

    number: str
    seen: list[Message] = field(default_factory=list)
    typing: list[Typing] = field(default_factory=list)
    wrote_at: dict[str, datetime] = field(default_factory=dict)  # to which sender
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def window_is_open(self, sender: str, now: datetime) -> bool:
        """Return whether the business may write what it likes."""
        last = self.wrote_at.get(sender)
        return last is not None and now - last < WINDOW

    def show(self, message: Message) -> None:
        """Let the user see a message; nobody types any longer."""
        self.seen.append(message)
        self._change()

    def type(self, typing: Typing) -> None:
        """Let the user see that the business types."""
        self.typing.append(typing)
        self._change()

    async def wait(self) -> None:
        """Wait until the user sees something new; several may wait."""
        await self._changed.wait()

    def _change(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def is_typing(self, now: datetime) -> bool:
        """Return whether the user sees the business type."""
        if not self.typing:
            return False
        began = self.typing[-1].at
        replied = any(
            message.sent_at and message.sent_at > began for message in self.seen
        )
        return not replied and now - began < TYPING

    @property
    def swapped(self) -> list[tuple[Message, Message]]:
        """Return the neighbours that the user sees in another order than created."""
        pairs = zip(self.seen, self.seen[1:], strict=False)
        return [(one, two) for one, two in pairs if one.number > two.number]


@dataclass
class _Trip:
    """A message on its way: whom it waits for, and when its writer has seen it."""

    message: Message
    after: _Trip | None = None
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    reports: list[dict[str, str]] = field(default_factory=list)
    posting: asyncio.Task[None] | None = None


class Courier:
    """Takes messages to the inboxes and reports on them to the StatusCallback."""

    def __init__(
        self,
        clock: Clock,
        rng: random.Random,
        ways: Ways,
        signer: Signer,
        fetch: Callable[[Message], Awaitable[None]],
    ) -> None:
        self._clock = clock
        self._rng = rng
        self._ways = ways
        self._signer = signer
        self._fetch = fetch
        self._last: dict[tuple[str, str], _Trip] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: deque[Failure] = deque()
        self.inboxes: dict[str, Inbox] = {}
        self.webhooks: Webhooks | None = None
        self.problems: list[str] = []

    def fail_next(self, *failures: Failure) -> None:
        """Let the next messages fail, one each."""
        self._failures.extend(failures)

    def accept(self, message: Message) -> None:
        """Take a message on its way."""
        pair = (message.sender, message.to)
        before, trip = self._last.get(pair), _Trip(message)
        self._last[pair] = trip
        if before is not None:
            overtakes = self._rng.random() < self._ways.swaps
            if overtakes and not before.message.is_gone.is_set():
                before.after = trip
            else:
                trip.after = before
        self._start(self._carry(trip))

    async def settle(self) -> None:
        """Wait until nothing is on its way and every callback is posted."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        """Stop; what is on its way is lost."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self.webhooks is not None:
            await self.webhooks.close()

    def _start(self, work: Awaitable[None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _carry(self, trip: _Trip) -> None:
        message = trip.message
        self._report(trip, message.status)
        await self._pause()
        failure = self._failures.popleft() if self._failures else None
        try:
            if failure is not None and failure.status == "failed":
                raise RefusalError(400, failure.code, "on demand")
            inbox = self._show(message)
            await self._fetch(message)
        except RefusalError as error:
            self._turn(trip, "failed", error.code)
            trip.is_over.set()
            return
        while trip.after is not None and not trip.after.is_over.is_set():
            await trip.after.is_over.wait()
        self._turn(trip, "sent")
        await self._pause()
        if failure is None:
            inbox.show(message)
            self._turn(trip, "delivered")
        else:
            self._turn(trip, "undelivered", failure.code)
        trip.is_over.set()
        if failure is None and self._ways.reads:
            await self._pause()
            self._turn(trip, "read")

    def _show(self, message: Message) -> Inbox:
        """Return the inbox that takes the message, or refuse as WhatsApp does."""
        inbox = self.inboxes.get(message.to.removeprefix(PREFIX))
        if inbox is None:
            raise RefusalError(400, 63024, f"{message.to} is not on WhatsApp")
        is_open = inbox.window_is_open(message.sender, self._clock.now())
        content = message.content
        if not is_open and (
            content is None
            or content.approval != "approved"
            or content.kind in SESSION_ONLY
        ):
            raise RefusalError(400, 63016, "outside the 24 hours: a template, please")
        if content is not None:
            message.shown = content.show(message.variables, is_open)
            message.body = message.shown.body
            message.media_urls = list(message.shown.media_urls)
        return inbox

    async def _pause(self) -> None:
        await asyncio.sleep(self._rng.uniform(*self._ways.step_s))

    # --- callbacks ---

    def _turn(self, trip: _Trip, status: str, code: int | None = None) -> None:
        trip.message.turn(status, self._clock.now(), code)
        self._report(trip, status, code)

    def _report(self, trip: _Trip, status: str, code: int | None = None) -> None:
        message, ways = trip.message, self._ways
        if message.callback is None:
            return
        report = self._fields(message, status, code)
        if self._rng.random() < ways.loses:
            return
        copies = 2 if self._rng.random() < ways.repeats else 1
        trip.reports += [report] * copies
        is_last = status in ("failed", "undelivered", "read") or (
            status == "delivered" and not ways.reads
        )
        if ways.order == "reversed" and not is_last:
            return
        reports, trip.reports = trip.reports, []
        if ways.order == "reversed":
            reports.reverse()
        earlier = None if ways.order == "any" else trip.posting
        trip.posting = self._start(self._post(message.callback, reports, earlier))

    async def _post(
        self,
        url: str,
        reports: list[dict[str, str]],
        earlier: asyncio.Task[None] | None,
    ) -> None:
        if earlier is not None:
            await earlier
        for report in reports:
            await asyncio.sleep(self._rng.uniform(*self._ways.late_s))
            if self.webhooks is None:
                self.problems.append(f"11200 {url}: no bridge to call")
                return
            headers = self._signer.headers(url, report)
            answer = await self.webhooks.post(url, report, headers)
            if answer.problem:
                self.problems.append(answer.problem)

    def _fields(
        self, message: Message, status: str, code: int | None
    ) -> dict[str, str]:
        fields = {
            "AccountSid": message.account_sid,
            "ApiVersion": API_VERSION,
            "ChannelInstallSid": _CHANNEL_SID,
            "ChannelPrefix": "whatsapp",
            "ChannelToAddress": message.to.removeprefix(PREFIX)[:-4] + "XXXX",
            "From": message.sender,
            "MessageSid": message.sid,
            "MessageStatus": status,
            "SmsSid": message.sid,
            "SmsStatus": status,
            "StructuredMessage": "true" if message.content else "false",
            "To": message.to,
        }
        if message.service_sid:
            fields["MessagingServiceSid"] = message.service_sid
        if status in _EVENTS:
            fields["EventType"] = status.upper()
        if code is not None:
            fields["ErrorCode"] = str(code)
            fields["ChannelStatusMessage"] = f"the message failed with {code}"
        return fields
