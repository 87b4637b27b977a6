"""Conversations: what a business and a person write to each other.

A conversation is known by its channel and its two numbers. The assistant answers it,
unless a person of the business holds it. A writer who wants no messages has stopped it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from crm import leads, message_work, messages, open_questions, opting_out, phones
from crm.database import Database
from crm.messages import Draft

WHATSAPP, CONSOLE = "whatsapp", "console"
# More of one message is not kept: WhatsApp's own limit is 4,096 characters.
BODY_CHARS_MAX = 4_096
PROFILE_CHARS_MAX = 200
_MINUTE = timedelta(minutes=1)


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation; `last_inbound_at` opens the carrier's window of 24 hours."""

    id: UUID
    channel: str
    writer: str
    own_number: str
    account_sid: str
    profile_name: str
    lead_id: UUID | None
    created_at: datetime
    last_inbound_at: datetime | None
    held_since: datetime | None
    held_why: str
    stopped_at: datetime | None
    # Of the lead.
    lead_phone: str | None = None

    @property
    def phone(self) -> str | None:
        """The writer's number as their lead has it; None for a chat of the console,
        and for a number that no plan can hold.

        It may differ from `writer`, which answers go to: WhatsApp knows a mobile of
        Mexico as +52 1, and one of Brazil without its 9.
        """
        if self.channel != WHATSAPP:
            return None
        return self.lead_phone or phones.read(self.writer, "ZZ")


_COLUMNS = ", ".join(
    "l.phone as lead_phone" if name == "lead_phone" else f"c.{name}"
    for name in Conversation.__struct_fields__
)


class Arrived(NamedTuple):
    """A message that has come in. `sid` names it, however often it is delivered."""

    sid: str
    body: str
    # In the console '' for both; there `writer` is a name of the chat.
    own_number: str = ""
    account_sid: str = ""
    writer: str = ""
    channel: str = WHATSAPP
    profile_name: str = ""
    media: Sequence[Mapping[str, Any]] = ()
    # The id of a choice that was taken.
    choice: str = ""
    # How long it has waited to be written.
    waited: timedelta = timedelta(0)


class Received(NamedTuple):
    """What became of a message that has come in.

    `is_refused`: the writer has reached their limit; the message is kept and is not
    answered. `is_first_refused`: it is the first such message within a minute.
    `is_for_people`: the assistant does not answer it. `is_unoffered`: it took a choice
    that this conversation has not offered, and has none.
    """

    conversation_id: UUID
    message_id: UUID | None
    is_repeated: bool = False
    is_refused: bool = False
    is_first_refused: bool = False
    is_for_people: bool = False
    is_unoffered: bool = False


class _Opened(NamedTuple):
    id: UUID
    is_held: bool
    is_stopped: bool
    # Whether a STOP or START has come in after this message.
    is_outdone: bool


async def receive(
    db: Database,
    business_id: UUID,
    arrived: Arrived,
    *,
    per_minute_max: int = 0,
    pause: timedelta = timedelta(0),
    stop_with: Draft | None = None,
    start_with: Draft | None = None,
    may_answer: bool = False,
) -> Received:
    """Write a message that has come in, and that there is something to answer.

    Creates the conversation and the writer's lead. A message that was received before
    changes nothing. `per_minute_max`: more messages than this within a minute are
    refused; 0: no limit. `pause` is how long more of them are waited for. `stop_with`:
    the writer wants no messages, and is told so with this; `start_with`: they want them
    again; over the limit they are not told. Of two such words the one that came in
    last holds, whichever is written first. `may_answer`: the word of STOP is none where
    a question is open. A conversation that is held or stopped leaves the message to
    people.
    """
    began_at = monotonic()
    async with db.tenant(business_id) as connection:
        # The database's time is that of the transaction, which waits for a connection.
        waited = arrived.waited + timedelta(seconds=monotonic() - began_at)
        arrived = arrived._replace(waited=waited)
        opened = await _open(connection, business_id, arrived)
        own = (connection, business_id, opened.id)
        is_offered = bool(arrived.choice) and await open_questions.was_offered(
            *own, arrived.choice
        )
        if is_offered or (may_answer and await open_questions.is_asked(*own)):
            # The assistant has asked; the answer is no word to the channel.
            stop_with = start_with = None
        is_wish = stop_with is not None or start_with is not None
        is_left = opened.is_held or opened.is_stopped or stop_with is not None
        received = await _write(
            connection,
            business_id,
            arrived,
            Received(
                opened.id,
                None,
                is_for_people=is_left,
                is_unoffered=bool(arrived.choice) and not is_offered,
            ),
            per_minute_max,
        )
        if received.is_repeated:
            return received
        await _note_inbound(*own, arrived, is_wish=is_wish)
        words = None
        if opened.is_outdone:
            stop_with = start_with = None
        if stop_with is not None:
            words = stop_with if await opting_out.stop(*own) else None
        elif opened.is_stopped and start_with is not None:
            words = start_with if await opting_out.start(*own) else None
        # A writer must not have more sent to them by STOP and START than by questions.
        if words is not None and not received.is_refused:
            await messages.add(*own, words)
        if not is_left and not received.is_refused:
            await message_work.add(connection, business_id, opened.id, pause)
    return received


async def _write(
    connection: Any,
    business_id: UUID,
    arrived: Arrived,
    received: Received,
    per_minute_max: int,
) -> Received:
    """Write a message, unless it was received before; return what became of it."""
    own = (business_id, received.conversation_id)
    recent = await connection.fetchrow(
        "select count(*) as count, count(*) filter (where status = 'refused') "
        "as refused from messages where business_id = $1 "
        "and conversation_id = $2 and direction = 'in' "
        "and created_at > now() - $3::interval "
        # By an index.
        "and position > extract(epoch from now() - $3::interval)::bigint * 1000000",
        *own,
        arrived.waited + _MINUTE,
    )
    is_refused = bool(per_minute_max) and recent["count"] >= per_minute_max
    message_id = await connection.fetchval(
        "insert into messages (business_id, conversation_id, direction, author, "
        "sid, body, media, choice, status, created_at) values ($1, $2, 'in', 'writer', "
        "$3, $4, $5, $6, $7, now() - $8::interval) "
        "on conflict (business_id, sid) do nothing returning id",
        *own,
        arrived.sid,
        arrived.body.replace("\0", "")[:BODY_CHARS_MAX],
        [dict(one) for one in arrived.media],
        "" if received.is_unoffered else arrived.choice,
        _status(is_refused=is_refused, is_for_people=received.is_for_people),
        arrived.waited,
    )
    return received._replace(
        message_id=message_id,
        is_repeated=message_id is None,
        is_refused=is_refused,
        is_first_refused=is_refused and not recent["refused"],
    )


def _status(*, is_refused: bool, is_for_people: bool) -> str:
    if is_refused:
        return "refused"
    return "kept" if is_for_people else "received"


async def _open(connection: Any, business_id: UUID, arrived: Arrived) -> _Opened:
    """Return a message's conversation, locked until the transaction ends."""
    row = await connection.fetchrow(
        "insert into conversations as c (business_id, channel, writer, own_number, "
        "account_sid, profile_name) values ($1, $2, $3, $4, $5, $6) "
        "on conflict (business_id, channel, writer, own_number) do update set "
        "account_sid = excluded.account_sid, "
        "profile_name = coalesce(nullif(excluded.profile_name, ''), c.profile_name) "
        "returning id, held_since is not null as is_held, "
        "stopped_at is not null as is_stopped, "
        "coalesce(wished_at > now() - $7::interval, false) as is_outdone",
        business_id,
        arrived.channel,
        arrived.writer,
        arrived.own_number,
        arrived.account_sid,
        arrived.profile_name.replace("\0", "")[:PROFILE_CHARS_MAX],
        arrived.waited,
    )
    return _Opened(**dict(row))


async def _note_inbound(
    connection: Any,
    business_id: UUID,
    conversation_id: UUID,
    arrived: Arrived,
    *,
    is_wish: bool,
) -> None:
    lead_id = None
    phone = phones.read(arrived.writer, "ZZ") if arrived.channel == WHATSAPP else None
    if phone is not None:
        lead_id = await leads.note_message(connection, business_id, phone)
    await connection.execute(
        "update conversations set lead_id = $3, "
        "last_inbound_at = greatest(last_inbound_at, now() - $4::interval), "
        "wished_at = case when $5 then greatest(wished_at, now() - $4::interval) "
        "else wished_at end where business_id = $1 and id = $2",
        business_id,
        conversation_id,
        lead_id,
        arrived.waited,
        is_wish,
    )


async def open_for(
    connection: Any, business_id: UUID, writer: str, own_number: str, account_sid: str
) -> UUID:
    """Return a writer's conversation, created if new, for a message of the business's
    own accord, in a transaction."""
    arrived = Arrived("", "", own_number, account_sid, writer)
    conversation_id = (await _open(connection, business_id, arrived)).id
    phone = phones.read(writer, "ZZ")
    await connection.execute(
        "update conversations c set lead_id = l.id from leads l "
        "where c.business_id = $1 and c.id = $2 and l.business_id = $1 "
        "and l.phone = $3",
        business_id,
        conversation_id,
        phone and await leads.known_as(connection, business_id, phone),
    )
    return conversation_id


async def get(
    db: Database, business_id: UUID, conversation_id: UUID
) -> Conversation | None:
    """Return one conversation."""
    async with db.tenant(business_id) as connection:
        return await read(connection, business_id, conversation_id)


async def read(
    connection: Any, business_id: UUID, conversation_id: UUID
) -> Conversation | None:
    """Return one conversation, in a transaction."""
    row = await connection.fetchrow(
        f"select {_COLUMNS} from conversations c left join leads l "
        "on l.business_id = c.business_id and l.id = c.lead_id "
        "where c.business_id = $1 and c.id = $2",
        business_id,
        conversation_id,
    )
    return None if row is None else Conversation(**dict(row))


async def lock(connection: Any, business_id: UUID, conversation_id: UUID) -> None:
    """Let nobody else write in a conversation until the transaction ends."""
    await connection.execute(
        "select from conversations where business_id = $1 and id = $2 "
        "for no key update",
        business_id,
        conversation_id,
    )


async def hold(
    connection: Any, business_id: UUID, conversation_id: UUID, why: str
) -> bool:
    """Leave a conversation to people, in a transaction; tell whether it was not so
    before. A reason adds a notice. What nobody has begun to answer is left, too; of
    what is being answered the answer is not sent."""
    done: str = await connection.execute(
        "update conversations set held_since = now(), held_why = $3 "
        "where business_id = $1 and id = $2 and held_since is null",
        business_id,
        conversation_id,
        why,
    )
    if not done.endswith(" 1"):
        return False
    await messages.leave(connection, business_id, conversation_id)
    await connection.execute(
        "update message_turns set is_overtaken = true where business_id = $1 "
        "and conversation_id = $2 and state = 'running'",
        business_id,
        conversation_id,
    )
    return True


async def hand_back(db: Database, business_id: UUID, conversation_id: UUID) -> bool:
    """Let the assistant answer again; tell whether a person held the conversation.

    What the writer wrote meanwhile was for the person, and is not answered.
    """
    async with db.tenant(business_id) as connection:
        done: str = await connection.execute(
            "update conversations set held_since = null, held_why = '' "
            "where business_id = $1 and id = $2 and held_since is not null",
            business_id,
            conversation_id,
        )
    return done.endswith(" 1")
