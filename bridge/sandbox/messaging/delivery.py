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

Not verified: that a callback tells of `queued`; 63021 for sizes; 63024 and not 63003.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from bridge.sandbox.messaging.contents import SESSION_ONLY
from bridge.sandbox.messaging.message_records import (
    API_VERSION,
    PREFIX,
    Clock,
    Message,
    RefusalError,
)
from bridge.sandbox.messaging.webhooks import Signer, Webhooks

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
    """A message on its way: those it waits for, and when its writer has seen it."""

    message: Message
    rng: random.Random
    failure: Failure | None
    waits: list[_Trip] = field(default_factory=list)
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    reports: list[dict[str, str]] = field(default_factory=list)
    posting: asyncio.Task[None] | None = None


class Courier:
    """Takes messages to the inboxes and reports on them to the StatusCallback."""

    def __init__(
        self,
        clock: Clock,
        seed: int,
        ways: Ways,
        signer: Signer,
        fetch: Callable[[Message], Awaitable[None]],
    ) -> None:
        self._clock = clock
        self._seed = seed
        self._ways = ways
        self._signer = signer
        self._fetch = fetch
        self._trips: dict[tuple[str, str], list[_Trip]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: deque[Failure] = deque()
        self._goes_on = asyncio.Event()
        self._goes_on.set()
        self.inboxes: dict[str, Inbox] = {}
        self.webhooks: Webhooks | None = None
        self.problems: list[str] = []

    def fail_next(self, *failures: Failure) -> None:
        """Let the next messages fail, one each."""
        self._failures.extend(failures)

    def accept(self, message: Message) -> None:
        """Take a message on its way."""
        pair = (message.sender, message.to)
        earlier = [
            trip for trip in self._trips.get(pair, ()) if not trip.is_over.is_set()
        ]
        # What chance makes of a message does not depend on how long others take.
        rng = random.Random(f"{self._seed} {message.number}")
        failure = self._failures.popleft() if self._failures else None
        trip = _Trip(message, rng, failure)
        # What was sent before this message was created is seen before it.
        trip.waits = [one for one in earlier if one.message.is_gone.is_set()]
        waiting = [one for one in earlier if not one.message.is_gone.is_set()]
        if waiting and rng.random() < self._ways.swaps:
            waiting[-1].waits.append(trip)
        else:
            trip.waits += waiting[-1:]
        self._trips[pair] = [*earlier, trip]
        self._start(self._carry(trip))

    def hold(self) -> None:
        """Leave all messages `queued` that are not `sent` yet."""
        self._goes_on.clear()

    def go_on(self) -> None:
        """End a hold."""
        self._goes_on.set()

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
        try:
            is_delivered = await self._deliver(trip)
        finally:
            trip.is_over.set()
        if is_delivered and self._ways.reads:
            await self._pause(trip)
            self._turn(trip, "read")

    async def _deliver(self, trip: _Trip) -> bool:
        """Take a message to its writer; return whether they see it."""
        message, failure = trip.message, trip.failure
        self._report(trip, message.status)
        await self._pause(trip)
        await self._goes_on.wait()
        try:
            if failure is not None and failure.status == "failed":
                raise RefusalError(400, failure.code, "on demand")
            inbox = self._show(message)
            await self._fetch(message)
        except RefusalError as error:
            self._turn(trip, "failed", error)
            return False
        while waits := [one for one in trip.waits if not one.is_over.is_set()]:
            await waits[0].is_over.wait()
        self._turn(trip, "sent")
        await self._pause(trip)
        if failure is not None:
            refusal = RefusalError(400, failure.code, "on demand")
            self._turn(trip, "undelivered", refusal)
            return False
        inbox.show(message)
        self._turn(trip, "delivered")
        return True

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

    async def _pause(self, trip: _Trip) -> None:
        await asyncio.sleep(trip.rng.uniform(*self._ways.step_s))

    # --- callbacks ---

    def _turn(
        self, trip: _Trip, status: str, error: RefusalError | None = None
    ) -> None:
        trip.message.turn(status, self._clock.now(), error)
        self._report(trip, status)

    def _report(self, trip: _Trip, status: str) -> None:
        message, ways = trip.message, self._ways
        if message.callback is None:
            return
        if trip.rng.random() >= ways.loses:
            copies = 2 if trip.rng.random() < ways.repeats else 1
            trip.reports += [self._fields(message, status)] * copies
        last = ("failed", "undelivered", "read" if ways.reads else "delivered")
        if ways.order == "reversed" and status not in last:
            return
        reports, trip.reports = trip.reports, []
        if ways.order == "reversed":
            reports.reverse()
        earlier = None if ways.order == "any" else trip.posting
        trip.posting = self._start(self._post(trip, reports, earlier))

    async def _post(
        self,
        trip: _Trip,
        reports: list[dict[str, str]],
        earlier: asyncio.Task[None] | None,
    ) -> None:
        url = trip.message.callback or ""
        if earlier is not None:
            await earlier
        for report in reports:
            await asyncio.sleep(trip.rng.uniform(*self._ways.late_s))
            if self.webhooks is None:
                self.problems.append(f"11200 {url}: no bridge to call")
                return
            headers = self._signer.headers(url, report)
            answer = await self.webhooks.post(url, report, headers)
            if answer.problem:
                self.problems.append(answer.problem)

    def _fields(self, message: Message, status: str) -> dict[str, str]:
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
        if message.error_code is not None:
            fields["ErrorCode"] = str(message.error_code)
            fields["ChannelStatusMessage"] = message.error_message or ""
        return fields
