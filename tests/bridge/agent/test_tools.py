"""The tool runner: what the model is told, whatever goes wrong."""

import asyncio
import logging
from typing import Annotated, Literal

import asyncpg
import msgspec
import orjson
import pytest
from msgspec import Meta

from bridge.agent import tools
from bridge.agent.tools import Answer, Tool, ToolError, ToolRunner, specifications
from bridge.call.plan import RunTool
from bridge.telemetry.log import CallLogger
from bridge.telemetry.metrics import Metrics


class Book(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of a tool."""

    name: Annotated[str, Meta(description="Whose it is.")]
    kind: Literal["a", "b"] = "a"


def asked(arguments='{"name":"Dana"}', name="book"):
    return RunTool("call_1", name, arguments)


def runner(run=None, *, metrics=None, **more):
    async def found(arguments, tool_call_id):
        return Answer({"name": arguments.name}, ("phone",), "lead updated")

    return ToolRunner(
        {"book": Tool(Book, "Books.", run or found)},
        deadline_ms=more.pop("deadline_ms", 1_000),
        log=CallLogger("CA1"),
        metrics=metrics or Metrics(),
        **more,
    )


def answer_of(result):
    return orjson.loads(result.output)


def test_tool_gets_typed_arguments_and_its_answer_is_json():
    result = asyncio.run(runner().run(asked()))

    assert answer_of(result) == {"name": "Dana"}
    assert (result.ok, result.missing_fields) == (True, ("phone",))
    assert (result.tool_call_id, result.name) == ("call_1", "book")
    assert result.arguments == '{"name":"Dana"}'


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ("{}", "book: object missing required field `name`"),
        ('{"name":1}', "book: name: expected `str`, got `int`"),
        ('{"name":"x","kind":"z"}', "book: kind: invalid enum value 'z'"),
        ('{"name":"x","age":1}', "book: object contains unknown field `age`"),
        ("{", "book: input data was truncated"),
        ('{"name":"x","y":' + "[" * 4_000, "unknown field `y`"),
    ],
)
def test_bad_arguments_name_the_field(arguments, error):
    result = asyncio.run(runner().run(asked(arguments)))

    assert not result.ok
    assert error in answer_of(result)["error"]


def test_unknown_tool_is_answered_with_those_there_are():
    result = asyncio.run(runner().run(asked(name="fly")))

    assert "there is no tool 'fly': expected book, end_call" in result.output


def test_late_tool_is_an_error_that_names_its_deadline():
    async def never(arguments, tool_call_id):
        await asyncio.Event().wait()

    metrics = Metrics()
    result = asyncio.run(runner(never, metrics=metrics, deadline_ms=1).run(asked()))

    error = answer_of(result)["error"]
    assert error.startswith("book did not answer within 1 ms: the calendar and the")
    assert "not known whether this was done" in error
    assert metrics.value("tools", name="book", outcome="late") == 1


def test_tool_may_refuse_in_its_own_words():
    async def refuse(arguments, tool_call_id):
        raise ToolError("phone: expected a number with its country")

    result = asyncio.run(runner(refuse).run(asked()))

    assert "phone: expected a number" in answer_of(result)["error"]
    assert not result.ok


def test_failing_tool_is_logged_with_its_trace_and_told_without(caplog):
    async def fail(arguments, tool_call_id):
        raise ZeroDivisionError("secret detail")

    result = asyncio.run(runner(fail).run(asked()))

    assert answer_of(result) == {"error": "book failed; nothing was changed"}
    assert "secret detail" in caplog.text


def test_answer_over_the_limit_is_not_sent():
    async def lots(arguments, tool_call_id):
        return Answer({"text": "x" * tools.OUTPUT_BYTES_MAX})

    result = asyncio.run(runner(lots).run(asked()))

    assert "found too much" in result.output


def test_refused_call_is_an_answer_too():
    result = asyncio.run(runner().refuse(asked()))

    assert not result.ok
    assert "too many tools" in result.output


@pytest.mark.parametrize(
    ("logs_speech", "line"),
    [(True, '[TOOL] book {"name":"Dana"} ok'), (False, "[TOOL] book ok")],
)
def test_tool_and_what_it_wrote_are_logged(logs_speech, line, caplog):
    with caplog.at_level(logging.INFO, "kolbridge"):
        asyncio.run(runner(logs_speech=logs_speech).run(asked()))

    assert caplog.messages[0].startswith(line)
    assert caplog.messages[0].endswith(" ms")
    assert caplog.messages[1] == "[CRM] lead updated"


def test_session_is_told_of_flat_schemas_and_end_call():
    made = specifications({"book": Tool(Book, "Books.", None)})

    assert [one.name for one in made] == ["book", "end_call"]
    assert made[0].description == "Books."
    assert made[0].parameters == {
        "type": "object",
        "properties": {
            "name": {"type": "string", "description": "Whose it is."},
            "kind": {"enum": ["a", "b"]},
        },
        "required": ["name"],
        "additionalProperties": False,
    }
    assert made[1].parameters["properties"]["reason"]["enum"] == [
        "completed",
        "declined",
        "goodbye",
    ]


@pytest.mark.parametrize(
    "error", [ConnectionRefusedError(), asyncpg.CannotConnectNowError("starting up")]
)
def test_database_that_is_away_is_said_to_the_model(error):
    async def away(arguments, tool_call_id):
        raise error

    metrics = Metrics()
    result = asyncio.run(runner(away, metrics=metrics).run(asked()))

    assert not result.ok
    assert "cannot be reached right now" in answer_of(result)["error"]
    assert metrics.value("tools", name="book", outcome="unreachable") == 1


def test_tool_that_cannot_be_called_off_is_left_behind_at_the_deadline(caplog):
    """As a query of a database that hangs: its rollback hangs, too."""

    async def story():
        released = asyncio.Event()

        async def hanging(arguments, tool_call_id):
            try:
                await asyncio.Event().wait()
            finally:
                await released.wait()
                raise ConnectionResetError

        running = runner(hanging, deadline_ms=20)
        async with asyncio.timeout(30.0):
            result = await running.run(asked())
        assert "did not answer within 20 ms" in answer_of(result)["error"]
        released.set()
        while running._late:  # noqa: ASYNC110 it has no event
            await asyncio.sleep(0)

    asyncio.run(story())
    assert "late tool: ConnectionResetError" in caplog.text


def test_tool_that_a_deadlock_undid_runs_again():
    tries = []

    async def work(arguments, tool_call_id):
        tries.append(arguments.name)
        if len(tries) == 1:
            raise asyncpg.DeadlockDetectedError
        return Answer({})

    assert asyncio.run(runner(work).run(asked())).ok
    assert tries == ["Dana", "Dana"]
