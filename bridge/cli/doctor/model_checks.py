"""`kolbridge doctor`: sessions with the real model, configured as callers' are."""

import asyncio
import logging
import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from time import monotonic
from uuid import UUID

import msgspec

from bridge.agent.tools import ToolRunner
from bridge.call.plan import CallPlan
from bridge.cli.doctor.check import Check
from bridge.cli.doctor.settings_checks import check_shutdowns, distinct
from bridge.line.driver import CallDriver, Exchange
from bridge.settings.process import Settings
from bridge.switchboard.call_setup import Ringing, open_plan
from bridge.telemetry.log import LOGGER, CallLogger
from bridge.telemetry.metrics import Metrics
from bridge.telephony.twiml import Sentence
from crm import businesses
from crm.database import Database

# Opening and configuring a session takes well under a second.
SESSION_WAIT_S = 10.0
# The number of sessions opened at once; accounts have a limit.
SESSIONS_AT_ONCE = 4


async def check_model(settings: Settings, database: Database) -> list[Check]:
    """Open and configure a session by the settings, and then one for each business.

    A business's session has its prompt, language, voice, model and tools.
    """
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
    options, today = settings.call, datetime.now(UTC).date()
    checks = list(check_shutdowns("the settings", options, today))
    refused = await _refused(settings, plan)
    if refused is not None:
        text = f"{refused}: check OPENAI_API_KEY, OPENAI_MODEL and OPENAI_REALTIME_URL"
        return [*checks, Check("model", False, text)]
    text = f"{options.openai_model} with voice {options.openai_voice} is ready"
    return [
        *checks,
        Check("model", True, text),
        *await _check_businesses(settings, database),
    ]


async def _check_businesses(settings: Settings, database: Database) -> list[Check]:
    at_once = asyncio.Semaphore(SESSIONS_AT_ONCE)

    async def check(business_id: UUID) -> list[Check]:
        async with at_once:
            return await _check_business(settings, database, business_id)

    every = [business_id for business_id, _ in await businesses.list_all(database)]
    found = await asyncio.gather(*map(check, every))
    return distinct(one for checks in found for one in checks)


async def _check_business(
    settings: Settings, database: Database, business_id: UUID
) -> list[Check]:
    """Configure a session as for an unknown caller; nothing is said in it."""
    business = await businesses.get(database, business_id)
    if business is None or not business.numbers:
        return []
    ringing = Ringing(
        call_sid="doctor",
        account_sid="",
        from_number="anonymous",
        to_number=business.numbers[0],
    )
    opening = await open_plan(database, settings, ringing, datetime.now(UTC))
    if opening is None:
        return []
    plan = msgspec.structs.replace(opening.plan, greeting="")
    name, options = f"model of {business.name}", plan.options
    refused = await _refused(settings, plan)
    if refused is not None:
        text = f"{refused}: see `kolbridge tenant show`"
        return [Check(name, False, text)]
    today = datetime.now(UTC).date()
    own: Iterator[Check] = iter(())
    if options != settings.call:
        own = check_shutdowns(business.name, options, today)
    text = f"takes its prompt, voice {options.openai_voice} and {len(plan.tools)} tools"
    return [Check(name, True, text), *own]


async def _refused(settings: Settings, plan: CallPlan) -> str | None:
    """Configure a session for a plan; return why that failed, or None."""
    metrics, log = Metrics(), CallLogger("doctor", plan.business_id)
    exchange = Exchange(
        settings=settings,
        metrics=metrics,
        tls=ssl.create_default_context(),
        on_over=_forget,
    )
    tools = ToolRunner(
        {}, deadline_ms=settings.tool_deadline_ms, log=log, metrics=metrics
    )
    with _Errors(plan.business_id) as errors:
        line = CallDriver(
            exchange, plan, tools, account_sid="", fallback=Sentence("", "en")
        )
        line.open_model()
        await _until(lambda: bool(errors.texts) or line.call.is_session_ready)
        is_ready = line.call.is_session_ready
        line.receive(line.call.receive_hangup, "checked")
        await _until(lambda: not line.is_connected)
    if is_ready:
        return None
    return errors.texts[0] if errors.texts else f"no session in {SESSION_WAIT_S:g} s"


async def _until(condition: Callable[[], bool]) -> None:
    deadline = monotonic() + SESSION_WAIT_S
    while not condition() and monotonic() < deadline:  # noqa: ASYNC110 (no event)
        await asyncio.sleep(0.02)


class _Errors(logging.Handler):
    """Keeps logged errors of a session for the list: a call would try again."""

    def __init__(self, business_id: str) -> None:
        super().__init__(logging.WARNING)
        self._business_id = business_id
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if getattr(record, "business", None) == self._business_id:
            self.texts.append(record.getMessage())

    def __enter__(self) -> "_Errors":
        logging.getLogger(LOGGER).addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        logging.getLogger(LOGGER).removeHandler(self)


def _forget(line: CallDriver) -> None:
    """Store nothing of a session that was only a check."""
