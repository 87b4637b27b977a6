"""The tools that write into the CRM, bound to one business and one caller.

What the model says is data until the database's own checks have passed; a wrong field
is named back to it. Tenancy is the database's: a tool cannot reach another business.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bridge.calendar_tools import Desk, calendar_tools
from bridge.tools import Answer, Tool, ToolError
from crm import leads, phones
from crm.businesses import Business
from crm.calendar import Rules
from crm.database import Database

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


def crm_tools(
    database: Database,
    business: Business,
    from_number: str | None,
    *,
    call_sid: str = "",
    rules: Rules = _RULES,
) -> dict[str, Tool]:
    """Return the tools of a call; `from_number` is None where it is hidden."""

    desk = Desk(database, business, from_number, call_sid, rules)

    async def upsert(arguments: msgspec.Struct, _: str) -> Answer:
        return await _upsert(desk, arguments)

    fields = leads_upsert_arguments(business.required_fields)
    return {**calendar_tools(desk), LEADS_UPSERT: Tool(fields, _TEXT, upsert)}


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


async def _upsert(desk: Desk, arguments: msgspec.Struct) -> Answer:
    """Write into the caller's own lead, found by the number he calls from.

    Any other number he gives is one to reach him at. Where his own is hidden, the one
    he gives is all there is; it may be anybody's, so that what was known of it is
    neither told nor replaced.
    """
    learnt = _clean(msgspec.structs.asdict(arguments))
    given = learnt.pop("phone", None)
    business, own = desk.business, desk.from_number
    try:
        phone = phones.to_e164(given, business.country) if given else own
        if phone is None:
            raise ToolError("phone: the caller's number is hidden; ask for it")
        if own is not None and given:
            learnt["contact_phone"] = phone
        lead = await leads.upsert(
            desk.database,
            business.id,
            own or phone,
            learnt,
            claimed_by=desk.call_sid if own is None else None,
        )
    except (leads.FieldError, phones.PhoneError) as error:
        raise ToolError(str(error)) from None
    missing = lead.missing(business.required_fields)
    known = {"name": lead.name, **lead.fields} if own is not None else learnt
    return Answer(
        {
            "saved": sorted(learnt),
            "known": {**known, "phone": lead.phone},
            "missing": missing,
        },
        missing,
        f"lead written: fields={','.join(sorted(learnt)) or '-'} "
        f"missing={','.join(missing) or '-'}",
    )


def _clean(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Return what was given, without what PostgreSQL cannot hold."""
    given = {
        name: text.replace("\0", "").strip()
        for name, text in arguments.items()
        if text is not UNSET
    }
    return {name: text for name, text in given.items() if text}
