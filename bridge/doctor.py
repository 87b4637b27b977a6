"""`kolbridge doctor`: the checklist before going live, each with ✓ or what to do.

Nothing it does reaches a caller or stays in the database: the calls it places go
through a bridge of its own on loopback, to a model of the sandbox, from a caller who
hides his number, and leave no record. Only the session with the real model is real.
"""

import argparse
import asyncio
import logging
import os
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import msgspec

from bridge.line import Exchange, Line
from bridge.log import LOGGER, CallLogger, mask_phone
from bridge.metrics import Metrics
from bridge.options import OptionError, merge
from bridge.plan import CallPlan, CallRecord
from bridge.prices import PRICES_DATE, VENDOR_PRICES
from bridge.sandbox.caller import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN, Caller
from bridge.sandbox.realtime import RealtimeServer
from bridge.sandbox.timeline import HangUp, WaitForAi
from bridge.serve import ROLE_WANTED, require_bound_role
from bridge.server import Server
from bridge.settings import Settings, SettingsError, check_complete, load
from bridge.tools import ToolRunner
from bridge.twiml import Sentence
from crm import businesses
from crm.away import AWAY
from crm.businesses import Business
from crm.connect import open_url, service_url
from crm.database import Database, IsolationError
from crm.embedded import EmbeddedError
from crm.migrate import MigrationError

DESCRIPTION = """Tries the settings of kolbridge serve, the database, Twilio's
signatures, the model, a call to each business and what keeps them apart.
Exit code 1 if something needs attention."""
# Opening and configuring a session takes well under a second.
SESSION_WAIT_S = 10.0
CALL_WAIT_S = 20.0
# Calls placed at once; the machine may be small.
CALLS_AT_ONCE = 4
_TENANT_TABLES = ("business_settings", "leads", "appointments", "calls", "call_turns")


class Check(NamedTuple):
    """One line of the list; `text` is what was found, or what to do."""

    name: str
    ok: bool
    text: str

    def __str__(self) -> str:
        return f"{'✓' if self.ok else '✗'} {self.name}: {self.text}"


def add_parser(subparsers: Any) -> None:
    """Add `doctor` to the command line."""
    parser = subparsers.add_parser(
        "doctor",
        description=DESCRIPTION,
        epilog="examples:\n  kolbridge doctor\n  PORT=9000 kolbridge doctor\n",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Go through the list; 0 if all is well."""
    # The list says what matters; without this, warnings would run through it.
    logging.getLogger(LOGGER).addHandler(logging.NullHandler())
    settings, checks = check_settings(os.environ, Path(".env"))
    _show(checks)
    if settings is None:
        return 1
    try:
        url, embedded = open_url(
            settings.database_url,
            Path(settings.kolbridge_home),
            admin_url=settings.database_admin_url,
        )
    except (EmbeddedError, MigrationError, OSError, asyncpg.PostgresError) as error:
        _show([Check("database", False, f"start it or set DATABASE_URL: {error}")])
        return 1
    try:
        if embedded is None:
            owner = settings.database_admin_url or url
        else:
            owner, url = url, asyncio.run(service_url(url))
        checks += asyncio.run(_check_all(settings, owner, url))
    finally:
        if embedded is not None:
            embedded.stop()
    wrong = sum(not check.ok for check in checks)
    print(f"{wrong} of {len(checks)} need attention" if wrong else "ready for calls")
    return 1 if wrong else 0


def check_settings(
    env: Mapping[str, str], dotenv: Path
) -> tuple[Settings | None, list[Check]]:
    """Check what is set; without settings that can be read nothing else can be."""
    try:
        settings = load(env, dotenv)
    except SettingsError as error:
        return None, [Check("settings", False, str(error))]
    missing = [Check("settings", False, line) for line in check_complete(settings)]
    if settings.public_url is None:
        text = "PUBLIC_URL is not set: Twilio needs https://name to reach this machine"
        missing.append(Check("settings", False, text))
    checks = missing or [Check("settings", True, "complete")]
    return settings, [*checks, _check_prices(settings)]


def _check_prices(settings: Settings) -> Check:
    """Say by which prices calls have a cost; to have none is no fault."""
    prices = settings.openai_prices
    call = settings.call
    unknown = [
        model
        for model in (call.openai_model, call.openai_transcription_model)
        if model not in prices
    ]
    if unknown:
        models = " and ".join(unknown)
        text = f"calls are written without: OPENAI_PRICES has no price of {models}"
    elif prices is VENDOR_PRICES:
        text = f"by the vendor's prices of {PRICES_DATE}, in US dollars"
    else:
        text = "by OPENAI_PRICES"
    return Check("costs", True, text)


async def _check_all(settings: Settings, owner: str, url: str) -> list[Check]:
    database = await Database.open(owner, pgbouncer=settings.db_pgbouncer)
    checks = []
    try:
        for part in (
            partial(_check_database, database),
            partial(check_role, settings, url),
            partial(check_isolation, database),
            partial(check_signatures, settings, database),
            partial(check_model, settings),
            partial(check_calls, settings, database),
        ):
            found = await part()
            _show(found)
            checks += found
    except asyncpg.PostgresError as error:
        refused = Check("database", False, f"the owner's role is refused: {error}")
        _show([refused])
        checks.append(refused)
    finally:
        await database.close()
    return checks


async def _check_database(database: Database) -> list[Check]:
    await database.ping()
    count = len(await businesses.list_all(database))
    if count:
        return [Check("database", True, f"migrated, {count} businesses")]
    text = "no business yet: make one with `kolbridge tenant create`"
    return [Check("database", False, text)]


async def check_role(settings: Settings, url: str) -> list[Check]:
    """Look at the role that `kolbridge serve` logs in as."""
    try:
        await require_bound_role(settings, url)
    except IsolationError as error:
        return [Check("service role", False, f"{error}; {ROLE_WANTED}")]
    except (asyncpg.PostgresError, *AWAY) as error:
        text = str(error) or type(error).__name__
        return [Check("service role", False, f"{text}; {ROLE_WANTED}")]
    return [Check("service role", True, "bound by row-level security")]


async def check_isolation(database: Database) -> list[Check]:
    """Try to see and to write another tenant's rows; the database must refuse."""
    tenants = [business_id for business_id, _ in await businesses.list_all(database)]
    mine = tenants[0] if tenants else uuid4()
    seen = 0
    async with database.tenant(mine) as connection:
        for table in _TENANT_TABLES:
            seen += await connection.fetchval(
                f"select count(*) from {table} where business_id <> $1", mine
            )
    if seen:
        text = f"{seen} rows of other tenants are visible: is the role a superuser?"
        return [Check("tenant isolation", False, text)]
    if await _can_write(database, mine, uuid4()):
        text = "a row of another tenant could be written: check the policies"
        return [Check("tenant isolation", False, text)]
    return [Check("tenant isolation", True, "foreign rows cannot be seen or written")]


async def _can_write(database: Database, mine: UUID, other: UUID) -> bool:
    """Try to write; the failing statement takes its transaction with it."""
    try:
        async with database.tenant(mine) as connection:
            await connection.execute(
                "insert into leads (business_id, phone) values ($1, '+15550000000')",
                other,
            )
    except asyncpg.InsufficientPrivilegeError:
        return False
    except asyncpg.ForeignKeyViolationError:
        return True
    return True


async def check_signatures(settings: Settings, database: Database) -> list[Check]:
    """Send a signed webhook, a forged and a bare one, each to a bridge of our own."""
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


async def check_model(settings: Settings) -> list[Check]:
    """Open and configure a session as a call does."""
    plan = CallPlan(
        call_sid="doctor",
        business_id="doctor",
        business_name="",
        from_number="",
        to_number="",
        language="en",
        instructions="Say nothing.",
        greeting="",
        options=settings.call,
    )
    metrics, log = Metrics(), CallLogger("doctor")
    exchange = Exchange(
        settings=settings,
        metrics=metrics,
        tls=ssl.create_default_context(),
        on_over=_forget,
    )
    tools = ToolRunner(
        {}, deadline_ms=settings.tool_deadline_ms, log=log, metrics=metrics
    )
    fallback = Sentence("", "en")
    with _Errors() as errors:
        line = Line(exchange, plan, tools, account_sid="", fallback=fallback)
        line.open_model()
        await _until(lambda: line.is_over or line.call.is_session_ready)
        is_ready = line.call.is_session_ready
        line.receive(line.call.receive_hangup, "checked")
        await _until(lambda: not line.is_connected)
    options = settings.call
    if is_ready:
        text = f"{options.openai_model} with voice {options.openai_voice} is ready"
        return [Check("model", True, text)]
    said = errors.texts[0] if errors.texts else f"no session in {SESSION_WAIT_S:g} s"
    text = f"{said}: check OPENAI_API_KEY, OPENAI_MODEL and OPENAI_REALTIME_URL"
    return [Check("model", False, text)]


async def _until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + SESSION_WAIT_S
    while not condition() and monotonic() < deadline:  # noqa: ASYNC110 (no event)
        await asyncio.sleep(0.02)


async def check_calls(settings: Settings, database: Database) -> list[Check]:
    """Place a call to each business, to a model of the sandbox."""
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
    caller = Caller(
        f"http://127.0.0.1:{server.port}",
        account_sid=settings.twilio_account_sid or SANDBOX_ACCOUNT_SID,
        auth_token=settings.twilio_auth_token or "",
        public_url=server.public_url,
        from_number="anonymous",
        to_number=number,
    )
    async with at_once:
        result = await caller.call([WaitForAi("starts"), HangUp()], max_s=CALL_WAIT_S)
    trouble = [*result.problems, *result.warnings, *result.spoken]
    if result.media and not trouble:
        return Check(name, True, f"answered on {mask_phone(number)}")
    text = "; ".join(trouble) or "nothing was heard"
    return Check(name, False, f"{text}: see `kolbridge tenant show`")


def _wrong_business(business: Business, settings: Settings) -> str | None:
    """Say what of a business's own settings keeps it from being called."""
    if not business.numbers:
        return "it has no number: give it one with `kolbridge tenant`"
    try:
        merge(settings.call, business.settings)
    except OptionError as error:
        return f"{error}: correct it with `kolbridge tenant set`"
    return None


def _loopback(settings: Settings, model_url: str, key: str = "sk-doctor") -> Settings:
    """Return the settings of a bridge that only this process reaches; its public name
    stays, for signatures are made over it."""
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


class _Errors(logging.Handler):
    """Keeps what was logged as an error, for the list."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())

    def __enter__(self) -> "_Errors":
        logging.getLogger(LOGGER).addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        logging.getLogger(LOGGER).removeHandler(self)


def _forget(what: CallRecord | Line) -> None:
    """Keep nothing of a call that was only a check."""


def _show(checks: list[Check]) -> None:
    for check in checks:
        print(check, flush=True)
