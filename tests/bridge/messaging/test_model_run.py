"""How the model is asked: its settings by its name, the way to it, and its failures."""

import asyncio

import pytest

from bridge.messaging.model_failure import Failure, ModelFailed
from bridge.messaging.model_run import Asked, Client, _settings
from bridge.sandbox.responses.server import Fault, ResponsesServer
from bridge.settings.process import Settings


class Steps:
    """What a turn does, noted."""

    def __init__(self):
        self.items = []

    async def said(self, items, usage):
        self.items += items

    async def run(self, call_id):
        raise AssertionError("no tool was called")


def asked(model="gpt-6-luna"):
    return Asked(
        model=model,
        instructions="Be brief.",
        items=[{"role": "user", "content": "Hi"}],
        tools={},
        answers_max=3,
        cache_key="business",
        writer_key="conversation",
    )


async def ask(server, steps, **settings):
    given = {"openai_api_url": server.url, "openai_api_key": server.api_key}
    client = Client(Settings(**{**given, **settings}), 5.0)
    try:
        await client.ask(asked(), steps)
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("model", "thinks"),
    [
        ("gpt-6-luna", True),
        ("gpt-5.4-mini", True),
        ("gpt-5.2-chat-latest", False),
        ("gpt-4.1-mini", False),
    ],
)
def test_only_a_model_that_thinks_is_told_how_hard(model, thinks):
    settings = _settings(asked(model))

    assert (settings.reasoning is not None) == thinks
    assert bool(settings.response_include) == thinks
    assert settings.store is False


def test_what_the_model_said_is_given_to_the_turn():
    async def main():
        steps = Steps()
        async with ResponsesServer() as server:
            await ask(server, steps)
            assert not server.problems
        return [one["type"] for one in steps.items]

    assert asyncio.run(main()) == ["reasoning", "message"]


@pytest.mark.parametrize(
    ("fault", "failure", "wait_s"),
    [
        (Fault(429, retry_after_s=9), Failure.BUSY, 9.0),
        (Fault(429), Failure.BUSY, 0.0),
        (Fault(503), Failure.ERROR, 0.0),
        (Fault(404), Failure.REFUSED, 0.0),
    ],
)
def test_failure_is_one_in_the_words_of_a_turn(fault, failure, wait_s):
    async def main():
        async with ResponsesServer([fault]) as server:
            with pytest.raises(ModelFailed) as failed:
                await ask(server, Steps())
        return failed.value

    found = asyncio.run(main())
    assert (found.failure, found.wait_s) == (failure, wait_s)


def test_wrong_key_is_no_secret_in_the_failure():
    async def main():
        async with ResponsesServer() as server:
            with pytest.raises(ModelFailed) as failed:
                await ask(server, Steps(), openai_api_key="sk-very-secret")
        return failed.value

    found = asyncio.run(main())
    assert found.failure is Failure.REFUSED
    assert "sk-very-secret" not in str(found)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (
            Fault(
                400,
                body=b'{"error": {"message": "my secret", "code": "wrong_value", '
                b'"param": "input[0]"}}',
            ),
            "refused: BadRequestError: HTTP 400 wrong_value input[0]",
        ),
        (Fault(200, body=b'{"output": "my secret"}'), "odd: "),
        (Fault(200, body=b"my secret"), "odd: "),
    ],
)
def test_failure_quotes_nothing_that_was_written(fault, told):
    async def main():
        async with ResponsesServer([fault]) as server:
            with pytest.raises(ModelFailed) as failed:
                await ask(server, Steps())
        return str(failed.value)

    found = asyncio.run(main())
    assert found.startswith(told)
    assert "my secret" not in found


def test_server_that_is_not_reached_is_named_with_the_reason():
    async def main():
        client = Client(Settings(openai_api_url="http://127.0.0.1:9/v1"), 5.0)
        try:
            with pytest.raises(ModelFailed) as failed:
                await client.ask(asked(), Steps())
        finally:
            await client.close()
        return str(failed.value)

    told = "unreachable: APIConnectionError: All connection attempts failed"
    assert asyncio.run(main()) == told


def test_failure_of_the_turn_itself_comes_out_as_it_was():
    class Broken(Steps):
        async def said(self, items, usage):
            raise RuntimeError("the database is away")

    async def main():
        async with ResponsesServer() as server:
            with pytest.raises(RuntimeError, match="the database is away"):
                await ask(server, Broken())

    asyncio.run(main())


def test_api_that_is_not_there_is_unreachable():
    async def main():
        async with ResponsesServer() as server:
            pass
        with pytest.raises(ModelFailed) as failed:
            await ask(server, Steps())
        return failed.value.failure

    assert asyncio.run(main()) is Failure.UNREACHABLE
