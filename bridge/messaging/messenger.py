"""Works through the conversations that have something to do: answers, then sends.

One object in each messenger process. The database hands each conversation to one
process at a time, under a lease that is renewed while it is worked on. Everything that
is done is written down as it is done, so a process may die or be stopped at any moment:
another one goes on. This module owns which conversation is worked on, for how long, and
what a writer hears where the model may not be asked. `Answers` and `Sends` own the
rest.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from bridge.business import quotas
from bridge.business.quotas import Limit
from bridge.messaging.sentences import FAILED, SPENT, in_language
from bridge.settings.message_options import MessageOptions, apart, message_options
from bridge.settings.options import merge_valid
from bridge.settings.process import Settings
from bridge.telemetry.log import server_logger
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.supervised import Backoff, SupervisedTask, note_failure
from crm import (
    admissions,
    businesses,
    conversations,
    message_turns,
    message_work,
    notices,
)
from crm.businesses import Business
from crm.conversations import CONSOLE, WHATSAPP, Conversation
from crm.database import Database
from crm.message_turns import Waiting
from crm.message_work import Held, LeaseLost
from crm.messages import Draft
from crm.transient import DATABASE_ERRORS

# How often a process that has room looks for what is due.
LOOK_S = 0.2
# While the database is away the looks are further apart, up to this.
AWAY_S_MAX = 2.0
# Conversations that one process works on at once. Nearly all of that time is the
# model's.
CONVERSATIONS_MAX = 256
# A quarter of the lease: three renewals may fail.
RENEW_S = 5.0
# Twilio's indicator shows for 25 s (twilio.com/docs/whatsapp/api/
# typing-indicators-resource).
TYPING_S = 20.0
# How often, while a turn goes on, what a person of the business writes is looked for.
BESIDE_S = 5.0
# Longer than all of a turn's requests and tools, each of which has its own deadline.
ANSWER_S_MAX = 180.0
SEND_S_MAX = 120.0
# A turn that was begun this often is given up, and the writer is told.
TURN_TRIES_MAX = 5
# Pauses after a failure: each twice the one before.
PAUSE_S_MIN, PAUSE_S_MAX = 0.5, 300.0
# How long what runs may go on when the process stops.
FINISH_S = 10.0


class Answers(Protocol):
    """Answers what is unanswered in a conversation."""

    async def answer(
        self,
        held: Held,
        business: Business,
        conversation: Conversation,
        said: Callable[[], None],
    ) -> None:
        """Add the replies to what waits to be sent; raises LeaseLost.

        `said` is to be called after a message was added that must be sent at once,
        while the turn goes on. A failure of the model is an answer, too. Cancelled at
        any moment, it goes on at the next call.
        """


class Sends(Protocol):
    """Gives to the carrier what waits in a conversation."""

    async def send(
        self, held: Held, business: Business, conversation: Conversation
    ) -> timedelta | None:
        """Send in order; return after how long there is more to do, None for never.

        Raises LeaseLost. Cancelled at any moment, it goes on at the next call.
        """


class Typing(Protocol):
    """Shows the writer that an answer is on its way."""

    async def show_typing(self, account_sid: str, message_sid: str) -> bool:
        """Show it for some 25 s; tell whether the carrier has taken it."""


class Job(NamedTuple):
    """A claimed conversation, as it is when its work begins."""

    held: Held
    business: Business
    conversation: Conversation
    waiting: Waiting | None


class Messenger:
    """The conversations of one process, from `start` to `stop`."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        metrics: Metrics,
        answers: Answers,
        sends: Sends,
        typing: Typing,
        *,
        holder: UUID | None = None,
        conversations_max: int = CONVERSATIONS_MAX,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._database = database
        self._metrics = metrics
        self._answers = answers
        self._sends = sends
        self._typing = typing
        self._max = conversations_max
        self._now = now
        self._holder = holder or uuid4()
        # What is worked on, by conversation; a task outlives its entry while it gives
        # the conversation back.
        self._held: dict[UUID, tuple[Held, asyncio.Task[None]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._claiming = SupervisedTask("messenger", self._claim_all, metrics)
        self._renewing = SupervisedTask("leases", self._renew_all, metrics)

    @property
    def working(self) -> int:
        """How many conversations are worked on."""
        return len(self._tasks)

    def start(self) -> None:
        """Begin to look for what is due, in the running loop."""
        self._claiming.start()
        self._renewing.start()

    async def stop(self, within_s: float = FINISH_S) -> None:
        """Claim nothing more; finish what runs within a bound, give back the rest."""
        await self._claiming.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)
        if self._tasks:
            server_logger().warning(
                "[MESSAGE] %d conversations are left to others", len(self._tasks)
            )
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._renewing.stop()
        try:
            await message_work.free(self._database, self._holder)
        except DATABASE_ERRORS as error:
            # The leases end by themselves.
            server_logger().warning(
                "[MESSAGE] leases are not given back: %s", type(error).__name__
            )

    # --- leases ---

    async def _claim_all(self) -> None:
        away = Backoff(LOOK_S, AWAY_S_MAX)
        while True:
            room = self._max - len(self._tasks)
            try:
                given = self._database, self._holder, room
                claimed = await message_work.claim(*given) if room else []
            except DATABASE_ERRORS as error:
                server_logger().warning(
                    "[MESSAGE] no conversation claimed: %s", type(error).__name__
                )
                await asyncio.sleep(away.next_s())
                continue
            away.reset()
            for held in claimed:
                self._begin(held)
            if claimed and len(claimed) == room:
                self._metrics.count("messenger_full")
            await asyncio.sleep(LOOK_S)

    def _begin(self, held: Held) -> None:
        if held.conversation_id in self._held:
            # The lease had ended while this process was frozen: the task goes on.
            return
        task = asyncio.get_running_loop().create_task(self._work(held))
        self._held[held.conversation_id] = held, task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _renew_all(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            await self.renew()

    async def renew(self) -> None:
        """Renew the leases; work whose lease has gone to another process ends."""
        running = [held for held, _ in self._held.values()]
        if not running:
            return
        try:
            kept = await message_work.renew(self._database, self._holder, running)
        except DATABASE_ERRORS as error:
            server_logger().warning(
                "[MESSAGE] leases are not renewed: %s", type(error).__name__
            )
            return
        for held in running:
            entry = self._held.get(held.conversation_id)
            if held.conversation_id not in kept and entry and entry[0] is held:
                del self._held[held.conversation_id]
                self._metrics.count("conversations", outcome="lost")
                entry[1].cancel()

    # --- one conversation ---

    async def _work(self, held: Held) -> None:
        """Work on a conversation and give it back; every failure has its pause."""
        pause = pause_after(held.tries)
        try:
            again, outcome = await self._serve(held), "done"
        except LeaseLost:
            self._metrics.count("conversations", outcome="lost")
            self._held.pop(held.conversation_id, None)
            return
        except DATABASE_ERRORS as error:
            again, outcome = pause, "failed"
            server_logger().warning(
                "[MESSAGE] a conversation waits: %s", type(error).__name__
            )
        except Exception as error:
            again, outcome = pause, "failed"
            note_failure(self._metrics, "conversation", error)
        self._held.pop(held.conversation_id, None)
        self._metrics.count("conversations", outcome=outcome)
        try:
            has_failed = outcome == "failed"
            await message_work.release(
                self._database, held, again, has_failed=has_failed
            )
        except DATABASE_ERRORS as error:
            # The lease ends by itself.
            server_logger().warning(
                "[MESSAGE] a conversation is not given back: %s", type(error).__name__
            )

    async def _serve(self, held: Held) -> timedelta | None:
        job = await self._read(held)
        if job is None:
            return None
        if job.waiting is not None:
            await self._answer(job, job.waiting)
        return await self._send(job)

    async def _read(self, held: Held) -> Job | None:
        """Return the conversation as it is; None if it is gone."""
        own = (held.business_id, held.conversation_id)
        async with self._database.tenant(held.business_id) as connection:
            conversation = await conversations.read(connection, *own)
            business = await businesses.read(connection, held.business_id)
            if conversation is None or business is None:
                return None
            waiting = await message_turns.waiting(connection, *own)
        return Job(held, business, conversation, waiting)

    async def _answer(self, job: Job, waiting: Waiting) -> None:
        """Have a conversation answered, unless people answer it or nobody may."""
        held, business, conversation, _ = job
        if waiting.tries >= TURN_TRIES_MAX:
            await self._end_turn(job, FAILED, None)
            self._metrics.count("message_turns_given_up")
            return
        # A turn that runs comes to its end: it may have asked for a person itself.
        if not waiting.tries:
            if not self._may_answer(job):
                return
            if await self._is_spent(job):
                today = self._now().astimezone(ZoneInfo(business.time_zone)).date()
                about = f"{Limit.COST.value}:{conversation.id}:{today}"
                await self._end_turn(job, SPENT, about)
                return
        has_said = asyncio.Event()
        beside = [asyncio.create_task(self._send_beside(job, has_said))]
        if conversation.channel == WHATSAPP and waiting.last_sid:
            showing = self._show_typing(conversation.account_sid, waiting.last_sid)
            beside.append(asyncio.create_task(showing))
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                await self._answers.answer(held, business, conversation, has_said.set)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def _send_beside(self, job: Job, has_said: asyncio.Event) -> None:
        """Send what a turn says before its end, and what people write meanwhile, until
        cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(BESIDE_S):
                    await has_said.wait()
            has_said.clear()
            await self._send(job)

    async def _send(self, job: Job) -> timedelta | None:
        if job.conversation.channel == CONSOLE:
            return None
        async with asyncio.timeout(SEND_S_MAX):
            return await self._sends.send(job.held, job.business, job.conversation)

    def _may_answer(self, job: Job) -> bool:
        conversation = job.conversation
        if conversation.held_since is not None or conversation.stopped_at is not None:
            return False
        return conversation.channel == CONSOLE or self.options_of(job.business).whatsapp

    def options_of(self, business: Business) -> MessageOptions:
        """Return the settings of a business; a wrong one is logged and left away."""
        options, wrong = message_options(self._settings.message, business.settings)
        for line in wrong:
            server_logger().error(
                "a setting of the business is ignored: %s",
                line,
                extra={"business": str(business.id)},
            )
        return options

    async def _is_spent(self, job: Job) -> bool:
        """Tell whether the business has no money left today; note that it acted."""
        business = job.business
        of_calls, _ = merge_valid(self._settings.call, apart(business.settings)[0])
        if not of_calls.limit_cost_per_day:
            return False
        async with self._database.tenant(business.id) as connection:
            used = await admissions.usage(connection, business.id, self._now())
            if not quotas.is_spent(of_calls, used):
                return False
            await notices.note_limit(connection, business.id, Limit.COST.value)
        self._metrics.count("limits_reached", limit=Limit.COST.value)
        return True

    async def _end_turn(
        self, job: Job, texts: dict[str, str], about: str | None
    ) -> None:
        """End the turn with a sentence in the model's place; once for each `about`."""
        turn = await message_turns.begin(self._database, job.held, "")
        if turn is None:
            return
        text = in_language(texts, job.business.language)
        draft = Draft(text, author="service", about=about)
        await message_turns.end(
            self._database, job.held, turn.id, [draft], cost=None, is_failed=True
        )

    async def _show_typing(self, account_sid: str, message_sid: str) -> None:
        """Show that an answer comes, again and again until cancelled."""
        show = self._typing.show_typing
        while await show(account_sid, message_sid):  # noqa: ASYNC110 it fades by itself
            await asyncio.sleep(TYPING_S)
        self._metrics.count("typing_failures")


def pause_after(tries: int) -> timedelta:
    """Return how long a conversation waits whose work has failed so often."""
    return timedelta(seconds=min(PAUSE_S_MIN * 2 ** min(tries, 20), PAUSE_S_MAX))
