"""What is read of conversations: lists, one with its turns and tools, what changed.

A list is by keyset over the last message of each conversation. Words are found as
`crm.call_search` finds those of calls.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from crm import phones
from crm.call_search import begins, query_of, words_of
from crm.conversations import WHATSAPP
from crm.database import Database
from crm.leads import PERSON
from crm.messages import COLUMNS as MESSAGE_COLUMNS, Message

# The most rows of a page of the API.
ROWS_MAX = 200
# What has become of a message that its reader will not see.
LOST = ("undelivered", "failed", "canceled", "dropped")
# What a conversation's newest part is: what a revision looks at.
_RECENT = 200
_POSITION_MAX = 2**63 - 1

State = Literal["", "held", "waits", "unanswered", "failed", "stopped"]


class Place(msgspec.Struct, frozen=True):
    """Where a page of the list ends: the next page begins after it."""

    position: int
    id: UUID


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked for; every part may be left out.

    `held`: a person answers in the assistant's place. `waits`: held, and no person has
    answered what was written last. `unanswered`: the writer has the last word.
    `failed`: a message was not delivered, or an answer failed.
    """

    words: str = ""
    number: str = ""
    state: State = ""
    lead_id: UUID | None = None
    channel: str = ""


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation of the list, with its last message."""

    id: UUID
    channel: str
    writer: str
    profile_name: str
    lead_id: UUID | None
    name: str | None
    last_inbound_at: datetime | None
    held_since: datetime | None
    held_why: str
    stopped_at: datetime | None
    last_at: datetime
    last_author: str
    last_body: str
    last_status: str
    # The place of the last message: it and the conversation's id.
    position: int

    @property
    def place(self) -> Place:
        """This conversation's place in the list."""
        return Place(self.position, self.id)

    @property
    def is_test(self) -> bool:
        """Whether somebody of the business tried the assistant."""
        return self.channel != WHATSAPP


class ToolRow(msgspec.Struct, frozen=True, kw_only=True):
    """A tool of a turn; `output` is None while it runs."""

    turn_id: UUID
    name: str
    arguments: str
    output: str | None
    ok: bool | None
    duration_ms: float | None
    at: datetime


class TurnRow(msgspec.Struct, frozen=True, kw_only=True):
    """A turn: what became of it, and what it cost."""

    id: UUID
    state: str
    begun_at: datetime
    ended_at: datetime | None
    tries: int
    model: str
    cost: float | None


class Written(msgspec.Struct, frozen=True):
    """How much a lead and the business have written to each other."""

    messages: int
    last_at: datetime


class Day(msgspec.Struct, frozen=True, kw_only=True):
    """What was written in a conversation on one day of the business."""

    conversation_id: UUID
    messages: int
    last_at: datetime
    last_body: str
    is_lost: bool


_LAST = (
    "not exists (select from messages n where n.business_id = m.business_id "
    "and n.conversation_id = m.conversation_id "
    "and (n.position, n.id) > (m.position, m.id))"
)
_LOST = ", ".join(f"'{status}'" for status in LOST)
_FAILED = (
    "(exists (select from messages f where f.business_id = c.business_id "
    "and f.conversation_id = c.id and f.direction = 'out' "
    f"and f.status in ({_LOST})) or exists (select from message_turns t "
    "where t.business_id = c.business_id and t.conversation_id = c.id "
    "and t.state = 'failed'))"
)
_QUERY = f"""
select c.id, c.channel, c.writer, c.profile_name, c.lead_id, l.name, c.last_inbound_at,
  c.held_since, c.held_why, c.stopped_at, m.created_at as last_at,
  m.author as last_author, m.body as last_body, m.status as last_status, m.position
from messages m
join conversations c on c.business_id = m.business_id and c.id = m.conversation_id
left join leads l on l.business_id = c.business_id and l.id = c.lead_id
where m.business_id = $1 and m.position <= $2
  and ($3::uuid is null or (m.position, c.id) < ($2, $3)) and {_LAST}
  and ($4 = '' or c.channel = $4)
  and ($5::uuid[] is null or c.lead_id = any ($5))
  and ($6 = '' or (c.channel = 'whatsapp' and c.writer like '%' || $6))
  and case $7 when 'held' then c.held_since is not null
    when 'waits' then c.held_since is not null and m.author <> 'person'
    when 'stopped' then c.stopped_at is not null
    when 'unanswered' then m.direction = 'in'
    when 'failed' then {_FAILED} else true end
  and ($8 = '' or exists (select from messages w where w.business_id = c.business_id
    and w.conversation_id = c.id and lower(w.body) like all ($10::text[])
    and lower(w.body) ~ all ($11::text[])
    and to_tsvector('simple', w.body) @@ to_tsquery('simple', $8))
    or to_tsvector('simple', concat_ws(' ', l.name, c.profile_name))
      @@ to_tsquery('simple', $8))
order by m.position desc, c.id desc limit $9
"""


async def listed(
    db: Database,
    business_id: UUID,
    wish: Wish,
    limit: int = 50,
    before: Place | None = None,
) -> list[Listed]:
    """Return the conversations that fit a wish, those written in last first."""
    query, words = query_of(wish.words), words_of(wish.words)
    if wish.words.strip() and not query:
        # Signs alone: no message has them as a word.
        return []
    async with db.tenant(business_id) as connection:
        await connection.execute(
            "set local plan_cache_mode = force_custom_plan; set local jit = off"
        )
        person = None
        if wish.lead_id is not None:
            ids = await connection.fetch(PERSON, business_id, wish.lead_id)
            person = [row["id"] for row in ids]
        rows = await connection.fetch(
            _QUERY,
            business_id,
            before.position if before else _POSITION_MAX,
            before.id if before else None,
            wish.channel,
            person,
            re.sub("[^0-9]", "", wish.number).lstrip("0"),
            wish.state,
            query,
            limit,
            # Each costs a tenth of what comes after it, and leaves it few messages.
            [f"%{word}%" for word in words],
            [begins(word) for word in words],
        )
    return [Listed(**dict(row)) for row in rows]


async def find(db: Database, business_id: UUID, phone: str) -> UUID | None:
    """Return the conversation with a number, of several the one written in last."""
    async with db.tenant(business_id) as connection:
        found: UUID | None = await connection.fetchval(
            "select id from conversations where business_id = $1 and (writer = $2 "
            "or lead_id in (select id from leads where business_id = $1 "
            "and phone = any ($3))) "
            "order by last_inbound_at desc nulls last, id limit 1",
            business_id,
            phone,
            list(phones.forms(phone)),
        )
    return found


async def find_by_sid(db: Database, business_id: UUID, sid: str) -> UUID | None:
    """Return the conversation of a message, by the carrier's name of it."""
    async with db.tenant(business_id) as connection:
        found: UUID | None = await connection.fetchval(
            "select conversation_id from messages where business_id = $1 and sid = $2",
            business_id,
            sid,
        )
    return found


async def messages_of(
    db: Database,
    business_id: UUID,
    conversation_id: UUID,
    limit: int,
    before: int | None = None,
) -> list[Message]:
    """Return the last messages of a conversation in order, or those before a
    position."""
    async with db.tenant(business_id) as connection:
        rows = await connection.fetch(
            f"select {MESSAGE_COLUMNS} from messages m where business_id = $1 "
            "and conversation_id = $2 and position < $3 "
            "order by position desc, id desc limit $4",
            business_id,
            conversation_id,
            _POSITION_MAX if before is None else before,
            limit,
        )
    return [Message(**dict(row)) for row in reversed(rows)]


async def turns_of(
    db: Database, business_id: UUID, conversation_id: UUID, shown: Iterable[Message]
) -> tuple[list[TurnRow], list[ToolRow]]:
    """Return the turns of some messages, with all their tools in order; the turn that
    runs is one of them."""
    ids = list({one.turn_id for one in shown if one.turn_id is not None})
    async with db.tenant(business_id) as connection:
        turns = await connection.fetch(
            f"select {', '.join(TurnRow.__struct_fields__)} from message_turns "
            "where business_id = $1 and conversation_id = $2 and id = any ($3) "
            "order by begun_at",
            business_id,
            conversation_id,
            ids,
        )
        tools = await connection.fetch(
            f"select {', '.join(ToolRow.__struct_fields__)} from message_tools "
            "where business_id = $1 and turn_id = any ($2) order by at, key",
            business_id,
            [row["id"] for row in turns],
        )
    return [TurnRow(**dict(row)) for row in turns], [ToolRow(**row) for row in tools]


async def cost_of(
    db: Database, business_id: UUID, conversation_id: UUID
) -> float | None:
    """Return what a conversation's answers cost; None if no turn has a price."""
    async with db.tenant(business_id) as connection:
        found: float | None = await connection.fetchval(
            "select sum(cost) from message_turns where business_id = $1 "
            "and conversation_id = $2",
            business_id,
            conversation_id,
        )
    return found


async def written_by(
    db: Database, business_id: UUID, lead_ids: Sequence[UUID]
) -> dict[UUID, Written]:
    """Return how much was written with each of some leads that have written."""
    async with db.tenant(business_id) as connection:
        rows = await connection.fetch(
            "select c.lead_id, count(*) as messages, max(m.created_at) as last_at "
            "from conversations c join messages m on m.business_id = c.business_id "
            "and m.conversation_id = c.id "
            "where c.business_id = $1 and c.lead_id = any ($2) group by c.lead_id",
            business_id,
            list(lead_ids),
        )
    return {row["lead_id"]: Written(row["messages"], row["last_at"]) for row in rows}


async def days_of_lead(
    db: Database, business_id: UUID, lead_id: UUID, limit: int, before: datetime | None
) -> list[Day]:
    """Return the days on which a lead, or one merged with it, and the business wrote
    to each other, the last first; those whose last message is before a time."""
    async with db.tenant(business_id) as connection:
        rows = await connection.fetch(
            "select c.id as conversation_id, count(*) as messages, "
            "max(m.created_at) as last_at, "
            "(array_agg(m.body order by m.position desc))[1] as last_body, "
            "bool_or(m.direction = 'out' and m.status = any ($3)) as is_lost "
            "from conversations c join businesses b on b.id = c.business_id "
            "join messages m on m.business_id = c.business_id "
            "and m.conversation_id = c.id "
            f"where c.business_id = $1 and c.lead_id in ({PERSON}) "
            "group by c.id, (m.created_at at time zone b.time_zone)::date "
            "having $5::timestamptz is null or max(m.created_at) < $5 "
            "order by last_at desc limit $4",
            *(business_id, lead_id, list(LOST), limit, before),
        )
    return [Day(**dict(row)) for row in rows]


async def waiting(db: Database, business_id: UUID, limit: int) -> list[Listed]:
    """Return the conversations that wait for a person."""
    return await listed(db, business_id, Wish(state="waits"), limit)


async def written_on(db: Database, business_id: UUID, day: date, zone: str) -> int:
    """Return how many messages came in on a day of the business."""
    async with db.tenant(business_id) as connection:
        found: int = await connection.fetchval(
            "select count(*) from messages where business_id = $1 "
            "and direction = 'in' and position >= extract(epoch from "
            "$2::date::timestamp at time zone $3)::bigint * 1000000 "
            "and position < extract(epoch from "
            "($2::date + 1)::timestamp at time zone $3)::bigint * 1000000",
            business_id,
            day,
            zone,
        )
    return found


_REVISION = f"""
select c.id, concat_ws(' ', c.held_since, c.stopped_at, c.lead_id, m.revision,
  t.revision, o.revision) as revision
from conversations c
left join lateral (
  select concat_ws(' ', max(r.position), count(*), max(r.status_at), max(r.tried_at),
    count(r.turn_id)) as revision
  from (select position, status_at, tried_at, turn_id from messages
    where business_id = c.business_id and conversation_id = c.id
    order by position desc limit {_RECENT}) r
) m on true
left join lateral (
  select id, concat_ws(' ', id, state) as revision from message_turns
  where business_id = c.business_id and conversation_id = c.id
  order by begun_at desc limit 1
) t on true
left join lateral (
  select concat_ws(' ', count(*), count(output)) as revision from message_tools
  where business_id = c.business_id and turn_id = t.id
) o on true
where c.business_id = $1 and c.id = any ($2)
"""


async def revisions(
    db: Database, business_id: UUID, conversation_ids: Sequence[UUID]
) -> dict[UUID, str]:
    """Return for each conversation a text that changes with its newest messages, its
    last turn and that turn's tools."""
    async with db.tenant(business_id) as connection:
        rows: list[Any] = await connection.fetch(
            _REVISION, business_id, list(conversation_ids)
        )
    return {row["id"]: row["revision"] for row in rows}


async def revision_of_list(db: Database, business_id: UUID) -> str:
    """Return a text that changes when a message is written, or a conversation is held
    or stopped."""
    async with db.tenant(business_id) as connection:
        found: str = await connection.fetchval(
            "select concat_ws(' ', (select max(position) from messages "
            "where business_id = $1), count(held_since), max(held_since), "
            "count(stopped_at), max(stopped_at)) "
            "from conversations where business_id = $1",
            business_id,
        )
    return found
