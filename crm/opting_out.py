"""STOP and START: a writer ends all messages of a conversation, and begins them again.

Who has stopped is not called, either. A mark that the business itself has set on a
person is none of STOP's, and stays.
"""

from typing import Any
from uuid import UUID

from crm import leads, messages


async def stop(connection: Any, business_id: UUID, conversation_id: UUID) -> bool:
    """Note that the writer wants no messages, in a transaction; tell whether they did
    before. The person is not called, either, at whichever of their numbers."""
    row = await connection.fetchrow(
        "update conversations set stopped_at = now() where business_id = $1 "
        "and id = $2 and stopped_at is null returning lead_id",
        business_id,
        conversation_id,
    )
    if row is None:
        return False
    await leads.hold(connection, business_id, row["lead_id"])
    marked: str = await connection.execute(
        "update leads set do_not_contact = true where business_id = $1 "
        f"and id in ({leads.PERSON}) and not do_not_contact",
        business_id,
        row["lead_id"],
    )
    await connection.execute(
        "update conversations set stop_marked_lead = $3 where business_id = $1 "
        "and id = $2",
        business_id,
        conversation_id,
        not marked.endswith(" 0"),
    )
    await messages.leave(connection, business_id, conversation_id)
    return True


async def start(connection: Any, business_id: UUID, conversation_id: UUID) -> bool:
    """Undo the writer's own `stop`, in a transaction; tell whether there was one.

    A person whom the business itself has marked keeps that mark. So does one who has
    stopped another conversation, until its START.
    """
    row = await connection.fetchrow(
        "update conversations c set stopped_at = null, stop_marked_lead = false "
        "from (select id, lead_id, stop_marked_lead from conversations "
        "where business_id = $1 and id = $2 and stopped_at is not null for update) o "
        "where c.business_id = $1 and c.id = o.id "
        "returning o.lead_id, o.stop_marked_lead",
        business_id,
        conversation_id,
    )
    if row is None:
        return False
    if row["stop_marked_lead"]:
        await leads.hold(connection, business_id, row["lead_id"])
        await connection.execute(
            "with others as (update conversations set stop_marked_lead = true "
            f"where business_id = $1 and lead_id in ({leads.PERSON}) "
            "and stopped_at is not null returning id) "
            "update leads set do_not_contact = false where business_id = $1 "
            f"and id in ({leads.PERSON}) and not exists (select from others)",
            business_id,
            row["lead_id"],
        )
    return True
