"""Claims: how this process becomes the owner of a call whose process is gone.

The checkpoint is read before the claim: a process never claims a call that it cannot go
on with. The claim is one conditional update, which only one process wins. The
checkpoint is then read once more, because the old owner may have saved a newer one.
"""

from typing import NamedTuple

import msgspec

from bridge.call import checkpoint
from bridge.call.checkpoint import UnreadableError
from bridge.call.plan import CallPlan
from bridge.nodes.membership import Identity
from crm import live_calls
from crm.database import Database
from crm.live_calls import Owner


class Claimed(NamedTuple):
    """A call that this process owns from here on.

    `plan` has the checkpoint in it; None if its process died before it saved one.
    """

    owner: Owner
    generation: int
    plan: CallPlan | None


async def claim(
    database: Database,
    identity: Identity,
    owner: Owner,
    *,
    is_over: bool = False,
    is_dead: bool = False,
) -> Claimed | None:
    """Claim a call whose owner counts as dead; None if it was not won.

    A call without a checkpoint is claimed only if it `is_over`. `is_dead`: the owner
    does not answer, whatever its heartbeat says. Raises UnreadableError, without a
    claim, if this process cannot read the checkpoint.
    """
    if await _plan(database, owner) is None and not is_over:
        return None
    generation = await win(database, identity, owner, is_dead=is_dead)
    if generation is None:
        return None
    plan = await _plan(database, owner)
    if plan is not None:
        plan = msgspec.structs.replace(plan, generation=generation)
    return Claimed(owner, generation, plan)


async def win(
    database: Database, identity: Identity, owner: Owner, *, is_dead: bool = False
) -> int | None:
    """Make this process a call's owner; return the new generation, None if it was not
    won."""
    return await live_calls.claim(
        database,
        owner.call_sid,
        owner.generation,
        identity.name,
        identity.incarnation,
        identity.worker,
        is_dead=is_dead,
    )


async def claim_unread(
    database: Database, identity: Identity, owner: Owner
) -> Claimed | None:
    """Claim a call whose checkpoint nobody can read; None if it was not won.

    Its plan may be readable; if not, it holds what the owner's row says.
    """
    generation = await win(database, identity, owner)
    if generation is None:
        return None
    found = await live_calls.load(database, owner.business_id, owner.call_sid)
    try:
        plan = decode_plan(found[1] if found else None)
    except UnreadableError:
        plan = CallPlan(
            call_sid=owner.call_sid,
            business_id=str(owner.business_id),
            business_name="",
            from_number="",
            to_number=owner.to_number,
            language="",
            instructions="",
            greeting="",
            caller_worth="none",
        )
    return Claimed(owner, generation, plan)


async def _plan(database: Database, owner: Owner) -> CallPlan | None:
    found = await live_calls.load(database, owner.business_id, owner.call_sid)
    if found is None:
        return None
    form, packed, state = found
    saved = checkpoint.decode(form, state)
    return msgspec.structs.replace(decode_plan(packed), resumed=saved)


def encode_plan(plan: CallPlan) -> bytes:
    """Return a plan's bytes, without its tools, which hold code."""
    return msgspec.msgpack.encode(msgspec.structs.replace(plan, tools=(), resumed=None))


def decode_plan(packed: bytes | None) -> CallPlan:
    """Return a plan from its bytes; raises UnreadableError."""
    try:
        return msgspec.msgpack.decode(packed or b"", type=CallPlan)
    except msgspec.DecodeError as error:
        raise UnreadableError(f"no plan: {error}") from None
