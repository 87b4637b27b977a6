"""Messages: what was written in a conversation, and what is still to be sent.

A message out is `waiting`, then `trying` while a process gives it to the carrier. From
the moment that the carrier has it, its status is the carrier's own word, and a later
status never gives way to an earlier one, in whatever order they arrive. A word that
stands for no known status says that the carrier has the message: it is "accepted".
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from crm import message_work
from crm.database import Database
from crm.message_work import Held

# In the order in which the carrier reports them; the last four are final, and "read"
# may follow "delivered".
STATUSES = (
    *("waiting", "trying", "accepted", "scheduled", "queued", "sending", "sent"),
    *("delivered", "read", "undelivered", "failed", "canceled", "dropped"),
)
# Without "waiting", "trying" and "dropped", which are the service's.
CARRIER_STATUSES = STATUSES[2:-1]
# What a message is about that takes another's place.
INSTEAD = "instead:"
_FINAL = ("read", "undelivered", "failed", "canceled", "dropped")


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message; migration 0025 says what each field means."""

    id: UUID
    conversation_id: UUID
    position: int
    direction: str
    author: str
    made_by: str
    purpose: str
    about: str | None
    sid: str | None
    body: str
    media: list[dict[str, Any]]
    content: dict[str, Any] | None
    choice: str
    status: str
    error_code: int | None
    error_text: str
    turn_id: UUID | None
    tries: int
    created_at: datetime
    due_at: datetime
    tried_at: datetime | None
    sent_at: datetime | None
    status_at: datetime | None


COLUMNS = ", ".join(f"m.{name}" for name in Message.__struct_fields__)


class Draft(NamedTuple):
    """A message that is to be sent. `content` is choices or a template beside the
    body; `about` sends it once for each purpose."""

    body: str
    content: Mapping[str, Any] | None = None
    author: str = "assistant"
    made_by: str = ""
    purpose: str = "reply"
    about: str | None = None


async def add(
    connection: Any,
    business_id: UUID,
    conversation_id: UUID,
    draft: Draft,
    turn_id: UUID | None = None,
    *,
    pause: timedelta = timedelta(0),
    is_held: bool = False,
) -> UUID | None:
    """Add a message that is to be sent after `pause`, in a transaction; None if there
    is one about the same already.

    In a chat of the console it is shown, and nothing is sent. `is_held`: this process
    has the conversation, and sends the message before it gives the conversation back.
    """
    message_id: UUID | None = await connection.fetchval(
        "insert into messages (business_id, conversation_id, direction, author, "
        "made_by, purpose, about, body, content, turn_id, due_at, status) "
        "select $1, $2, 'out', $3, $4, $5, $6, $7, $8, $9, now() + $10, "
        "case when c.channel = 'console' then 'shown' else 'waiting' end "
        "from conversations c where c.business_id = $1 and c.id = $2 "
        "on conflict (business_id, purpose, about) where about is not null "
        "do nothing returning id",
        business_id,
        conversation_id,
        draft.author,
        draft.made_by,
        draft.purpose,
        draft.about,
        draft.body.replace("\0", ""),
        None if draft.content is None else dict(draft.content),
        turn_id,
        pause,
    )
    if message_id is not None and not is_held:
        await message_work.add(connection, business_id, conversation_id, pause)
    return message_id


async def write_by_hand(
    db: Database,
    business_id: UUID,
    conversation_id: UUID,
    user: str,
    body: str,
    key: str = "",
) -> UUID | None:
    """Add a message of the business's own people; with the `key` of one that was added
    before, return that one."""
    about = f"typed:{conversation_id}:{key}" if key else None
    draft = Draft(body, author="person", made_by=user, about=about)
    async with db.tenant(business_id) as connection:
        added = await add(connection, business_id, conversation_id, draft)
        if added is not None or about is None:
            return added
        found: UUID | None = await connection.fetchval(
            "select id from messages where business_id = $1 and purpose = $2 "
            "and about = $3",
            business_id,
            draft.purpose,
            about,
        )
    return found


async def of_conversation(
    connection: Any, business_id: UUID, conversation_id: UUID, limit: int
) -> list[Message]:
    """Return the last messages of a conversation in order, in a transaction."""
    rows = await connection.fetch(
        f"select {COLUMNS} from messages m where business_id = $1 "
        "and conversation_id = $2 order by position desc limit $3",
        business_id,
        conversation_id,
        limit,
    )
    return [Message(**dict(row)) for row in reversed(rows)]


async def get(db: Database, business_id: UUID, message_id: UUID) -> Message | None:
    """Return one message."""
    async with db.tenant(business_id) as connection:
        row = await connection.fetchrow(
            f"select {COLUMNS} from messages m where business_id = $1 and id = $2",
            business_id,
            message_id,
        )
    return None if row is None else Message(**dict(row))


async def unsent(
    connection: Any, business_id: UUID, conversation_id: UUID
) -> list[Message]:
    """Return what is still to be given to the carrier, in order, in a transaction."""
    rows = await connection.fetch(
        f"select {COLUMNS} from messages m where business_id = $1 "
        "and conversation_id = $2 and direction = 'out' "
        "and status in ('waiting', 'trying') order by position",
        business_id,
        conversation_id,
    )
    return [Message(**dict(row)) for row in rows]


async def leave(connection: Any, business_id: UUID, conversation_id: UUID) -> None:
    """Leave to people what was written, and is part of no turn, in a transaction."""
    await connection.execute(
        "update messages set status = 'kept' where business_id = $1 "
        "and conversation_id = $2 and direction = 'in' and turn_id is null "
        "and status = 'received'",
        business_id,
        conversation_id,
    )


async def begin_try(db: Database, held: Held, message_id: UUID) -> bool:
    """Note that the message is given to the carrier now; False if it need not be.

    Raises LeaseLost.
    """
    async with db.tenant(held.business_id) as connection:
        await message_work.check(connection, held)
        done: str = await connection.execute(
            "update messages set status = 'trying', tries = tries + 1, "
            "tried_at = now() where business_id = $1 and id = $2 "
            "and status in ('waiting', 'trying')",
            held.business_id,
            message_id,
        )
    return done.endswith(" 1")


async def note_given(
    db: Database, business_id: UUID, message_id: UUID, sid: str, status: str
) -> None:
    """Note that the carrier has a message, under which name and with what status."""
    async with db.tenant(business_id) as connection:
        await _note(connection, business_id, message_id, sid, status, None, "")


async def note_status(
    db: Database,
    business_id: UUID,
    message_id: UUID,
    sid: str,
    status: str,
    error_code: int | None = None,
    error_text: str = "",
) -> bool:
    """Note what the carrier says of a message; tell whether it was news.

    A status under another name than the message's is none of it. A message that has
    come to its end, or is sent, lets the next one of its conversation go.
    """
    async with db.tenant(business_id) as connection:
        is_news = await _note(
            connection, business_id, message_id, sid, status, error_code, error_text
        )
        if is_news:
            conversation_id = await connection.fetchval(
                "select conversation_id from messages m where business_id = $1 "
                "and id = $2 and exists (select from messages o "
                "where o.business_id = $1 and o.conversation_id = m.conversation_id "
                "and o.direction = 'out' and (o.status in ('waiting', 'trying') "
                "or m.error_code is not null))",
                business_id,
                message_id,
            )
            if conversation_id is not None:
                await message_work.add(
                    connection, business_id, conversation_id, timedelta(0)
                )
    return is_news


async def _note(
    connection: Any,
    business_id: UUID,
    message_id: UUID,
    sid: str,
    status: str,
    error_code: int | None,
    error_text: str,
) -> bool:
    known = status if status in CARRIER_STATUSES else "accepted"
    done: str = await connection.execute(
        "update messages set sid = $3, status = $4, status_at = now(), "
        "error_code = coalesce($5, error_code), "
        "error_text = coalesce(nullif($6, ''), error_text), "
        "sent_at = coalesce(sent_at, case when $4 = any ($8) then now() end) "
        "where business_id = $1 and id = $2 and direction = 'out' "
        "and (sid is null or sid = $3) and not status = any ($7) "
        "and array_position($9::text[], $4) > array_position($9::text[], status)",
        business_id,
        message_id,
        sid,
        known,
        error_code,
        error_text[:500],
        list(_FINAL),
        ["sent", "delivered", "read"],
        list(STATUSES),
    )
    return done.endswith(" 1")


async def note_heard(
    db: Database, held: Held, message_id: UUID, at: int, words: str
) -> None:
    """Keep what a voice note says beside it; raises LeaseLost."""
    async with db.tenant(held.business_id) as connection:
        await message_work.check(connection, held)
        await connection.execute(
            "update messages set media = jsonb_set(media, array[$3, 'heard'], $4) "
            "where business_id = $1 and id = $2 and media -> $3::text::int is not null",
            held.business_id,
            message_id,
            str(at),
            words.replace("\0", ""),
        )


async def try_again(
    db: Database, held: Held, message_id: UUID, pause: timedelta, why: str
) -> None:
    """Note that the carrier did not take a message, which is tried again after
    `pause`; raises LeaseLost."""
    async with db.tenant(held.business_id) as connection:
        await message_work.check(connection, held)
        await connection.execute(
            "update messages set status = 'waiting', due_at = now() + $3, "
            "error_text = $4 where business_id = $1 and id = $2 "
            "and status = 'trying'",
            held.business_id,
            message_id,
            pause,
            why[:500],
        )


async def give_up(
    db: Database,
    held: Held,
    message_id: UUID,
    status: str,
    error_code: int | None,
    why: str,
) -> None:
    """Note that a message is not sent: `failed`, or `dropped` where it may not be.

    Raises LeaseLost.
    """
    async with db.tenant(held.business_id) as connection:
        await message_work.check(connection, held)
        await connection.execute(
            "update messages set status = $3, error_code = $4, error_text = $5, "
            "status_at = now() where business_id = $1 and id = $2 "
            "and status in ('waiting', 'trying')",
            held.business_id,
            message_id,
            status,
            error_code,
            why[:500],
        )


async def send_other(
    db: Database, held: Held, message: Message, draft: Draft
) -> UUID | None:
    """Add another message in the place of one that the carrier refused, once.

    Raises LeaseLost.
    """
    async with db.tenant(held.business_id) as connection:
        await message_work.check(connection, held)
        return await add(
            connection,
            held.business_id,
            held.conversation_id,
            draft._replace(about=draft.about or f"{INSTEAD}{message.id}"),
            message.turn_id,
        )


def is_instead(message: Message) -> bool:
    """Tell whether a message takes the place of one that the carrier refused."""
    return (message.about or "").startswith(INSTEAD)
