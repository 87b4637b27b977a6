"""`kolbridge doctor`: signed webhooks and a call to each business, on loopback.

The bridge is started for the check and the model is the sandbox's; nothing is stored.
"""

import asyncio
from uuid import UUID

import aiohttp
import msgspec

from bridge.agent.identity import ATTESTED, Worth
from bridge.call.plan import CallRecord
from bridge.cli.doctor.check import Check, warning
from bridge.line.driver import CallDriver
from bridge.sandbox.caller import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN, Caller
from bridge.sandbox.realtime import RealtimeServer
from bridge.sandbox.timeline import HangUp, WaitForAi
from bridge.service.server import Server
from bridge.settings.message_options import account_of, apart
from bridge.settings.options import OptionError, merge
from bridge.settings.process import Settings
from bridge.telemetry.masking import mask_phone
from crm import businesses, calls
from crm.businesses import Business
from crm.database import Database

CALL_WAIT_S = 20.0
# Calls placed at once; the machine may be small.
CALLS_AT_ONCE = 4
# This many of a business's last calls without an attestation, and none with one, are
# not chance.
CALLS_LOOKED_AT = 50
UNPROVEN_MIN = 10


async def check_signatures(settings: Settings, database: Database) -> list[Check]:
    """Send a signed, a forged and an unsigned webhook, each to a bridge of its own."""
    caller_settings = _loopback(settings, "ws://127.0.0.1:9/v1/realtime")
    server = Server(caller_settings, database, on_record=_forget)
    await server.start()
    token = caller_settings.twilio_auth_token or ""
    try:
        signed = await _status(server, Caller(server.public_url, auth_token=token))
        forged = await _status(server, Caller(server.public_url, auth_token="forged"))
        bare = await _status(server, Caller(server.public_url, signed=False))
    finally:
        await server.close()
    if (signed, forged, bare) == (204, 403, 403):
        return [Check("signatures", True, f"checked against {server.public_url}")]
    text = f"expected 204, 403 and 403 (signed, forged, bare), got {signed}, {forged}, "
    return [Check("signatures", False, f"{text}{bare}: check TWILIO_AUTH_TOKEN")]


async def _status(server: Server, caller: Caller) -> int:
    path, fields = "/twilio/call-status", {"CallSid": "CA" + "0" * 32}
    headers = caller.signed_headers(server.public_url + path, fields)
    url = f"http://127.0.0.1:{server.port}{path}"
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=fields, headers=headers) as response,
    ):
        return response.status


async def check_calls(settings: Settings, database: Database) -> list[Check]:
    """Place a call to each business, with the sandbox's model."""
    at_once = asyncio.Semaphore(CALLS_AT_ONCE)
    async with RealtimeServer() as model:
        calling = _loopback(settings, model.url, model.api_key)
        server = Server(calling, database, on_record=_forget)
        await server.start()
        try:
            return await asyncio.gather(
                *(
                    _call(server, calling, database, business_id, at_once)
                    for business_id, _ in await businesses.list_all(database)
                )
            )
        finally:
            await server.close()


async def _call(
    server: Server,
    settings: Settings,
    database: Database,
    business_id: UUID,
    at_once: asyncio.Semaphore,
) -> Check:
    business = await businesses.get(database, business_id)
    assert business is not None, "it was listed a moment ago"
    name = f"call to {business.name}"
    wrong = _wrong_business(business, settings)
    if wrong:
        return Check(name, False, wrong)
    number = business.numbers[0]
    own = account_of(settings.call, business.settings)
    account_sid = own or settings.twilio_account_sid or SANDBOX_ACCOUNT_SID
    caller = Caller(
        f"http://127.0.0.1:{server.port}",
        account_sid=account_sid,
        auth_token=settings.signing_secrets.token_of(account_sid),
        public_url=server.public_url,
        from_number="anonymous",
        to_number=number,
    )
    async with at_once:
        result = await caller.call([WaitForAi("starts"), HangUp()], max_s=CALL_WAIT_S)
    trouble = [*result.problems, *result.warnings, *result.spoken]
    if result.media and not trouble:
        text = f"answered on {mask_phone(number)}"
        asked = await _asked_in_vain(database, business, settings)
        return warning(name, f"{text}; {asked}") if asked else Check(name, True, text)
    text = "; ".join(trouble) or "nothing was heard"
    return Check(name, False, f"{text}: see `kolbridge tenant show`")


async def _asked_in_vain(
    database: Database, business: Business, settings: Settings
) -> str | None:
    """Warn if a business requires attested numbers but no call has one."""
    of_calls, _ = apart(business.settings)
    if merge(settings.call, of_calls).caller_trust != ATTESTED:
        return None
    rows = await calls.recent(database, business.id, CALLS_LOOKED_AT)
    worths = [row["caller_worth"] for row in rows]
    unproven = worths.count(Worth.UNVERIFIED.value)
    if unproven < UNPROVEN_MIN or Worth.VERIFIED.value in worths:
        return None
    return (
        f"no number of its last {len(rows)} calls was fully attested: every caller "
        "must say a second fact; CALLER_TRUST=number trusts the number alone"
    )


def _wrong_business(business: Business, settings: Settings) -> str | None:
    """Return which of a business's own settings prevents calls to it."""
    if not business.numbers:
        return "it has no number: give it one with `kolbridge tenant`"
    try:
        of_calls, of_messages = apart(business.settings)
        merge(settings.call, of_calls)
        merge(settings.message, of_messages)
    except OptionError as error:
        return f"{error}: correct it with `kolbridge tenant set`"
    return None


def _loopback(settings: Settings, model_url: str, key: str = "sk-doctor") -> Settings:
    """Return the settings of a bridge that only this process reaches.

    The public name stays, because signatures are made over it.
    """
    return msgspec.structs.replace(
        settings,
        host="127.0.0.1",
        port=0,
        kolbridge_home=f"{settings.kolbridge_home}/doctor",
        openai_realtime_url=model_url,
        openai_api_key=key,
        twilio_validate_signatures=True,
        twilio_auth_token=settings.twilio_auth_token or SANDBOX_AUTH_TOKEN,
        twilio_account_sid=settings.twilio_account_sid or SANDBOX_ACCOUNT_SID,
    )


def _forget(what: CallRecord | CallDriver) -> None:
    """Store nothing of a call that was only a check."""
