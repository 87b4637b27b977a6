"""What the model is given of a message's media: pictures as data, voice notes as text.

A voice note is transcribed once, and its text is kept with the message. A medium that
cannot be fetched is left out, and `bridge.messaging.history` names it to the model.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from msgspec import structs

from bridge.messaging.media import PICTURES, SOUND, MediaFetcher, MediaRefused
from bridge.messaging.model_failure import ModelFailed
from bridge.messaging.twilio_messages import TwilioError
from bridge.telemetry.log import server_logger
from crm import messages
from crm.conversations import Conversation
from crm.database import Database
from crm.message_work import Held
from crm.messages import Message

# Pictures and voice notes of one turn; `media` bounds the bytes of each.
PICTURES_MAX, NOTES_MAX = 4, 5

# One entry of `messages.media` -> its type and bytes; None where it cannot be fetched.
Fetch = Callable[[Conversation, Mapping[str, Any]], Awaitable[tuple[str, bytes] | None]]
# A type and bytes -> what is said, and what that used; raises ModelFailed.
Transcribe = Callable[[str, bytes], Awaitable[tuple[str, dict[str, float]]]]


def fetch_with(fetcher: MediaFetcher) -> Fetch:
    """Return a `Fetch` from Twilio; what fails is logged, and is None."""

    async def fetch(
        conversation: Conversation, medium: Mapping[str, Any]
    ) -> tuple[str, bytes] | None:
        try:
            return await fetcher.fetch(
                conversation.account_sid, str(medium.get("url", ""))
            )
        except (MediaRefused, TwilioError) as error:
            server_logger().warning("[MESSAGE] a medium is not fetched: %s", error)
            return None

    return fetch


class MediaInput:
    """Reads media with `fetch`; without it there are none."""

    def __init__(self, database: Database, fetch: Fetch | None) -> None:
        self._database = database
        self._fetch = fetch

    async def pictures(
        self, conversation: Conversation, asked: Sequence[Message]
    ) -> dict[tuple[UUID, int], str]:
        """Return the pictures that the model can see, as data URLs, by message and
        place."""
        wanted = [
            (message.id, at, medium)
            for message in asked
            for at, medium in enumerate(message.media)
            if medium.get("content_type") in PICTURES
        ][-PICTURES_MAX:]
        if self._fetch is None or not wanted:
            return {}
        found = await asyncio.gather(
            *(self._fetch(conversation, medium) for _, _, medium in wanted)
        )
        return {
            (message_id, at): f"data:{kind};base64,{base64.b64encode(data).decode()}"
            for (message_id, at, _), picture in zip(wanted, found, strict=True)
            if picture is not None
            for kind, data in (picture,)
            if kind in PICTURES and data
        }

    async def hear(
        self,
        held: Held,
        conversation: Conversation,
        asked: tuple[Message, ...],
        transcribe: Transcribe,
    ) -> tuple[tuple[Message, ...], dict[str, float]]:
        """Return the messages with what their voice notes say, and what that used.

        Raises LeaseLost; what cannot be heard stays as it is.
        """
        used: dict[str, float] = {}
        left = NOTES_MAX
        heard: list[Message] = []
        for message in asked:
            media = [dict(one) for one in message.media]
            for at, medium in enumerate(media):
                if "heard" in medium or not _is_note(medium) or left <= 0:
                    continue
                left -= 1
                words, usage = await self._words(conversation, medium, transcribe)
                for name, count in usage.items():
                    used[name] = used.get(name, 0) + count
                if words:
                    medium["heard"] = words
                    await messages.note_heard(
                        self._database, held, message.id, at, words
                    )
            heard.append(structs.replace(message, media=media))
        return tuple(heard), used

    async def _words(
        self,
        conversation: Conversation,
        medium: Mapping[str, Any],
        transcribe: Transcribe,
    ) -> tuple[str, dict[str, float]]:
        found = None if self._fetch is None else await self._fetch(conversation, medium)
        if found is None or not found[1]:
            return "", {}
        try:
            return await transcribe(*found)
        except ModelFailed as failure:
            server_logger().warning("[MESSAGE] a voice note is not heard: %s", failure)
            return "", {}


def _is_note(medium: Mapping[str, Any]) -> bool:
    return str(medium.get("content_type", "")).startswith(SOUND)
