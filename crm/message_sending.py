"""What is to be sent of a conversation next, and all that decides how.

Read in one transaction, with the database's time: the clocks of nodes differ.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from crm import announcements, conversations, message_work, messages
from crm.conversations import Conversation
from crm.database import Database
from crm.message_work import Held
from crm.messages import Draft, Message

# Twilio's code for text outside the carrier's window of 24 hours.
WINDOW_CLOSED = 63016
# A message that failed for the window is replaced within this time.
REPLACED_WITHIN = timedelta(days=1)


class Outgoing(NamedTuple):
    """A conversation as it stands: `now` is the database's time.

    `next` is the first message that is not given to the carrier and is due, or was
    tried before: it keeps its place. `later_at` is when another one is due. `before` is
    the last given one that is not known to be sent. `replaced` is one that the carrier
    refused as text, and that has no other in its place. `is_closed`: the carrier
    refused text that it was given after the writer's last message. `is_taken_over`: a
    person took the conversation over before the turn of `next` had ended.
    `is_outdated`: what `next` says of an appointment or a call is not so any more.
    """

    now: datetime
    conversation: Conversation
    next: Message | None = None
    before: Message | None = None
    replaced: Message | None = None
    later_at: datetime | None = None
    is_closed: bool = False
    is_not_contacted: bool = False
    is_taken_over: bool = False
    is_outdated: bool = False


async def read(
    db: Database, business_id: UUID, conversation_id: UUID
) -> Outgoing | None:
    """Return what is to be sent next; None where there is no such conversation."""
    async with db.tenant(business_id) as connection:
        found = await conversations.read(connection, business_id, conversation_id)
        if found is None:
            return None
        rows = await connection.fetch(
            f"(select {messages.COLUMNS}, 'next' as role from messages m "
            "where business_id = $1 and conversation_id = $2 and direction = 'out' "
            "and status in ('waiting', 'trying') and (tries > 0 or due_at <= now()) "
            "order by position limit 1) union all "
            f"(select {messages.COLUMNS}, 'before' as role from messages m "
            "where business_id = $1 and conversation_id = $2 and direction = 'out' "
            "and status in ('accepted', 'scheduled', 'queued', 'sending') "
            "order by position desc limit 1) union all "
            f"(select {messages.COLUMNS}, 'replaced' as role from messages m "
            "where business_id = $1 and conversation_id = $2 and direction = 'out' "
            "and error_code = $3 and created_at > now() - $4::interval "
            "and coalesce(about, '') not like 'instead:%' "
            "and not exists (select from messages o where o.business_id = $1 "
            "and o.conversation_id = $2 and o.about = 'instead:' || m.id) "
            "order by position limit 1)",
            business_id,
            conversation_id,
            WINDOW_CLOSED,
            REPLACED_WITHIN,
        )
        turns = [row["turn_id"] for row in rows if row["role"] == "next"]
        facts = await connection.fetchrow(
            "select now() as now, exists (select from messages where business_id = $1 "
            "and conversation_id = $2 and error_code = $3 "
            "and tried_at > coalesce($4::timestamptz, '-infinity')) as is_closed, "
            "(select min(due_at) from messages where business_id = $1 "
            "and conversation_id = $2 and direction = 'out' and status = 'waiting' "
            "and tries = 0 and due_at > now()) as later_at, "
            "coalesce((select do_not_contact from leads where business_id = $1 "
            "and id = $5), false) as is_not_contacted, "
            "exists (select from message_turns where business_id = $1 "
            "and id = any ($6) and (is_overtaken "
            "or coalesce(ended_at, now()) > $7::timestamptz)) as is_taken_over",
            business_id,
            conversation_id,
            WINDOW_CLOSED,
            found.last_inbound_at,
            found.lead_id,
            turns,
            found.held_since,
        )
        of_role = {row["role"]: _message(row) for row in rows}
        waits = of_role.get("next")
        is_outdated = waits is not None and await announcements.is_outdated(
            connection, business_id, waits.purpose, waits.about or ""
        )
    return Outgoing(
        conversation=found,
        next=waits,
        before=of_role.get("before"),
        replaced=of_role.get("replaced"),
        is_outdated=is_outdated,
        **dict(facts),
    )


def _message(row: Mapping[str, Any]) -> Message:
    fields = {name: row[name] for name in Message.__struct_fields__}
    return Message(**fields)


async def cut(db: Database, held: Held, message: Message, parts: Sequence[str]) -> None:
    """Replace a message that is too long by its parts, in order and once; raises
    LeaseLost. Choices that went with it stand in the parts.

    The parts take the message's place: what follows it goes out after them.
    """
    async with db.tenant(held.business_id) as connection:
        await message_work.check(connection, held)
        done: str = await connection.execute(
            "update messages set body = $3, content = null, status = 'waiting', "
            "tries = 0 where business_id = $1 and id = $2 "
            "and status in ('waiting', 'trying')",
            held.business_id,
            message.id,
            parts[0],
        )
        if not done.endswith(" 1"):
            return
        for number, part in enumerate(parts[1:], start=2):
            draft = Draft(
                part,
                author=message.author,
                made_by=message.made_by,
                purpose=message.purpose,
                about=f"part:{message.id}:{number}",
            )
            own = (held.business_id, held.conversation_id)
            part_id = await messages.add(connection, *own, draft, message.turn_id)
            await connection.execute(
                "update messages set position = $3 where business_id = $1 and id = $2",
                held.business_id,
                part_id,
                # Positions are microseconds: no other message is so near.
                message.position + number - 1,
            )


async def put_off(db: Database, held: Held, message_id: UUID, until: datetime) -> None:
    """Let a message wait that the carrier does not have, and others go before it;
    raises LeaseLost. Its tries are forgotten: one that was tried keeps its place."""
    async with db.tenant(held.business_id) as connection:
        await message_work.check(connection, held)
        await connection.execute(
            "update messages set due_at = $3, status = 'waiting', tries = 0 "
            "where business_id = $1 and id = $2 and status in ('waiting', 'trying')",
            held.business_id,
            message_id,
            until,
        )


async def move(
    db: Database,
    held: Held,
    message_id: UUID,
    conversation: Conversation,
    own_number: str,
) -> None:
    """Let a message go out from another number of the business: in the writer's
    conversation with that one. Raises LeaseLost."""
    async with db.tenant(held.business_id) as connection:
        await message_work.check(connection, held)
        other_id = await conversations.open_for(
            connection,
            held.business_id,
            conversation.writer,
            own_number,
            conversation.account_sid,
        )
        await connection.execute(
            "update messages set conversation_id = $3, status = 'waiting', tries = 0 "
            "where business_id = $1 and id = $2 and status = 'trying'",
            held.business_id,
            message_id,
            other_id,
        )
        await message_work.add(connection, held.business_id, other_id, timedelta(0))


async def known_sids(db: Database, business_id: UUID, sids: Iterable[str]) -> set[str]:
    """Return those of the carrier's names that messages of ours have."""
    async with db.tenant(business_id) as connection:
        rows = await connection.fetch(
            "select sid from messages where business_id = $1 and sid = any ($2)",
            business_id,
            list(sids),
        )
    return {row["sid"] for row in rows}


async def content_sid(
    db: Database, business_id: UUID, account_sid: str, shape: str
) -> str | None:
    """Return the carrier's name of a shape of choices; None if it has none yet."""
    async with db.tenant(business_id) as connection:
        found: str | None = await connection.fetchval(
            "select content_sid from message_contents where business_id = $1 "
            "and account_sid = $2 and shape = $3",
            business_id,
            account_sid,
            shape,
        )
    return found


async def keep_content_sid(
    db: Database, business_id: UUID, account_sid: str, shape: str, sid: str
) -> str:
    """Keep the carrier's name of a shape; return the one that was kept first."""
    async with db.tenant(business_id) as connection:
        await connection.execute(
            "insert into message_contents (business_id, account_sid, shape, "
            "content_sid) values ($1, $2, $3, $4) on conflict do nothing",
            business_id,
            account_sid,
            shape,
            sid,
        )
    return await content_sid(db, business_id, account_sid, shape) or sid


async def forget_content_sid(
    db: Database, business_id: UUID, account_sid: str, sid: str
) -> None:
    """Forget a name that the carrier does not know any more."""
    async with db.tenant(business_id) as connection:
        await connection.execute(
            "delete from message_contents where business_id = $1 "
            "and account_sid = $2 and content_sid = $3",
            business_id,
            account_sid,
            sid,
        )
