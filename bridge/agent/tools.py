"""Runs the tools the model asks for, off the audio path, one after the other.

A response may cancel and book, or prove who the caller is and book: a tool begins when
the one that was asked for before it has ended, or is late.

A tool is a typed struct of arguments and a coroutine; its JSON schema is derived from
the type. Whatever goes wrong, the model gets a clear error and the call goes on: bad
arguments name the field, a late tool names its deadline, a failing one is logged here.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import lru_cache
from time import monotonic
from typing import Any, NamedTuple

import msgspec
import orjson

from bridge.call.ending import END_CALL, EndCall
from bridge.call.plan import RunTool, ToolResult
from bridge.realtime.openai import FunctionTool
from bridge.telemetry.log import CallLogger
from bridge.telemetry.metrics import Metrics
from crm.deadlocks import despite_deadlocks
from crm.transient import is_transient

# The longest answer of a tool; a longer one is of no use to a listener.
OUTPUT_BYTES_MAX = 16_384
# Beside five, one for each set of fields that a business requires.
SCHEMAS_KEPT = 256
# What a database has begun it may finish after the tool was given up.
_UNREACHABLE_TEXT = (
    "the calendar and the records cannot be reached right now, and it is not known "
    "whether this was done. Tell the caller so briefly, ask for what is needed to call "
    "back, and go on; nothing is promised. The same asked again is done once"
)
TOO_MANY_TEXT = "too many tools at once: wait for the others"
_END_CALL_TEXT = (
    "End the call. reason=completed once everything the business requires is written "
    "down; goodbye when the caller says goodbye; declined when they want no more."
)


class ToolError(ValueError):
    """A tool did nothing of what it was asked. The text is for the model; `more` is
    what the model may do instead."""

    def __init__(self, text: str, **more: object) -> None:
        super().__init__(text)
        self.more = more


class LimitError(ToolError):
    """A tool did nothing, because `limit`, a limit of the business, was reached."""

    def __init__(self, limit: str, text: str) -> None:
        super().__init__(text)
        self.limit = limit


class _Late(Exception):
    """A tool did not answer by its deadline."""


class Answer(NamedTuple):
    """What a tool found. `missing_fields` is what the business still must learn of the
    caller, None when the tool does not say; `log` is a line for the call's log."""

    output: Mapping[str, object]
    missing_fields: tuple[str, ...] | None = None
    log: str | None = None


class Tool(NamedTuple):
    """One tool of one call; `run` takes the arguments and the id of the asking."""

    arguments: type[msgspec.Struct]
    description: str
    run: Callable[[Any, str], Awaitable[Answer]]


def specifications(tools: Mapping[str, Tool]) -> tuple[FunctionTool, ...]:
    """Return the tools as a session is told of them, and `end_call`."""
    return (
        *(specify(name, one.description, one.arguments) for name, one in tools.items()),
        specify(END_CALL, _END_CALL_TEXT, EndCall),
    )


def specify(
    name: str, description: str, arguments: type[msgspec.Struct]
) -> FunctionTool:
    """Return one tool as the model sees it."""
    parameters = _parameters(arguments)
    return FunctionTool(name=name, description=description, parameters=parameters)


@lru_cache(maxsize=SCHEMAS_KEPT)
def _parameters(arguments: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the schema of a tool's arguments, which is flat and not to be changed.

    Those of one call take 0.6 ms to make, and no frame of another moves meanwhile.
    """
    _, found = msgspec.json.schema_components([arguments])
    schema = found[arguments.__name__]
    return {
        "type": "object",
        "properties": {
            field: {key: value for key, value in wanted.items() if key != "default"}
            for field, wanted in schema["properties"].items()
        },
        "required": schema["required"],
        "additionalProperties": False,
    }


class ToolRunner:
    """The tools of one call."""

    def __init__(
        self,
        tools: Mapping[str, Tool],
        *,
        deadline_ms: int,
        log: CallLogger,
        metrics: Metrics,
        logs_speech: bool = True,
        confirm: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """`confirm` raises if the call is another process's by now."""
        self._tools = tools
        self._confirm = confirm
        self._deadline_ms = deadline_ms
        self._log = log
        self._metrics = metrics
        self._logs_speech = logs_speech
        # First come, first served.
        self._turn = asyncio.Lock()
        # Tools that were given up; they hold a connection until it times out.
        self._late: set[asyncio.Task[Answer]] = set()

    async def run(self, asked: RunTool) -> ToolResult:
        """Run a tool to its end or its deadline; every failure is an answer."""
        started = monotonic()
        try:
            answer = await self._call_in_turn(asked)
            outcome = "ok"
        except _Late:
            outcome = "late"
            text = f"{asked.name} did not answer within {self._deadline_ms} ms"
            answer = Answer({"error": f"{text}: {_UNREACHABLE_TEXT}"})
        except ToolError as error:
            outcome = "refused"
            if isinstance(error, LimitError):
                self._metrics.count("limits_reached", limit=error.limit)
            answer = Answer({"error": str(error), **error.more})
        except Exception as error:
            outcome, answer = self._failed(asked, error)
        return self._result(asked, answer, outcome, (monotonic() - started) * 1e3)

    def _failed(self, asked: RunTool, error: Exception) -> tuple[str, Answer]:
        """Return the error for the model: the database's fault, or the bridge's own."""
        if is_transient(error):
            self._log.warning("tool %s: %s", asked.name, type(error).__name__)
            return "unreachable", Answer({"error": _UNREACHABLE_TEXT})
        self._log.error("tool %s failed", asked.name, exc_info=error)
        return "failed", Answer({"error": f"{asked.name} failed; nothing was changed"})

    async def refuse(self, asked: RunTool, why: str = TOO_MANY_TEXT) -> ToolResult:
        """Answer a tool call that is not run, such as one over the limit."""
        answer = Answer({"error": why})
        return self._result(asked, answer, "refused", 0.0)

    async def _call_in_turn(self, asked: RunTool) -> Answer:
        """Run a tool after those before it; its deadline counts from its asking."""
        until = monotonic() + self._deadline_ms / 1e3
        try:
            async with asyncio.timeout(self._deadline_ms / 1e3):
                await self._turn.acquire()
        except TimeoutError:
            raise _Late from None
        try:
            return await self._call_in_time(asked, max(0.0, until - monotonic()))
        finally:
            self._turn.release()

    async def _call_in_time(self, asked: RunTool, within_s: float) -> Answer:
        """Run a tool, and abandon it at the deadline.

        The tool is cancelled but not awaited: a query cannot be cancelled in time while
        the database hangs.
        """
        task = asyncio.get_running_loop().create_task(self._call(asked))
        try:
            await asyncio.wait((task,), timeout=within_s)
        finally:
            if not task.done():
                task.cancel()
                self._late.add(task)
                task.add_done_callback(self._forget)
        if not task.done():
            raise _Late
        return task.result()

    def _forget(self, task: asyncio.Task[Answer]) -> None:
        self._late.discard(task)
        if not task.cancelled() and task.exception() is not None:
            self._log.warning("late tool: %s", type(task.exception()).__name__)

    async def _call(self, asked: RunTool) -> Answer:
        tool = self._tools.get(asked.name)
        if tool is None:
            known = ", ".join((*self._tools, END_CALL))
            raise ToolError(f"there is no tool {asked.name[:64]!r}: expected {known}")
        try:
            arguments = msgspec.json.decode(asked.arguments, type=tool.arguments)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise ToolError(f"{asked.name}: {_readable(error)}") from None
        if self._confirm is not None:
            await self._confirm()
        return await despite_deadlocks(tool.run)(arguments, asked.tool_call_id)

    def _result(
        self, asked: RunTool, answer: Answer, outcome: str, duration_ms: float
    ) -> ToolResult:
        name = asked.name if asked.name in self._tools else "unknown"
        self._metrics.count("tools", name=name, outcome=outcome)
        said = f" {asked.arguments[:256]}" if self._logs_speech else ""
        self._log.info("[TOOL] %s%s %s %.0f ms", name, said, outcome, duration_ms)
        if answer.log is not None:
            self._log.info("[CRM] %s", answer.log)
        output = orjson.dumps(answer.output, default=str)
        if len(output) > OUTPUT_BYTES_MAX:
            output = orjson.dumps({"error": f"{name} found too much: ask for less"})
        return ToolResult(
            tool_call_id=asked.tool_call_id,
            name=asked.name,
            arguments=asked.arguments,
            output=output.decode(),
            ok=outcome == "ok",
            duration_ms=round(duration_ms, 1),
            missing_fields=answer.missing_fields,
        )


def _readable(error: Exception) -> str:
    """Say what is wrong with the arguments; a wrong field is named as the model does:
    `Expected `str`, got `int` - at `$.phone`` becomes `phone: expected `str`, …`."""
    what, _, where = str(error).partition(" - at `$.")
    if not where:
        return what[:1].lower() + what[1:]
    return f"{where.rstrip('`')}: {what[:1].lower()}{what[1:]}"
