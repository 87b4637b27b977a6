"""A receiver that is slow keeps no other business waiting."""

import asyncio

from bridge.notices.dispatcher import ENDPOINT_IN_FLIGHT_MAX, IN_FLIGHT_MAX
from crm import businesses, leads, notices
from tests.bridge.notices.test_dispatcher import dispatching, receiving, settled, told

MANY = 2 * IN_FLIGHT_MAX


@told
async def test_slow_receiver_keeps_no_other_business_waiting(
    db, business_id, made, receiver
):
    async def slow():
        await asyncio.sleep(60)

    receiver.answers = [slow] * MANY
    for number in range(MANY):
        await leads.touch(db, business_id, f"+1555000{number:04}")
    other_id = await businesses.create(db, "Garage")
    async with receiving() as quick:
        await notices.add(db, other_id, "webhook", quick.url, ["lead.created"])
        await leads.touch(db, other_id, "+15550009999")
        async with dispatching(db):
            await settled(db, other_id, "delivered")

    assert 0 < len(receiver.requests) <= ENDPOINT_IN_FLIGHT_MAX
