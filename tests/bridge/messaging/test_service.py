"""What the messenger's process runs, put together from the settings."""

import asyncio

from bridge.messaging.service import MessagingService
from bridge.sandbox.messaging.messages_api import MessagingApi
from bridge.settings.message_options import MessageOptions
from bridge.settings.process import Settings
from bridge.telemetry.metrics import Metrics
from tests.bridge import ws_peer
from tests.bridge.messaging.chat import ACCOUNT, OWN_NUMBER, story
from tests.bridge.settings.test_proxy import refusing


async def replies(chat, conversation, count):
    """Return what answers a conversation, once there are so many messages."""
    for _ in range(400):
        sent = await chat.sent(conversation)
        if len(sent) >= count:
            return sent
        await asyncio.sleep(0.05)
    raise AssertionError(f"expected {count} answers, got {len(sent)}")


def test_booking_of_the_process_has_a_link_below_the_public_url(embedded_url):
    async def tell(chat):
        await chat.says("book, my name is Dana Levi")
        await chat.let_go()
        async with MessagingApi(senders={OWN_NUMBER}) as twilio:
            settings = Settings(
                openai_api_url=chat.server.url,
                openai_api_key=chat.server.api_key,
                twilio_account_sid=ACCOUNT,
                twilio_auth_token="0" * 32,
                twilio_api_url=twilio.url,
                message=MessageOptions(whatsapp=True),
            )
            works = MessagingService(
                settings, chat.db, Metrics(), "https://voice.example/"
            )
            conversation = await chat.writes("the second one")
            works.start()
            try:
                return (await replies(chat, conversation, 2))[1].body
            finally:
                await works.stop(within_s=0.5)

    body = story(embedded_url, tell)
    assert body.startswith("You are booked: ")
    assert "\nhttps://voice.example/feeds/a/" in body


def test_messages_are_sent_through_the_proxy_of_the_settings(embedded_url, caplog):
    async def tell(chat):
        async with refusing() as (proxy, asked):
            settings = Settings(
                openai_api_url=chat.server.url,
                openai_api_key=chat.server.api_key,
                twilio_account_sid=ACCOUNT,
                twilio_auth_token="0" * 32,
                https_proxy=proxy,
                message=MessageOptions(whatsapp=True),
            )
            works = MessagingService(
                settings, chat.db, Metrics(), "https://voice.example/"
            )
            await chat.writes("hello")
            works.start()
            try:
                await ws_peer.until(lambda: "the proxy answers 403" in caplog.text)
            finally:
                await works.stop(within_s=0.5)
        return asked

    asked = story(embedded_url, tell)
    assert "CONNECT api.twilio.com:443 HTTP/1.1\r\n" in asked
    assert "its fate is not known" not in caplog.text
