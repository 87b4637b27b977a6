"""A query is not waited for longer than its caller can wait."""

import asyncio

import pytest

from crm.patience import answer


def test_answer_in_time_is_returned_and_an_error_is_raised():
    async def story():
        assert await answer(asyncio.sleep(0, "found"), 10.0) == "found"
        with pytest.raises(LookupError):
            await answer(fails(), 10.0)

    async def fails():
        raise LookupError

    asyncio.run(story())


def test_query_that_cannot_be_cancelled_is_not_waited_for():
    async def story():
        answers = asyncio.Event()

        async def hangs():
            try:
                await answers.wait()
            finally:
                await answers.wait()
                raise OSError

        with pytest.raises(TimeoutError):
            await answer(hangs(), 0.01)
        assert not answers.is_set()
        answers.set()

    async def whole():
        async with asyncio.timeout(10):
            await story()

    asyncio.run(whole())
