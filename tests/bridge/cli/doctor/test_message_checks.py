"""`kolbridge doctor`: whether what people write is answered."""

import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest

from bridge.cli.doctor.message_checks import check_messages
from bridge.settings.process import Settings
from crm import businesses, conversations
from crm.conversations import Arrived
from crm.database import Database
from crm.migrate import migrate
from tests.crm.test_migrate import empty_database


@pytest.fixture
def url(embedded_url):
    """The URL of a database without a business."""
    with empty_database(embedded_url) as url:
        asyncio.run(migrate(url))
        yield url


def found(url, story=None, *, package="json", settings=None):
    """Return the lines after a story, with a business that answers messages."""

    async def main():
        database = await Database.open(url, pool_max=2)
        try:
            business_id = await businesses.create(database, "Salon")
            if story is not None:
                await story(database, business_id)
            return await check_messages(settings or Settings(), database, package)
        finally:
            await database.close()

    return asyncio.run(main())


async def answered(database, business_id):
    await businesses.set_setting(database, business_id, "whatsapp", True)


async def left(database, business_id):
    """Somebody's message has waited for two minutes."""
    await answered(database, business_id)
    arrived = Arrived(f"SM{uuid4().hex}", "hi", "+15550009999", "AC1", "+15550001234")
    await conversations.receive(
        database, business_id, arrived, pause=timedelta(minutes=-2)
    )


def test_without_a_business_that_answers_there_is_no_line(url):
    assert found(url) == []


def test_what_nobody_answers_is_a_fault(url):
    [check] = found(url, left)

    assert not check.ok
    assert check.text.startswith("1 conversation has waited for more than 60 s")


def test_what_is_answered_is_said(url):
    [check] = found(url, answered)

    assert str(check) == ("✓ written messages: answered for 1 business, none waits")


def test_want_of_the_extra_is_a_fault(url):
    [check] = found(url, answered, package="no_such_package")

    assert not check.ok
    assert "pip install 'kolbridge[whatsapp]'" in check.text


def test_model_without_a_price_is_a_warning(url):
    _, check = found(url, answered, settings=Settings(openai_prices={}))

    assert check.warns
    assert "has no price of gpt-6-luna" in check.text
