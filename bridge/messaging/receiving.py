"""What the two webhooks of messages do: write down what came, and nothing else.

A message is written in one transaction together with the work it makes; who answers it
is another process. While the database is unreachable, a webhook's form goes to a
journal on disk, and from there into the database when it is back, so that nothing is
lost. Twilio delivers a message once: it repeats a webhook only where no connection was
made, unless the URL asks for more (twilio.com/docs/usage/webhooks/
webhooks-connection-overrides, `rc` and `rp`). So a form that neither the database nor
the disk takes is answered with an error, and Twilio tries the fallback URL.

The MessageSid makes a message unique: one that is delivered or read twice is one.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from time import monotonic, time
from uuid import UUID

import msgspec

from bridge.business.directory import BusinessDirectory
from bridge.messaging import sentences
from bridge.messaging.inbound import Inbound, InboundError, Wish, read_inbound
from bridge.messaging.window import STARTED, STOPPED
from bridge.records.journal import MESSAGES_FOLDER, Journal, Taken
from bridge.records.refused import RefusedRecords
from bridge.settings.message_options import MessageOptions, message_options
from bridge.telemetry.log import CallLogger, mask_phone, server_logger
from bridge.telemetry.masking import one_line
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.supervised import Backoff, SupervisedTask
from crm import conversations, messages
from crm.businesses import Business
from crm.conversations import Arrived, Received
from crm.database import Database
from crm.messages import Draft
from crm.patience import answer
from crm.transient import DATABASE_ERRORS, is_about_the_row, is_transient

# Twilio gives a webhook up after 15 s, and the guard of webhooks after 12.
DATABASE_WAIT_S = 5.0
# Calls share the database's connections with messages, and come first.
CONNECTIONS_MAX = 2
# What waits for the database; a form has some 2 KB, and no more than 64 KB.
FORMS_WAITING_MAX = 10_000
RETRY_S_MIN = 0.5
RETRY_S_MAX = 15.0
# People type in pieces: how long more messages are waited for after the last one.
JOIN_PAUSE = timedelta(seconds=1.5)
LOGGED_CHARS_MAX = 500
# Twilio's codes have five.
CODE_DIGITS_MAX = 6


class JournalFull(Exception):
    """Neither the database nor the journal takes a form: it must be answered with an
    error."""


class _Kept(msgspec.Struct, frozen=True):
    """A webhook that waits to be written, since `at`; `query` is set for a status."""

    form: dict[str, str]
    query: dict[str, str] | None = None
    # 0: an earlier version has kept it, and nobody knows.
    at: float = 0.0


class MessageReceiver:
    """The messages of one process, from `start` to `close`."""

    def __init__(
        self,
        database: Database,
        directory: BusinessDirectory,
        options: MessageOptions,
        metrics: Metrics,
        home: Path,
        *,
        logs_bodies: bool = False,
        now: Callable[[], float] = time,
    ) -> None:
        self._database = database
        self._directory = directory
        self._options = options
        self._metrics = metrics
        self._logs_bodies = logs_bodies
        self._now = now
        self._journal = Journal(home / MESSAGES_FOLDER)
        # What the database refuses for good, for a person to look at.
        self._refused = RefusedRecords(home / MESSAGES_FOLDER)
        self._has_more = asyncio.Event()
        self._backoff = Backoff(RETRY_S_MIN, RETRY_S_MAX)
        self._task = SupervisedTask("messages", self._run, metrics)

    @property
    def waiting(self) -> int:
        """How many webhooks wait on disk for the database."""
        return self._journal.waiting

    def gauges(self) -> dict[str, tuple[str, float]]:
        """Return the gauges of what waits."""
        text = "Messages and statuses that wait on disk for the database"
        return {"messages_waiting": (text, self.waiting)}

    def start(self) -> None:
        """Open the journal and write what an earlier run could not; raises OSError."""
        self._database = self._database.share(CONNECTIONS_MAX)
        self._journal.open(monotonic())
        if self._journal.waiting:
            server_logger().warning(
                "[MESSAGE] %d of an earlier run are to be written", self.waiting
            )
        self._task.start()

    async def close(self) -> None:
        """Stop; what is not written stays on disk."""
        await self._task.stop()
        if self.waiting:
            server_logger().error("[MESSAGE] %d wait on disk", self.waiting)
        await asyncio.to_thread(self._journal.close)

    # --- webhooks ---

    async def receive(self, form: dict[str, str]) -> None:
        """Keep a message that came in; raises JournalFull where nothing takes it."""
        await self._keep_safely(_Kept(form, at=self._now()))

    async def note_status(self, form: dict[str, str], query: Mapping[str, str]) -> None:
        """Keep what Twilio says of a message of ours; raises JournalFull, too.

        The query names the message, and is signed as the form is.
        """
        await self._keep_safely(_Kept(form, dict(query), self._now()))

    async def _keep_safely(self, kept: _Kept) -> None:
        if self._journal.waiting:
            # What came before is written first.
            await self._to_disk(kept)
            return
        try:
            await answer(self._write(kept), DATABASE_WAIT_S)
        except Exception as error:
            server_logger().warning(
                "[MESSAGE] not written (%s): it waits on disk",
                type(error).__name__,
                exc_info=None if isinstance(error, DATABASE_ERRORS) else error,
            )
            await self._to_disk(kept)

    async def _to_disk(self, kept: _Kept) -> None:
        try:
            if self._journal.waiting >= FORMS_WAITING_MAX:
                raise OSError(f"{FORMS_WAITING_MAX} wait already")
            record = msgspec.json.encode(kept)
            await asyncio.to_thread(self._journal.append, [record])
        except OSError as error:
            self._count("refused_by_disk")
            raise JournalFull(f"the journal takes no message: {error}") from None
        self._count("journaled")
        self._has_more.set()

    # --- into the database ---

    async def _write(self, kept: _Kept) -> None:
        """Write a message or a status; raises the database's error."""
        if kept.query is not None:
            await self._write_status(kept.form, kept.query)
            return
        try:
            inbound = read_inbound(kept.form)
        except InboundError as error:
            self._count(f"bad_{error.reason}")
            server_logger().warning("[MESSAGE] not received: %s", error)
            return
        found = await self._directory.find(inbound.own_number, inbound.account_sid)
        if found is None:
            self._count("unknown_number")
            server_logger().warning(
                "[MESSAGE] no business has %s", mask_phone(inbound.own_number)
            )
            return
        options, _ = message_options(self._options, found.business.settings)
        if not options.whatsapp:
            self._count("off")
            _log(inbound, found.business).warning(
                "[MESSAGE] from %s: the business has WHATSAPP off",
                mask_phone(inbound.writer),
            )
            return
        waited_s = max(0.0, self._now() - kept.at) if kept.at else 0.0
        received = await self._receive(
            inbound, found.business, options, timedelta(seconds=waited_s)
        )
        self._note(inbound, found.business, received)

    async def _receive(
        self,
        inbound: Inbound,
        business: Business,
        options: MessageOptions,
        waited: timedelta,
    ) -> Received:
        arrived = Arrived(
            inbound.sid,
            inbound.body,
            own_number=inbound.own_number,
            account_sid=inbound.account_sid,
            writer=inbound.writer,
            profile_name=inbound.profile_name,
            media=[msgspec.structs.asdict(one) for one in inbound.media],
            choice=inbound.choice,
            waited=waited,
        )
        told = {
            wish: Draft(
                sentences.in_language(words, business.language),
                author="service",
                purpose=purpose,
            )
            for wish, purpose, words in _WISHES
            if wish is inbound.wish
        }
        return await conversations.receive(
            self._database,
            business.id,
            arrived,
            per_minute_max=options.limit_messages_per_writer_per_minute,
            pause=JOIN_PAUSE,
            stop_with=told.get(Wish.STOP),
            start_with=told.get(Wish.START),
            may_answer=inbound.may_answer,
        )

    def _note(self, inbound: Inbound, business: Business, received: Received) -> None:
        log = _log(inbound, business)
        outcome = _outcome(received)
        self._count(outcome)
        if received.is_unoffered:
            self._count("unoffered_choice")
            log.warning("[MESSAGE] took a choice that was not offered here")
        if inbound.is_cut:
            self._count("cut")
        if outcome == "refused" and not received.is_first_refused:
            return
        said = f" {one_line(inbound.body)[:LOGGED_CHARS_MAX]!r}"
        log.info(
            "[MESSAGE] in from %s: %s, media=%d%s",
            mask_phone(inbound.writer),
            outcome,
            len(inbound.media),
            said if self._logs_bodies else "",
        )

    async def _write_status(
        self, form: Mapping[str, str], query: Mapping[str, str]
    ) -> None:
        sid, status = form.get("MessageSid", ""), form.get("MessageStatus", "")
        try:
            business_id, message_id = UUID(query["b"]), UUID(query["m"])
        except (KeyError, ValueError):
            self._metrics.count("message_statuses", status="of_no_message")
            return
        is_known = status in messages.CARRIER_STATUSES
        if not is_known:
            server_logger().warning("[MESSAGE] unknown status %r", status[:32])
        text = form.get("ErrorCode", "")
        is_code = text.isascii() and text.isdecimal() and len(text) <= CODE_DIGITS_MAX
        is_news = await messages.note_status(
            self._database,
            business_id,
            message_id,
            sid,
            status,
            int(text) if is_code else None,
            (form.get("ErrorMessage") or form.get("ChannelStatusMessage", "")).replace(
                "\0", ""
            ),
        )
        noted = (status if is_news else "no_news") if is_known else "unknown"
        self._metrics.count("message_statuses", status=noted)
        if is_news and is_code:
            log = CallLogger(sid, str(business_id))
            log.warning("[MESSAGE] %s, code %s", status, text)

    def _count(self, outcome: str) -> None:
        self._metrics.count("messages_in", outcome=outcome)

    # --- from the journal ---

    async def _run(self) -> None:
        """Write what waits on disk, the oldest first; wait where that fails."""
        while True:
            self._has_more.clear()
            taken = await asyncio.to_thread(self._journal.take, monotonic())
            if taken is not None:
                await self._settle(taken)
                continue
            wait_s = await asyncio.to_thread(self._journal.wait_s, monotonic())
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._has_more.wait()

    async def _settle(self, taken: Taken) -> None:
        try:
            await self._write(msgspec.json.decode(taken.record, type=_Kept))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            await self._put_aside(taken, error)
        except Exception as error:
            if is_about_the_row(error):
                await self._put_aside(taken, error)
            elif is_transient(error):
                # The same one is taken again: the order stays.
                await asyncio.sleep(self._backoff.next_s())
                return
            else:
                server_logger().error("[MESSAGE] one is not written", exc_info=error)
                due_at = monotonic() + RETRY_S_MAX
                await asyncio.to_thread(self._journal.put_back, due_at)
                return
        self._backoff.reset()
        await asyncio.to_thread(self._journal.drop)

    async def _put_aside(self, taken: Taken, error: Exception) -> None:
        self._count("put_aside")
        # The database's words quote the row: what was written, and who wrote it.
        server_logger().error(
            "[MESSAGE] the database refuses one (%s): it is put aside",
            type(error).__name__,
        )
        text = f"{type(error).__name__}: {error}"
        await asyncio.to_thread(self._refused.add, taken.record, text)


_WISHES = (
    (Wish.STOP, STOPPED, sentences.STOPPED),
    (Wish.START, STARTED, sentences.STARTED),
)


def _outcome(received: Received) -> str:
    if received.is_repeated:
        return "repeated"
    if received.is_refused:
        return "refused"
    return "for_people" if received.is_for_people else "received"


def _log(inbound: Inbound, business: Business) -> CallLogger:
    return CallLogger(inbound.sid, str(business.id))
