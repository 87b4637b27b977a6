"""The tools that write into the CRM, bound to one business and one caller.

The model's arguments are untrusted until the database's own checks have passed; the
error names a wrong field. The database enforces tenancy: a tool cannot reach another
business.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bridge.agent.calendar_tools import (
    NO_PHONE_TEXT,
    BookingLimits,
    ToolContext,
    calendar_tools,
)
from bridge.agent.identity import Caller, Standing, Worth
from bridge.agent.prompt_length import fitting
from bridge.agent.tools import Answer, Tool, ToolError
from bridge.agent.verification import CALLER_VERIFY, verification_tool
from crm import claims, leads
from crm.authors import By
from crm.businesses import Business
from crm.calendar import Rules
from crm.claims import Claim
from crm.database import Database
from crm.leads import Lead

LEADS_UPSERT = "leads_upsert"
# What callers are asked by most businesses; a business's own required fields are added.
_FIELDS = {
    "name": "The caller's full name.",
    "email": "An e-mail address.",
    "city": "Where the caller lives.",
    "service": "What the caller wants.",
    "preferred_time": "When it would suit the caller.",
    "notes": "Anything else worth keeping, in one sentence.",
}
_PHONE_TEXT = (
    "Number to reach the caller at, as they say it. Leave out where it is the number "
    "they call from."
)
_TEXT = (
    "Write down what was learnt of the caller, as soon as it is learnt; call it again "
    "for more. Returns which required fields are still missing."
)
_VALUE_CHARS_MAX = 500
_RULES = Rules()
_LIMITS = BookingLimits()


def crm_tools(
    database: Database,
    business: Business,
    from_number: str | None,
    *,
    call_sid: str = "",
    rules: Rules = _RULES,
    worth: Worth = Worth.VERIFIED,
    limits: BookingLimits = _LIMITS,
    is_proven: bool = False,
    author: By | None = None,
) -> dict[str, Tool]:
    """Return the tools of a call; `from_number` is None where it is worth nothing.

    `is_proven`: in this call the caller has proven already that the number is theirs.
    `author`: who makes the changes, where it is not the call of `call_sid`.
    """
    standing = Standing(Caller(from_number, worth if from_number else Worth.NONE))
    by = author or By("call", call_sid)
    context = ToolContext(database, business, standing, call_sid, rules, limits, by)

    async def upsert(arguments: msgspec.Struct, _: str) -> Answer:
        return await _upsert(context, arguments)

    fields = leads_upsert_arguments(business.required_fields)
    tools = {**calendar_tools(context), LEADS_UPSERT: Tool(fields, _TEXT, upsert)}
    if standing.caller.worth is Worth.UNVERIFIED:
        tools[CALLER_VERIFY] = verification_tool(context)
        if is_proven:
            standing.verify()
    return tools


@lru_cache(maxsize=256)
def leads_upsert_arguments(required: tuple[str, ...]) -> type[msgspec.Struct]:
    """Return the type of `leads_upsert`'s arguments for what a business requires."""
    texts = {**_FIELDS, "phone": _PHONE_TEXT}
    for name in required:
        if name.isidentifier():
            texts.setdefault(name, "Required by the business.")
    return msgspec.defstruct(
        "LeadsUpsert",
        [
            (
                name,
                Annotated[str, Meta(max_length=_VALUE_CHARS_MAX, description=text)]
                | UnsetType,
                UNSET,
            )
            for name, text in texts.items()
        ],
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
    )


async def _upsert(context: ToolContext, arguments: msgspec.Struct) -> Answer:
    """Write into the caller's own lead; what nothing proves is a claim of this call.

    A claim is answered from itself alone, so that the answer is the same whether a
    number is known or not.
    """
    learnt = _clean(msgspec.structs.asdict(arguments))
    given = context.reachable_at(learnt.pop("phone", ""))
    caller, business = context.standing.caller, context.business
    if given is not None and caller.phone is not None:
        learnt["contact_phone"], given = given, None
    written: Lead | Claim
    claimant = context.claimant()
    if claimant is not None:
        written = await claims.write(
            context.database, business.id, claimant, given, learnt
        )
    else:
        own = caller.own_phone or ""
        written = await leads.upsert(context.database, business.id, own, learnt)
    if written.phone is None:
        raise ToolError(NO_PHONE_TEXT, saved=sorted(learnt))
    missing = written.missing(business.required_fields)
    known = {**written.fields, "phone": written.phone}
    if written.name:
        known["name"] = written.name
    return Answer(
        {
            "saved": sorted(learnt),
            "known": fitting(known),
            "missing": missing,
        },
        missing,
        f"{'lead' if isinstance(written, Lead) else 'claim'} written: "
        f"fields={','.join(sorted(learnt)) or '-'} missing={','.join(missing) or '-'}",
    )


def _clean(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return what was given, without what PostgreSQL cannot hold."""
    given = {
        name: text.replace("\0", "").strip()
        for name, text in arguments.items()
        if text is not UNSET
    }
    return {name: text for name, text in given.items() if text}
