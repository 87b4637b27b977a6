"""Receivers that are slow keep no other business waiting."""

import asyncio
from unittest.mock import patch

import msgspec
from aiohttp import web

from bridge.notices import dispatcher
from bridge.notices.dispatcher import (
    BUSINESS_IN_FLIGHT_MAX,
    ENDPOINT_IN_FLIGHT_MAX,
    IN_FLIGHT_MAX,
    MAILS_IN_FLIGHT_MAX,
    SLOW_IN_FLIGHT_MAX,
)
from crm import businesses, leads, notices
from tests.bridge.notices.test_dispatcher import (
    SETTINGS,
    dispatching,
    receiving,
    settled,
    told,
)

MANY = 2 * IN_FLIGHT_MAX
LATE_MS = 400


async def slow():
    await asyncio.sleep(60)


async def late():
    await asyncio.sleep(LATE_MS / 1e3)
    return web.Response(status=204)


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


@told
async def test_slow_receivers_of_many_businesses_leave_room_for_the_others(
    db, business_id, made, receiver
):
    """What waits for them is due for longest, and would be tried first."""
    first = [late] * IN_FLIGHT_MAX
    receiver.answers = [*first, *[slow] * (MANY * IN_FLIGHT_MAX)]
    for number in range(IN_FLIGHT_MAX):
        other_id = await businesses.create(db, "Salon")
        url = f"{receiver.url}/{number}"
        await notices.add(db, other_id, "webhook", url, ["lead.created"])
        for phone in range(3):
            await leads.touch(db, other_id, f"+1555000{phone:04}")
    with patch.object(dispatcher, "SLOW_MS", LATE_MS / 2):
        await another_is_told(db)

    most = IN_FLIGHT_MAX + SLOW_IN_FLIGHT_MAX
    assert IN_FLIGHT_MAX <= len(receiver.requests) <= most


@told
async def test_mail_server_that_hangs_keeps_no_webhook_waiting(
    db, business_id, made, receiver
):
    connected = []
    server = await asyncio.start_server(
        lambda _, writer: connected.append(writer), "127.0.0.1", 0
    )
    for number in range(MANY):
        other_id = await businesses.create(db, "Garage")
        address = f"{number}@example.com"
        await notices.add(db, other_id, "email", address, ["lead.created"])
        await leads.touch(db, other_id, "+15550009999")
    await leads.touch(db, business_id, "+15550000001")
    settings = msgspec.structs.replace(
        SETTINGS,
        smtp_host="127.0.0.1",
        smtp_port=server.sockets[0].getsockname()[1],
        smtp_tls="none",
        smtp_from="notices@example.com",
    )
    async with dispatching(db, settings):
        await settled(db, business_id, "delivered")
    server.close()
    for one in connected:
        one.close()

    # What was put off has not been tried.
    async with db.routing() as connection:
        tried = await connection.fetchval(
            "select count(*) from notice_deliveries where state = 'waiting' "
            "and tries > 0"
        )
    assert 0 < len(connected) <= tried <= MAILS_IN_FLIGHT_MAX
