"""Sends what waits of one conversation: in order, once, and only what may be sent.

`Outbox.send` does all that can be done now and says when to look again. It keeps
nothing: whatever process has the conversation goes on from what the database has.

- **Once.** A message is `trying` before it is given to Twilio, so that after a lost
  answer, or a death of the process, nobody sends it blindly again. Its fate is looked
  up at Twilio first, when the list has had time to show it (FATE_WAIT). A status that
  comes to the callback, which names the message, settles it, too.
- **In order.** Twilio promises none between two messages. The next goes out when the
  one before is `sent`, or after ORDER_WAIT.
- **In parts.** A text that is longer than Twilio takes becomes several messages.
- **Only what may be sent**: `bridge.messaging.window` decides, right before. A message
  that Twilio refuses as text for the closed window (63016) is replaced by the template
  of its purpose, once.
- What nobody asked for goes out from another number of the business where Twilio says
  that this one is no sender (63007).
- What Twilio refuses for the message's own sake fails at once: PERMANENT lists the
  codes. What it refuses for the account's sake waits until the account is in order. Any
  other refusal is tried again with growing pauses, some times.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from bridge.messaging.composing import Composer, SendContext
from bridge.messaging.contents import Contents
from bridge.messaging.inbound import one_space
from bridge.messaging.splitting import UNITS_MAX, split, units_of
from bridge.messaging.twilio_messages import (
    NotSent,
    Refused,
    Sent,
    TwilioError,
    TwilioMessages,
)
from bridge.messaging.window import ASKED_FOR, Way
from bridge.settings.message_options import MessageOptions
from bridge.telemetry.log import mask_phone
from bridge.telemetry.metrics import Metrics
from crm import message_sending, messages
from crm.businesses import Business
from crm.conversations import Conversation
from crm.database import Database
from crm.message_sending import WINDOW_CLOSED
from crm.message_work import Held
from crm.messages import Message

# How long the message before may take to be sent, and how often Twilio is asked.
ORDER_WAIT = timedelta(seconds=10)
LOOK = timedelta(seconds=1)
# A status comes to the callback within seconds; one that does not is asked for, once in
# a while, as long as it may still come.
STATUS_WAIT = timedelta(seconds=30)
STATUS_WAIT_MAX = timedelta(minutes=5)
# Twilio's list shows a message within seconds; each further try waits longer.
FATE_WAIT = timedelta(seconds=10)
FATE_WAIT_MAX = timedelta(seconds=60)
# From the note that a message is tried to its request. A process that was frozen in
# between sends nothing: another one may have looked for the message, and sent it.
GIVE_S_MAX = 4.0
# Twilio's clock and the database's may differ, and its times have whole seconds.
CLOCKS_DIFFER = timedelta(seconds=60)
PAUSE = timedelta(seconds=1)
PAUSE_MAX = timedelta(seconds=60)
# Tries of a message that Twilio refuses for a reason that is not known to stay.
REFUSED_TRIES_MAX = 6
# One conversation must not keep a process from the others.
SENT_AT_ONCE_MAX = 20
# twilio.com/docs/api/errors, those about this message and its addressee: with the same
# fields the same refusal follows.
PERMANENT = frozenset(
    (
        *(21211, 21604, 21610, 21612, 21614, 21617, 21619, 21620, 21623, 21910),
        *(21654, 21656, 21658, 63003, 63013, 63014, 63021, 63024, 63027, 63028),
        *(63031, 63032),
    )
)
# "ContentSid" names nothing: the resource was deleted at Twilio.
CONTENT_GONE = 21655
# The number is no sender: "Could not find a Channel with the specified From address".
NO_SENDER = 63007
# A number that was none may have become one.
NO_SENDER_KEPT = timedelta(hours=1)


class _Step(NamedTuple):
    """What a step has led to: go on at once, or look again at a time, or never."""

    goes_on: bool
    look_at: datetime | None = None


_GO_ON = _Step(True)
_NO_TIME = timedelta(0)
_ON_ITS_WAY = frozenset(("accepted", "scheduled", "queued", "sending"))


class Outbox:
    """The messages of every business on their way out of one process."""

    def __init__(
        self,
        database: Database,
        twilio: TwilioMessages,
        options: MessageOptions,
        metrics: Metrics,
        public_url: str,
        *,
        account_sid: str = "",
        give_s_max: float = GIVE_S_MAX,
    ) -> None:
        self._give_s_max = give_s_max
        self._database = database
        self._twilio = twilio
        contents = Contents(database, twilio)
        self._composer = Composer(contents, options, public_url)
        self._metrics = metrics
        self._account_sid = account_sid
        # The numbers that Twilio has said to be no senders, and when.
        self._no_senders: dict[str, datetime] = {}

    async def send(
        self, held: Held, business: Business, conversation: Conversation
    ) -> timedelta | None:
        """Send all that may be sent now; return after how long to look again, None if
        nothing waits. Raises LeaseLost, and the database's errors."""
        for _ in range(SENT_AT_ONCE_MAX):
            state = await message_sending.read(
                self._database, held.business_id, conversation.id
            )
            if state is None:
                return None
            account_sid = state.conversation.account_sid or self._account_sid
            step = await self._step(SendContext(held, business, state, account_sid))
            if not step.goes_on:
                later = step.look_at
                return None if later is None else max(later - state.now, _NO_TIME)
        return _NO_TIME

    async def _step(self, context: SendContext) -> _Step:
        state = context.state
        if state.replaced is not None and await self._replace(context, state.replaced):
            return _GO_ON
        if state.next is None:
            return await self._look_after(context)
        if state.before is not None and state.before.position < state.next.position:
            step = await self._wait_for(context, state.before)
            if not step.goes_on:
                return step
        if state.next.status == "trying":
            settled = await self._settle_fate(context, state.next)
            if settled is not None:
                return settled
        elif state.next.due_at > state.now:
            return _Step(False, state.next.due_at)
        return await self._give(context, state.next)

    # --- the message before ---

    async def _look_after(self, context: SendContext) -> _Step:
        """Ask for the status of the last message where no callback has told it: a
        failure may want a template in its place."""
        now, before = context.state.now, context.state.before
        later_at = context.state.later_at
        if before is None or before.sid is None:
            return _Step(False, later_at)
        since = before.tried_at or before.created_at
        if now >= since + STATUS_WAIT_MAX:
            return _Step(False, later_at)
        if now >= since + STATUS_WAIT:
            try:
                found = await self._twilio.fetch(context.account_sid, before.sid)
            except TwilioError:
                return _Step(False, now + STATUS_WAIT)
            is_news = await self._note(context, before, found)
            if is_news and found.status not in _ON_ITS_WAY:
                return _GO_ON
        look_at = max(now, since) + STATUS_WAIT
        return _Step(False, min(look_at, later_at or look_at))

    async def _wait_for(self, context: SendContext, before: Message) -> _Step:
        """Go on when the message before is sent, or has had its time."""
        now, since = context.state.now, before.tried_at or before.created_at
        if now >= since + ORDER_WAIT or before.sid is None:
            return _GO_ON
        if now >= since + LOOK:
            try:
                found = await self._twilio.fetch(context.account_sid, before.sid)
            except TwilioError:
                return _Step(False, now + LOOK)
            is_news = await self._note(context, before, found)
            if is_news and found.status not in _ON_ITS_WAY:
                return _GO_ON
        return _Step(False, min(now + LOOK, since + ORDER_WAIT))

    # --- a message whose fate is not known ---

    async def _settle_fate(
        self, context: SendContext, message: Message
    ) -> _Step | None:
        """Look for a message that may have been sent; None: it was not, send it."""
        now, tried_at = context.state.now, message.tried_at or message.created_at
        wait = min(FATE_WAIT * 2 ** min(message.tries - 1, 8), FATE_WAIT_MAX)
        if now < tried_at + wait:
            return _Step(False, tried_at + wait)
        try:
            found = await self._look_for(context, message, tried_at)
        except TwilioError as error:
            context.log.warning("[MESSAGE] out: it cannot be looked for: %s", error)
            return _Step(False, now + FATE_WAIT)
        if found is None:
            return None
        self._count("found")
        await self._note(context, message, found)
        return _GO_ON

    async def _look_for(
        self, context: SendContext, message: Message, tried_at: datetime
    ) -> Sent | None:
        conversation = context.state.conversation
        # The whole time of its life: an answer may have been lost at any of its tries.
        since = min(tried_at, message.created_at) - CLOCKS_DIFFER
        listed = await self._twilio.find(
            context.account_sid,
            conversation.writer,
            conversation.own_number,
            since.replace(microsecond=0),
        )
        known = await message_sending.known_sids(
            self._database, context.held.business_id, [one.sid for one in listed]
        )
        ours = [one for one in listed if one.sid not in known]
        is_template = self._composer.decide(context, message).way is Way.TEMPLATE
        if message.content is None and not is_template:
            body = one_space(message.body)
            ours = [one for one in ours if one_space(one.body or "") == body]
        # Of content and of a template the list has the text that Twilio made of it, or
        # none. Nobody else gives messages of this conversation to Twilio meanwhile.
        return min(ours, key=_created_at, default=None)

    # --- giving a message to Twilio ---

    async def _give(self, context: SendContext, message: Message) -> _Step:
        decision = self._composer.decide(context, message)
        if decision.way is Way.DROPPED:
            return await self._give_up(context, message, "dropped", None, decision.why)
        if decision.way is Way.LATER and decision.until is not None:
            await message_sending.put_off(
                self._database, context.held, message.id, decision.until
            )
            self._count("put_off")
            return _GO_ON
        try:
            fields = await self._composer.fields(context, message, decision.way)
        except TwilioError as error:
            context.log.warning("[MESSAGE] waits: %s", error)
            return _Step(False, context.state.now + LOOK)
        if units_of(fields.get("Body", "")) > UNITS_MAX:
            # Each part is a message of its own: it has its own name and its own fate.
            parts = split(fields["Body"])
            await message_sending.cut(self._database, context.held, message, parts)
            return _GO_ON
        loop = asyncio.get_running_loop()
        began_at = loop.time()
        if not await messages.begin_try(self._database, context.held, message.id):
            return _GO_ON
        if loop.time() - began_at > self._give_s_max:
            self._count("late")
            return _Step(False, context.state.now + FATE_WAIT)
        return await self._create(context, message, fields)

    async def _create(
        self, context: SendContext, message: Message, fields: dict[str, str]
    ) -> _Step:
        conversation = context.state.conversation
        try:
            given = await self._twilio.create(
                context.account_sid,
                conversation.writer,
                conversation.own_number,
                fields,
            )
        except Refused as error:
            return await self._refused(context, message, error, fields)
        except NotSent as error:
            return await self._try_again(context, message, str(error), None)
        except TwilioError as error:
            # It stays `trying`: nobody knows whether Twilio has it.
            self._count("unknown")
            context.log.warning("[MESSAGE] out: its fate is not known: %s", error)
            return _Step(False, context.state.now + FATE_WAIT)
        await messages.note_given(
            self._database,
            context.held.business_id,
            message.id,
            given.sid,
            given.status,
        )
        self._count("given")
        context.log.info(
            "[MESSAGE] out to %s: given, purpose=%s",
            mask_phone(conversation.writer),
            message.purpose,
        )
        return _GO_ON

    # --- what Twilio refuses ---

    async def _refused(
        self,
        context: SendContext,
        message: Message,
        error: Refused,
        fields: dict[str, str],
    ) -> _Step:
        code = error.code
        if code == NO_SENDER and message.purpose not in ASKED_FOR:
            other = self._other_number(context)
            if other is not None:
                own = context.state.conversation
                given = (self._database, context.held, message.id, own, other)
                await message_sending.move(*given)
                self._count("moved")
                return _GO_ON
        if code == CONTENT_GONE and message.tries == 0:
            await self._composer.forget(context, fields["ContentSid"])
        elif code in (*PERMANENT, WINDOW_CLOSED, CONTENT_GONE) or (
            not error.is_about_account and message.tries + 1 >= REFUSED_TRIES_MAX
        ):
            return await self._give_up(context, message, "failed", code, str(error))
        wait = error.retry_after_s
        return await self._try_again(
            context, message, str(error), None if wait is None else timedelta(0, wait)
        )

    def _other_number(self, context: SendContext) -> str | None:
        """Return the number of the business to be tried after one that is no sender;
        None if each of them is none."""
        now, own = context.state.now, context.state.conversation.own_number
        self._no_senders[own] = now
        since = now - NO_SENDER_KEPT
        numbers = sorted(context.business.numbers, key=lambda one: (one < own, one))
        return next(
            (one for one in numbers if self._no_senders.get(one, since) <= since), None
        )

    async def _try_again(
        self, context: SendContext, message: Message, why: str, wait: timedelta | None
    ) -> _Step:
        pause = min(max(PAUSE * 2 ** min(message.tries, 8), wait or PAUSE), PAUSE_MAX)
        await messages.try_again(self._database, context.held, message.id, pause, why)
        self._count("retried")
        context.log.warning("[MESSAGE] out: tried again in %s: %s", pause, why)
        return _Step(False, context.state.now + pause)

    async def _give_up(
        self,
        context: SendContext,
        message: Message,
        status: str,
        code: int | None,
        why: str,
    ) -> _Step:
        await messages.give_up(
            self._database, context.held, message.id, status, code, why
        )
        self._count(status)
        context.log.warning(
            "[MESSAGE] out to %s: %s, purpose=%s: %s",
            mask_phone(context.state.conversation.writer),
            status,
            message.purpose,
            why,
        )
        return _GO_ON

    async def _replace(self, context: SendContext, message: Message) -> bool:
        """Put the template of its purpose in a message's place; False if there is
        none."""
        draft = self._composer.replacement(context, message)
        if draft is None:
            return False
        await messages.send_other(self._database, context.held, message, draft)
        self._count("replaced")
        return True

    async def _note(self, context: SendContext, message: Message, found: Sent) -> bool:
        own = (self._database, context.held.business_id, message.id, found.sid)
        return await messages.note_status(
            *own, found.status, found.error_code, found.error_message or ""
        )

    def _count(self, outcome: str) -> None:
        self._metrics.count("messages_out", outcome=outcome)


def _created_at(one: Sent) -> datetime:
    return one.created_at or datetime.max.replace(tzinfo=UTC)
