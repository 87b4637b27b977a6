"""Call setup, from a ringing phone to a plan: the business, the caller, what is said.

Call setup reads the database once per call, before the model's session is opened.
"""

from collections.abc import Awaitable, Coroutine, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol
from uuid import UUID

import msgspec

from bridge.agent.calendar_tools import BookingLimits
from bridge.agent.crm_tools import crm_tools
from bridge.agent.identity import Caller, Worth, caller_of
from bridge.agent.prompt import Prompt, build
from bridge.agent.tools import Tool, specifications
from bridge.business.directory import BusinessDirectory, Found, uncached
from bridge.business.quotas import Limit
from bridge.call.plan import CallPlan
from bridge.settings.message_options import apart
from bridge.settings.options import CallOptions, merge_valid
from bridge.settings.process import Settings
from bridge.switchboard.unserved import Refused
from bridge.telemetry.log import of_call, server_logger
from bridge.telemetry.masking import mask_phone
from bridge.telephony import sentences
from bridge.telephony.twiml import Sentence, tag_of
from crm import leads, proofs, two_channels
from crm.businesses import Business
from crm.calendar import Rules
from crm.claims import Claimant
from crm.database import Database
from crm.leads import Lead
from crm.patience import answer
from crm.transient import DATABASE_ERRORS, is_transient
from crm.two_channels import Words

# How long a caller waits for their lead; after that the record updates the lead.
TOUCH_WAIT_S = 1.0


class Ringing(msgspec.Struct, frozen=True, kw_only=True):
    """What the voice webhook says about a call."""

    call_sid: str
    account_sid: str
    from_number: str
    to_number: str
    # STIR/SHAKEN as Twilio reports it; "" if Twilio reported none, or the call was not
    # signed.
    stir_verstat: str = ""
    # Placed from the console, not by a caller.
    is_test: bool = False


class CallSetup(NamedTuple):
    """Everything that a call driver is made from."""

    plan: CallPlan
    tools: Mapping[str, Tool]
    fallback: Sentence


class Admit(Protocol):
    """Checks a call against its business's limits."""

    def __call__(
        self,
        business_id: UUID,
        call_sid: str,
        caller: str | None,
        options: CallOptions,
        now: datetime,
        *,
        is_database_down: bool,
    ) -> Awaitable[Limit | None]:
        """Return the limit that refuses the call; None if the call is admitted."""


async def open_plan(
    database: Database,
    settings: Settings,
    ringing: Ringing,
    now: datetime,
    admit: Admit | None = None,
    directory: BusinessDirectory | None = None,
) -> CallSetup | None:
    """Look up the dialled number; return None if no business has it.

    If the database is unreachable, a business cached by `directory` is used. Nothing is
    known about the caller then, and the call's record updates their lead.

    Raises Refused if `admit` says that a limit refuses the call; such a call leaves no
    trace.

    The caller becomes a lead, or is recognised as one. A caller whose number has
    no worth does not become a lead.
    """
    directory = directory or uncached(database, settings.call)
    account_sid = "" if ringing.is_test else ringing.account_sid
    found = await directory.find(ringing.to_number, account_sid)
    if found is None:
        return None
    business = found.business
    options = _options(settings, ringing, business)
    caller = caller_of(
        ringing.from_number,
        business.country,
        options.caller_trust,
        ringing.stir_verstat,
        own_numbers=business.numbers,
    )
    if admit is not None:
        limit = await admit(
            business.id,
            ringing.call_sid,
            caller.phone,
            options,
            now,
            is_database_down=found.is_cached,
        )
        if limit is not None:
            raise Refused(limit, str(business.id), fallback_of(settings, business))
    lead_due = ""
    lead: Lead | None = None
    wrote: tuple[Words, ...] = ()
    if caller.own_phone is not None:
        touching = _touch(database, business.id, caller.own_phone)
        known, is_due = await _touched(directory, ringing, found, touching)
        lead, wrote = known or (leads.unknown(caller.own_phone), ())
        lead_due = caller.own_phone if is_due else ""
    else:
        server_logger().info(
            "[CRM] caller %s is not a lead: number worth %s, attestation %s",
            mask_phone(ringing.from_number),
            caller.worth.value,
            ringing.stir_verstat[:64] or "none",
            extra=of_call(ringing.call_sid, str(business.id)),
        )
    tools = _tools(database, business, caller, ringing.call_sid, options)
    prompt = build(business, lead, now, caller.worth, wrote)
    plan = _plan(options, ringing, caller, business, lead, tools, prompt)
    plan = msgspec.structs.replace(plan, lead_due=lead_due)
    return CallSetup(plan, tools, fallback_of(settings, business))


async def reopen_plan(
    database: Database,
    settings: Settings,
    plan: CallPlan,
    directory: BusinessDirectory,
) -> CallSetup | None:
    """Return what a call of another process goes on with; None if no business has it.

    The plan stays as it was; only the tools are made anew. A caller who has proven who
    they are need not prove it again; the tries that they have used stay used.
    """
    found = await directory.find(plan.to_number)
    if found is None or str(found.business.id) != plan.business_id:
        return None
    worth = Worth(plan.caller_worth)
    phone = None if worth is Worth.NONE else plan.from_number
    caller = Caller(phone, worth)
    is_proven = False
    if caller.worth is Worth.UNVERIFIED and caller.phone is not None:
        claimant = Claimant(plan.call_sid, caller.phone)
        proving = proofs.is_proven(database, found.business.id, claimant)
        is_proven = await _answered(proving, plan)
    tools = _tools(
        database, found.business, caller, plan.call_sid, plan.options, is_proven
    )
    plan = msgspec.structs.replace(plan, tools=specifications(tools))
    return CallSetup(plan, tools, fallback_of(settings, found.business))


async def _answered(proving: Coroutine[Any, Any, bool], plan: CallPlan) -> bool:
    """Tell what the database says of a caller's proof; without it nothing is proven."""
    try:
        return await answer(proving, TOUCH_WAIT_S)
    except DATABASE_ERRORS as error:
        log, name = server_logger(), type(error).__name__
        where = of_call(plan.call_sid, plan.business_id)
        log.warning("[CRM] the caller must prove it again: %s", name, extra=where)
        return False


def _tools(
    database: Database,
    business: Business,
    caller: Caller,
    call_sid: str,
    options: CallOptions,
    is_proven: bool = False,
) -> dict[str, Tool]:
    return crm_tools(
        database,
        business,
        caller.phone,
        call_sid=call_sid,
        rules=Rules(
            options.booking_step_minutes,
            options.booking_lead_minutes,
            options.booking_days_max,
        ),
        worth=caller.worth,
        limits=BookingLimits(
            options.limit_open_bookings_per_caller,
            options.limit_open_bookings_unverified,
            options.limit_open_bookings_withheld,
        ),
        is_proven=is_proven,
    )


async def _touch(
    database: Database, business_id: UUID, phone: str
) -> tuple[Lead, tuple[Words, ...]]:
    """Note that a verified caller calls; return their lead, and what they wrote."""
    async with database.tenant(business_id) as connection:
        lead = await leads.note_call(connection, business_id, phone)
        return lead, await two_channels.written(connection, business_id, phone)


async def _touched(
    directory: BusinessDirectory,
    ringing: Ringing,
    found: Found,
    touching: Coroutine[Any, Any, tuple[Lead, tuple[Words, ...]]],
) -> tuple[tuple[Lead, tuple[Words, ...]] | None, bool]:
    """Return the caller's lead, updated with this call, and what they wrote, or None if
    the update fails; and whether the update is to follow later."""
    where = of_call(ringing.call_sid, str(found.business.id))
    if found.is_cached:
        touching.close()
        return None, True
    try:
        lead, wrote = await answer(touching, TOUCH_WAIT_S)
    except Exception as error:
        log, name = server_logger(), type(error).__name__
        if is_transient(error):
            log.warning("[CRM] lead is told later: %s", name, extra=where)
            return None, True
        # A fault in the lead must not cost the call.
        log.error("[CRM] lead is not told", exc_info=error, extra=where)
        return None, False
    what = "created" if lead.calls == 1 else f"known, call {lead.calls}"
    server_logger().info("[CRM] lead %s: %s", mask_phone(lead.phone), what, extra=where)
    return (lead, wrote), False


def fallback_of(settings: Settings, business: Business | None) -> Sentence:
    """Return what Twilio says when the assistant is unavailable.

    The operator's sentence is in the operator's language, whatever the business's
    language.
    """
    language = "en" if business is None else business.language
    country = "" if business is None else business.country
    if business is not None and business.fallback_sentence:
        return Sentence(business.fallback_sentence, tag_of(language, country))
    if settings.fallback_sentence:
        return Sentence(settings.fallback_sentence, settings.fallback_language)
    text = sentences.sorry_in(language, country)
    if text is None:
        return Sentence(sentences.SORRY["en"], "en")
    return Sentence(text, tag_of(language, country))


def _options(settings: Settings, ringing: Ringing, business: Business) -> CallOptions:
    options, wrong = merge_valid(settings.call, apart(business.settings)[0])
    for line in wrong:
        # A wrong setting in the database must not cost the call.
        server_logger().error(
            "a setting of the business is ignored: %s",
            line,
            extra=of_call(ringing.call_sid, str(business.id)),
        )
    return options


def _plan(
    options: CallOptions,
    ringing: Ringing,
    caller: Caller,
    business: Business,
    lead: Lead | None,
    tools: Mapping[str, Tool],
    prompt: Prompt,
) -> CallPlan:
    ours = sentences.greeting_in(business.language, business.country)
    greeting = business.greeting or (ours or sentences.GREETINGS["en"]).format(
        name=business.name
    )
    required = business.required_fields
    return CallPlan(
        call_sid=ringing.call_sid,
        business_id=str(business.id),
        business_name=business.name,
        from_number=caller.phone or ringing.from_number,
        to_number=ringing.to_number,
        caller_worth=caller.worth.value,
        language=business.language,
        instructions=prompt.instructions,
        prompt=prompt.text,
        prompt_facts=prompt.facts,
        greeting=greeting,
        tools=specifications(tools),
        missing_fields=required if lead is None else lead.missing(required),
        is_test=ringing.is_test,
        options=options,
    )
