"""Receivers that are slow keep no other business waiting."""

import asyncio

from bridge.notices.dispatcher import (
    BUSINESS_IN_FLIGHT_MAX,
    ENDPOINT_IN_FLIGHT_MAX,
    IN_FLIGHT_MAX,
)
from crm import businesses, leads, notices
from tests.bridge.notices.test_dispatcher import dispatching, receiving, settled, told

MANY = 2 * IN_FLIGHT_MAX


async def slow():
    await asyncio.sleep(60)


async def another_is_told(db):
    """Wait until another business has been told of a new lead."""
    other_id = await businesses.create(db, "Garage")
    async with receiving() as quick:
        await notices.add(db, other_id, "webhook", quick.url, ["lead.created"])
        await leads.touch(db, other_id, "+15550009999")
        async with dispatching(db):
            await settled(db, other_id, "delivered")


@told
async def test_slow_receiver_keeps_no_other_business_waiting(
    db, business_id, made, receiver
):
    receiver.answers = [slow] * MANY
    for number in range(MANY):
        await leads.touch(db, business_id, f"+1555000{number:04}")
    await another_is_told(db)

    assert 0 < len(receiver.requests) <= ENDPOINT_IN_FLIGHT_MAX


@told
async def test_slow_receivers_of_one_business_keep_no_other_one_waiting(
    db, business_id, made, receiver
):
    receiver.answers = [slow] * MANY
    for number in range(1, IN_FLIGHT_MAX):
        url = f"{receiver.url}/{number}"
        await notices.add(db, business_id, "webhook", url, ["lead.created"])
    await leads.touch(db, business_id, "+15550000001")
    await another_is_told(db)

    assert 0 < len(receiver.requests) <= BUSINESS_IN_FLIGHT_MAX
