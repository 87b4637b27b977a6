"""`kolbridge doctor`: sessions with the real model, configured as a call's are."""

import asyncio
import logging
import ssl
from collections.abc import Callable
from time import monotonic

from bridge.doctor_check import Check
from bridge.line import Exchange, Line
from bridge.log import LOGGER, CallLogger
from bridge.metrics import Metrics
from bridge.plan import CallPlan
from bridge.settings import Settings
from bridge.tools import ToolRunner
from bridge.twiml import Sentence

# Opening and configuring a session takes well under a second.
SESSION_WAIT_S = 10.0


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
        await _until(lambda: bool(errors.texts) or line.call.is_session_ready)
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


class _Errors(logging.Handler):
    """Keeps what was logged as wrong, for the list: a call would try again."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())

    def __enter__(self) -> "_Errors":
        logging.getLogger(LOGGER).addHandler(self)
        return self

    def __exit__(self, *error: object) -> None:
        logging.getLogger(LOGGER).removeHandler(self)


def _forget(line: Line) -> None:
    """Keep nothing of a session that was only a check."""
