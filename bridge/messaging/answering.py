"""Answers what is unanswered in a conversation: one turn of the assistant.

A turn is what a writer wrote together, all that the model says and does about it, and
the replies. Everything is stored as it comes (`crm.message_turns`), so a turn may stop
at any `await`, and any process goes on with it. The model is not asked again for what
it has said. A tool runs again only if nobody knows how it ended; the calendar's tools
then say that it was so before.

A model that fails is asked again, after growing pauses. After `late_after_s` the writer
is told once that it takes longer. What the writer adds meanwhile is taken up before the
model is asked again, and before a late answer goes out.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import structs

from bridge.agent.tools import Tool, ToolRunner
from bridge.messaging import history, writing_prompt
from bridge.messaging.calendar_links import with_links
from bridge.messaging.history import Bounds
from bridge.messaging.media_input import Fetch, MediaInput
from bridge.messaging.model_failure import Failure, ModelFailed
from bridge.messaging.progress import Progress
from bridge.messaging.sentences import FAILED, LATE, in_language
from bridge.messaging.turn_steps import TurnSteps
from bridge.messaging.writing_tools import Reply, writing_tools
from bridge.settings.message_options import MessageOptions, apart, message_options
from bridge.settings.options import merge_valid
from bridge.settings.prices import cost_of
from bridge.settings.process import Settings
from bridge.telemetry.log import CallLogger
from bridge.telemetry.metrics import Metrics
from crm import leads, message_turns, messages, two_channels
from crm.businesses import Business
from crm.conversations import Conversation
from crm.database import Database
from crm.message_turns import Turn
from crm.message_work import Held, LeaseLost
from crm.messages import Draft
from crm.transient import DATABASE_ERRORS

if TYPE_CHECKING:
    from bridge.messaging.model_run import Client

# When the writer is told that the answer takes longer.
LATE_AFTER_S = 20.0
# Pauses before the model is asked again; after the last one the turn is given up.
PAUSES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
# The vendor may ask for a longer pause, but not for a longer one than this.
PAUSE_S_MAX = 60.0
# A turn is given up rather than begun again after this. With one more request it is
# below the messenger's `ANSWER_S_MAX`.
ANSWER_WAIT_S = 130.0
# The model's answers in one turn: find, offer and book take three.
RESPONSES_MAX = 12


class _Job(NamedTuple):
    """A turn and where it belongs."""

    held: Held
    business: Business
    conversation: Conversation
    options: MessageOptions
    turn: Turn
    progress: Progress
    tools: Mapping[str, Tool]
    runner: ToolRunner
    log: CallLogger
    begun_at: float  # On the loop's clock.
    is_blind: bool = False  # After a refusal: its pictures may be why.


class Answerer:
    """Answers conversations of one process, until `close`."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        metrics: Metrics,
        *,
        media: Fetch | None = None,
        public_url: str = "",
        late_after_s: float = LATE_AFTER_S,
        pauses_s: Sequence[float] = PAUSES_S,
        request_wait_s: float | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._database = database
        self._metrics = metrics
        self._media = MediaInput(database, media, pauses_s)
        self._public_url = public_url.rstrip("/")
        self._late_after_s = late_after_s
        self._pauses_s = tuple(pauses_s)
        self._request_wait_s = request_wait_s
        self._now = now
        self._client: Client | None = None

    async def close(self) -> None:
        """Close the connections to the model."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def answer(
        self,
        held: Held,
        business: Business,
        conversation: Conversation,
        said: Callable[[], None] = lambda: None,
    ) -> None:
        """Answer what is unanswered; the replies wait to be sent then.

        Begins a turn, or goes on with the one that runs, and ends it. `said` is called
        after a message was added that is to be sent while the turn goes on. Raises
        database errors and LeaseLost. Cancelled at any moment, it goes on at the next
        call, here or in another process.
        """
        options, _ = message_options(self._settings.message, business.settings)
        model = options.whatsapp_model
        turn = await message_turns.begin(self._database, held, model)
        if turn is None:
            return
        job = await self._job(held, business, conversation, options, turn)
        delay_notice = asyncio.create_task(self._tell_of_delay(job, said))
        try:
            replies = await self._replies(job)
        finally:
            delay_notice.cancel()
            await asyncio.gather(delay_notice, return_exceptions=True)
        await self._end(job, replies)

    async def _job(
        self,
        held: Held,
        business: Business,
        conversation: Conversation,
        options: MessageOptions,
        turn: Turn,
    ) -> _Job:
        async with self._database.tenant(business.id) as connection:
            runs = await message_turns.tools(connection, business.id, turn.id)
        call_options, _ = merge_valid(self._settings.call, apart(business.settings)[0])
        tools = writing_tools(
            self._database, business, conversation, turn.key, call_options
        )
        log = CallLogger(turn.key, str(business.id))
        runner = ToolRunner(
            tools,
            deadline_ms=self._settings.tool_deadline_ms,
            log=log,
            metrics=self._metrics,
            logs_speech=self._settings.log_transcripts,
        )
        progress = Progress(turn, runs)
        return _Job(
            held=held,
            business=business,
            conversation=conversation,
            options=options,
            turn=turn,
            progress=progress,
            tools=tools,
            runner=runner,
            log=log,
            begun_at=asyncio.get_running_loop().time() - turn.age.total_seconds(),
        )

    # --- the turn ---

    async def _replies(self, job: _Job) -> list[Reply]:
        """Return what the writer is sent; [] where the turn is given up."""
        loop = asyncio.get_running_loop()
        until = loop.time() + ANSWER_WAIT_S
        if job.turn.tries > 1 and not job.progress.replies():
            job = await self._with_more(job)
        for pause_s in (*self._pauses_s, None):
            try:
                job = await self._go_on(job)
                return job.progress.replies()
            except ModelFailed as failure:
                self._note(job, failure.failure.value)
                job.log.warning("[MESSAGE] the model failed: %s", failure)
                waits_s = min(max(pause_s or 0.0, failure.wait_s), PAUSE_S_MAX)
                is_over = pause_s is None or loop.time() + waits_s > until
                if is_over or failure.failure is Failure.STEPS:
                    return []
                if failure.failure is Failure.REFUSED:
                    job = job._replace(is_blind=True)
            await asyncio.sleep(waits_s)
            job = await self._with_more(job)
        raise AssertionError("the last pause ends the turn")

    async def _go_on(self, job: _Job) -> _Job:
        """Bring a turn to its replies; raises ModelFailed."""
        while True:
            steps = self._steps(job)
            for call in job.progress.open_calls:
                await steps.run(call.call_id)
            if not job.progress.replies():
                await self._ask(job)
                self._note(job, "ok")
            if not job.progress.replies():
                raise ModelFailed(Failure.ODD, "an answer without words")
            if not self._is_late(job):
                return job
            more = await self._with_more(job)
            if more is job:
                return job
            job = more

    async def _ask(self, job: _Job) -> None:
        from bridge.messaging.model_run import Asked

        job = await self._heard(job)
        left = RESPONSES_MAX - job.progress.answers
        if left <= 0:
            raise ModelFailed(Failure.STEPS, f"{RESPONSES_MAX} answers in one turn")
        asked = Asked(
            job.options.whatsapp_model,
            *await self._read(job),
            job.tools,
            left,
            str(job.business.id),
            str(job.conversation.id),
        )
        await self._model().ask(asked, self._steps(job))

    def _steps(self, job: _Job) -> TurnSteps:
        return TurnSteps(
            self._database, job.held, job.turn.id, job.progress, job.runner
        )

    def _model(self) -> "Client":
        from bridge.messaging.model_run import REQUEST_WAIT_S, Client

        if self._client is None:
            wait_s = self._request_wait_s or REQUEST_WAIT_S
            self._client = Client(self._settings, wait_s)
        return self._client

    async def _read(self, job: _Job) -> tuple[str, list[history.Item]]:
        """Return the instructions and the input of the model."""
        business, conversation, options = job.business, job.conversation, job.options
        lead, spoken = None, []
        async with self._database.tenant(business.id) as connection:
            before = await messages.of_conversation(
                connection,
                business.id,
                conversation.id,
                options.message_history_max + len(job.turn.asked),
            )
            if conversation.phone is not None:
                lead = await leads.read(connection, business.id, conversation.phone)
            if lead is not None:
                spoken = await two_channels.calls(
                    connection, business.id, lead.id, writing_prompt.CALLS_MAX
                )
        bounds = Bounds(options.message_history_max, options.message_history_tokens)
        turn = _replaced(job.turn, job.progress)
        seen = () if job.is_blind else job.turn.asked
        items = history.items(
            before,
            turn,
            job.progress.outputs,
            await self._media.pictures(job.conversation, seen),
            bounds,
            ZoneInfo(business.time_zone),
        )
        now = self._now()
        return writing_prompt.instructions(business, lead, now, spoken), items

    async def _heard(self, job: _Job) -> _Job:
        """Return the turn with what its voice notes say, where that is to be asked."""
        model = job.options.whatsapp_transcription_model
        if not model:
            return job
        transcribe = partial(self._model().transcribe, model)
        asked, used = await self._media.hear(
            job.held, job.conversation, job.turn.asked, transcribe
        )
        if used:
            await message_turns.add_items(
                self._database, job.held, job.turn.id, (), used
            )
            job.progress.add((), used)
        return job._replace(turn=structs.replace(job.turn, asked=asked))

    async def _with_more(self, job: _Job) -> _Job:
        """Return the turn with what was written since, or as it is."""
        turn = await message_turns.take_more(self._database, job.held, job.turn.id)
        if len(turn.asked) == len(job.turn.asked):
            return job
        job.progress.add(turn.items[len(job.progress.items) :])
        return job._replace(turn=turn)

    async def _end(self, job: _Job, replies: Sequence[Reply]) -> None:
        """End the turn: its replies, or that it is given up."""
        failed = Draft(in_language(FAILED, job.business.language), author="service")
        drafts = [Draft(one.text, one.content) for one in replies] or [failed]
        given = job.business, job.turn.key, self._public_url
        drafts = await with_links(self._database, drafts, *given)
        why = next((one.hold_why for one in replies if one.hold_why), "")
        usage, model = job.progress.usage, job.options.whatsapp_model
        hears = job.options.whatsapp_transcription_model
        cost = cost_of(usage, model, hears, self._settings.openai_prices)
        await message_turns.end(
            self._database,
            job.held,
            job.turn.id,
            drafts,
            cost=cost,
            is_failed=not replies,
            hold_why=why,
        )
        outcome = "held" if why else "answered" if replies else "failed"
        self._metrics.count("message_answers", outcome=outcome)
        job.log.info(
            "[MESSAGE] %s: messages=%d responses=%d tools=%d %.1f s",
            outcome,
            len(job.turn.asked),
            job.progress.answers,
            len(job.progress.calls),
            _age_s(job),
        )

    def _is_late(self, job: _Job) -> bool:
        return _age_s(job) >= self._late_after_s

    async def _tell_of_delay(self, job: _Job, said: Callable[[], None]) -> None:
        """Tell the writer once that the answer takes longer."""
        await asyncio.sleep(max(0.0, self._late_after_s - _age_s(job)))
        text = in_language(LATE, job.business.language)
        draft = Draft(text, author="service", about=f"late:{job.turn.id}")
        try:
            added = await message_turns.say(
                self._database, job.held, job.turn.id, draft
            )
        except (LeaseLost, *DATABASE_ERRORS) as error:
            # The turn itself meets the same, and ends by it.
            job.log.warning("[MESSAGE] not told of the wait: %s", type(error).__name__)
            return
        if added is not None:
            self._metrics.count("message_answers_late")
            said()

    def _note(self, job: _Job, outcome: str) -> None:
        self._metrics.count("message_model_requests", outcome=outcome)


def _age_s(job: _Job) -> float:
    return asyncio.get_running_loop().time() - job.begun_at


def _replaced(turn: Turn, progress: Progress) -> Turn:
    """Return a turn with the items that it has by now."""
    return structs.replace(turn, items=tuple(dict(one) for one in progress.items))
