"""What a conversation has asked its writer, and offered: what a message may answer."""

from datetime import timedelta
from typing import Any
from uuid import UUID

# A question that is older is not what a word answers.
ASKED_WITHIN = timedelta(hours=24)
# Latin and Hebrew, Arabic, Chinese.
_MARKS = "[?\u061f\uff1f]"


async def was_offered(
    connection: Any, business_id: UUID, conversation_id: UUID, choice: str
) -> bool:
    """Tell in a transaction whether a message of this conversation had a choice with
    this id."""
    found: bool = await connection.fetchval(
        "select exists (select from messages where business_id = $1 "
        "and conversation_id = $2 and direction = 'out' and content @> $3)",
        business_id,
        conversation_id,
        {"choices": [{"id": choice}]},
    )
    return found


async def is_asked(connection: Any, business_id: UUID, conversation_id: UUID) -> bool:
    """Tell in a transaction whether the last message to the writer is a question of the
    assistant, or of a person; what nobody asked for asks nothing."""
    found: bool | None = await connection.fetchval(
        "select author in ('assistant', 'person') and (content is not null "
        "or body ~ $4) and created_at > now() - $3::interval from messages "
        "where business_id = $1 and conversation_id = $2 and direction = 'out' "
        "and status not in ('undelivered', 'failed', 'canceled', 'dropped') "
        "order by position desc limit 1",
        business_id,
        conversation_id,
        ASKED_WITHIN,
        _MARKS,
    )
    return bool(found)
