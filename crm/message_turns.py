"""Turns of conversations: what the assistant answers together, and how it came to it.

A turn is written down as it goes. What the model has said is stored before its tools
run, and a tool's result before the model is given it. So another process goes on with
the turn of one that died, and asks the model for nothing that it has said.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from crm import conversations, message_work, messages
from crm.database import Database
from crm.message_work import Held
from crm.messages import Draft, Message

# An item with this field is none of the model's: it names, by their ids, the messages
# that the turn took up after the model had begun.
ASKED = "asked"
# What a tool found longer ago is not true any more.
OUTPUTS_WITHIN = timedelta(hours=24)
OUTPUTS_MAX = 20


class Turn(msgspec.Struct, frozen=True, kw_only=True):
    """A turn that runs: the messages that it answers, and the model's items so far.

    `age` is how long ago it was begun, by the database's clock, when it was read.
    """

    id: UUID
    tries: int
    age: timedelta
    usage: dict[str, float]
    asked: tuple[Message, ...]
    items: tuple[dict[str, Any], ...]

    @property
    def key(self) -> str:
        """The name of the turn's first message, which the keys of tools begin with."""
        return next((one.sid for one in self.asked if one.sid), str(self.id))


class ToolRun(NamedTuple):
    """A tool of a turn; `output` is None while nothing is known of its end."""

    key: str
    name: str
    arguments: str
    output: str | None = None
    ok: bool | None = None
    duration_ms: float | None = None


class Waiting(NamedTuple):
    """What waits for an answer: how often its turn was begun, 0 for a new one, and the
    carrier's name of the last message, "" if it has none."""

    tries: int
    last_sid: str


async def waiting(
    connection: Any, business_id: UUID, conversation_id: UUID
) -> Waiting | None:
    """Return what waits for an answer, in a transaction; None if nothing does."""
    row = await connection.fetchrow(
        "with running as (select id, tries from message_turns where business_id = $1 "
        "and conversation_id = $2 and state = 'running'), unanswered as (select sid, "
        "position from messages where business_id = $1 and conversation_id = $2 "
        "and direction = 'in' and status = 'received' and turn_id is null "
        "union all select sid, position from messages where business_id = $1 "
        "and turn_id in (select id from running) and direction = 'in') "
        "select coalesce((select max(tries) from running), 0) as tries, coalesce("
        "(select sid from unanswered order by position desc limit 1), '') as last_sid "
        "where exists (select from running) or exists (select from unanswered)",
        business_id,
        conversation_id,
    )
    return None if row is None else Waiting(**dict(row))


async def begin(db: Database, held: Held, model: str) -> Turn | None:
    """Return the conversation's running turn, or a new one for all that is unanswered;
    None if nothing is. Raises LeaseLost.

    Messages over a limit are not answered, nor is what was written to a person.
    """
    own = (held.business_id, held.conversation_id)
    async with db.tenant(held.business_id) as connection:
        await message_work.check(connection, held)
        turn_id = await connection.fetchval(
            "update message_turns set tries = tries + 1 where business_id = $1 "
            "and conversation_id = $2 and state = 'running' returning id",
            *own,
        )
        if turn_id is None:
            turn_id = await connection.fetchval(
                "insert into message_turns (business_id, conversation_id, model) "
                "select $1, $2, $3 where exists (select from messages where "
                "business_id = $1 and conversation_id = $2 and direction = 'in' "
                "and turn_id is null and status = 'received') and exists (select from "
                "conversations where business_id = $1 and id = $2 "
                "and held_since is null) returning id",
                *own,
                model,
            )
            if turn_id is None:
                return None
            await _take(connection, held, turn_id)
        return await _read(connection, held, turn_id)


async def take_more(db: Database, held: Held, turn_id: UUID) -> Turn:
    """Let a turn answer what was written since it began, too; raises LeaseLost.

    An item says where the model is told of it: after all that it has said. A turn whose
    answer is not sent, as a person took over, takes no more: the next turn does.
    """
    async with db.tenant(held.business_id) as connection:
        await message_work.check(connection, held)
        is_overtaken = await connection.fetchval(
            "select is_overtaken from message_turns where business_id = $1 and id = $2",
            held.business_id,
            turn_id,
        )
        taken = [] if is_overtaken else await _take(connection, held, turn_id)
        if taken:
            more = {ASKED: [str(one) for one in taken]}
            await _add_items(connection, held.business_id, turn_id, [more])
        return await _read(connection, held, turn_id)


async def _take(connection: Any, held: Held, turn_id: UUID) -> list[UUID]:
    rows = await connection.fetch(
        "with taken as (update messages set turn_id = $3 where business_id = $1 "
        "and conversation_id = $2 and direction = 'in' and turn_id is null "
        "and status = 'received' returning id, position) "
        "select id from taken order by position",
        held.business_id,
        held.conversation_id,
        turn_id,
    )
    return [row["id"] for row in rows]


async def _read(connection: Any, held: Held, turn_id: UUID) -> Turn:
    row = await connection.fetchrow(
        "select tries, now() - begun_at as age, usage from message_turns "
        "where business_id = $1 and id = $2",
        held.business_id,
        turn_id,
    )
    asked = await connection.fetch(
        f"select {messages.COLUMNS} from messages m where business_id = $1 "
        "and turn_id = $2 and direction = 'in' order by position",
        held.business_id,
        turn_id,
    )
    items = await connection.fetch(
        "select item from message_items where business_id = $1 and turn_id = $2 "
        "order by position",
        held.business_id,
        turn_id,
    )
    return Turn(
        id=turn_id,
        tries=row["tries"],
        age=row["age"],
        usage=row["usage"],
        asked=tuple(Message(**dict(row)) for row in asked),
        items=tuple(row["item"] for row in items),
    )


async def add_items(
    db: Database,
    held: Held,
    turn_id: UUID,
    items: Sequence[Mapping[str, Any]],
    usage: Mapping[str, float] | None = None,
) -> None:
    """Store what the model said, or was told, after what is stored; raises LeaseLost.

    `usage` is added to the turn's, so that a turn which never ends has its cost.
    """
    async with db.tenant(held.business_id) as connection:
        await message_work.check(connection, held)
        await _add_items(connection, held.business_id, turn_id, items)
        if usage:
            await _add_usage(connection, held.business_id, turn_id, usage)


async def _add_items(
    connection: Any,
    business_id: UUID,
    turn_id: UUID,
    items: Sequence[Mapping[str, Any]],
) -> None:
    first = await connection.fetchval(
        "select coalesce(max(position) + 1, 0) from message_items "
        "where business_id = $1 and turn_id = $2",
        business_id,
        turn_id,
    )
    await connection.executemany(
        "insert into message_items (business_id, turn_id, position, item) "
        "values ($1, $2, $3, $4)",
        [
            (business_id, turn_id, first + at, dict(item))
            for at, item in enumerate(items)
        ],
    )


async def _add_usage(
    connection: Any, business_id: UUID, turn_id: UUID, usage: Mapping[str, float]
) -> None:
    before = await connection.fetchval(
        "select usage from message_turns where business_id = $1 and id = $2 for update",
        business_id,
        turn_id,
    )
    total = {
        name: before.get(name, 0) + usage.get(name, 0) for name in {*before, *usage}
    }
    await connection.execute(
        "update message_turns set usage = $3 where business_id = $1 and id = $2",
        business_id,
        turn_id,
        total,
    )


async def begin_tool(db: Database, held: Held, turn_id: UUID, run: ToolRun) -> ToolRun:
    """Store that a tool runs under its key; return it with its result, if it has one.

    Raises LeaseLost.
    """
    async with db.tenant(held.business_id) as connection:
        await message_work.check(connection, held)
        await connection.execute(
            "insert into message_tools (business_id, key, turn_id, name, arguments) "
            "values ($1, $2, $3, $4, $5) on conflict do nothing",
            held.business_id,
            run.key,
            turn_id,
            run.name,
            run.arguments.replace("\0", ""),
        )
        row = await connection.fetchrow(
            "select key, name, arguments, output, ok, duration_ms from message_tools "
            "where business_id = $1 and key = $2",
            held.business_id,
            run.key,
        )
    return ToolRun(**dict(row))


async def end_tool(db: Database, held: Held, run: ToolRun) -> None:
    """Store a tool's result; raises LeaseLost."""
    async with db.tenant(held.business_id) as connection:
        await message_work.check(connection, held)
        await connection.execute(
            "update message_tools set output = $3, ok = $4, duration_ms = $5 "
            "where business_id = $1 and key = $2",
            held.business_id,
            run.key,
            (run.output or "").replace("\0", ""),
            run.ok,
            run.duration_ms,
        )


async def tools(connection: Any, business_id: UUID, turn_id: UUID) -> list[ToolRun]:
    """Return the tools of a turn in order, in a transaction."""
    rows = await connection.fetch(
        "select key, name, arguments, output, ok, duration_ms from message_tools "
        "where business_id = $1 and turn_id = $2 order by at, key",
        business_id,
        turn_id,
    )
    return [ToolRun(**dict(row)) for row in rows]


async def outputs(
    db: Database, business_id: UUID, conversation_id: UUID, names: Sequence[str]
) -> list[str]:
    """Return what tools of these names have answered in a conversation, lately."""
    async with db.tenant(business_id) as connection:
        rows = await connection.fetch(
            "select r.output from message_tools r join message_turns t "
            "on t.business_id = r.business_id and t.id = r.turn_id "
            "where r.business_id = $1 and t.conversation_id = $2 "
            "and r.name = any ($3) and r.ok is not null "
            "and r.at > now() - $4::interval order by r.at desc limit $5",
            business_id,
            conversation_id,
            list(names),
            OUTPUTS_WITHIN,
            OUTPUTS_MAX,
        )
    return [row["output"] for row in rows]


async def end(
    db: Database,
    held: Held,
    turn_id: UUID,
    replies: Sequence[Draft],
    *,
    cost: float | None,
    is_failed: bool = False,
    hold_why: str = "",
) -> bool:
    """End a turn with its replies, in one transaction; False if it has ended already.

    With `hold_why` the conversation is left to people from then on. Raises LeaseLost.
    """
    async with db.tenant(held.business_id) as connection:
        if hold_why:
            # In the order of `conversations.receive`, before the work.
            await conversations.lock(connection, held.business_id, held.conversation_id)
        await message_work.check(connection, held)
        done: str = await connection.execute(
            "update message_turns set state = $3, ended_at = now(), cost = $4 "
            "where business_id = $1 and id = $2 and state = 'running'",
            held.business_id,
            turn_id,
            "failed" if is_failed else "answered",
            cost,
        )
        if not done.endswith(" 1"):
            return False
        for draft in replies:
            await messages.add(
                connection,
                held.business_id,
                held.conversation_id,
                draft,
                turn_id,
                is_held=True,
            )
        if hold_why:
            await conversations.hold(
                connection, held.business_id, held.conversation_id, hold_why
            )
    return True


async def say(db: Database, held: Held, turn_id: UUID, draft: Draft) -> UUID | None:
    """Add a message of a turn that goes on, such as an apology for the wait; once for
    each `about`. Raises LeaseLost."""
    async with db.tenant(held.business_id) as connection:
        await message_work.check(connection, held)
        return await messages.add(
            connection,
            held.business_id,
            held.conversation_id,
            draft,
            turn_id,
            is_held=True,
        )
