"""What a lead and the assistant said to each other in the other channel, lately.

A chat is told of the calls, and a call of the chat. Both are bounded here in number and
age, and the reader bounds the words.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from crm.leads import PERSON, SAME_PERSON

# What was written before is history.
WRITTEN_WITHIN = timedelta(hours=24)
WORDS_MAX = 8
CALLS_WITHIN = timedelta(days=90)


class Words(NamedTuple):
    """Who said it, and what."""

    who: str
    text: str


class SpokenCall(NamedTuple):
    """A call that has ended: how, and its last words in order."""

    started_at: datetime
    outcome: str
    said: tuple[Words, ...]


async def calls(
    connection: Any, business_id: UUID, lead_id: UUID, limit: int
) -> list[SpokenCall]:
    """Return a person's last calls in a transaction, the newest first."""
    found = await connection.fetch(
        "select call_sid, started_at, outcome from calls where business_id = $1 "
        f"and lead_id = any (array({PERSON})) and not is_test "
        "and started_at > now() - $3::interval "
        "order by started_at desc limit $4",
        business_id,
        lead_id,
        CALLS_WITHIN,
        limit,
    )
    return [
        SpokenCall(
            row["started_at"],
            row["outcome"],
            await _said(connection, business_id, row["call_sid"]),
        )
        for row in found
    ]


async def _said(connection: Any, business_id: UUID, call_sid: str) -> tuple[Words, ...]:
    rows = await connection.fetch(
        "select role, text from call_turns where business_id = $1 and call_sid = $2 "
        "and text <> '' order by position desc limit $3",
        business_id,
        call_sid,
        WORDS_MAX,
    )
    return tuple(Words(row["role"], row["text"]) for row in reversed(rows))


async def written(connection: Any, business_id: UUID, phone: str) -> tuple[Words, ...]:
    """Return the last messages with a number's person in a transaction, in order."""
    rows = await connection.fetch(
        "select m.author, m.body from messages m join conversations c "
        "on c.business_id = m.business_id and c.id = m.conversation_id "
        "join leads l on l.business_id = c.business_id and l.phone = $2 "
        f"and c.lead_id = {SAME_PERSON} "
        "where m.business_id = $1 and c.channel = 'whatsapp' "
        "and m.body <> '' and m.created_at > now() - $3::interval "
        "and m.status not in ('failed', 'undelivered', 'canceled', 'dropped') "
        "order by m.position desc limit $4",
        business_id,
        phone,
        WRITTEN_WITHIN,
        WORDS_MAX,
    )
    return tuple(Words(row["author"], row["body"]) for row in reversed(rows))
