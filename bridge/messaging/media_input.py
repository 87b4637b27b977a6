"""What the model is given of a message's media: pictures as data, voice notes as text.

A voice note is transcribed once, and its text is kept with the message. What fails for
a moment is tried again. A medium that cannot be had is left out, and
`bridge.messaging.history` names it to the model.
"""

import asyncio
import base64
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from msgspec import structs

from bridge.messaging.media import PICTURES, SOUND, MediaFetcher, MediaRefused
from bridge.messaging.model_failure import Failure, ModelFailed
from bridge.messaging.twilio_messages import TwilioError
from bridge.telemetry.log import server_logger
from crm import messages
from crm.conversations import Conversation
from crm.database import Database
from crm.message_work import Held
from crm.messages import Message

# Pictures and voice notes of one turn; `media` bounds the bytes of each.
PICTURES_MAX, NOTES_MAX = 4, 5
# A writer waits meanwhile: what has failed so often, or for so long, is left out.
TRIES_MAX, TRIED_WITHIN_S = 3, 10.0

# One entry of `messages.media` -> its type and bytes; None where there is nothing to
# fetch. Raises TwilioError where a later try may succeed.
Fetch = Callable[[Conversation, Mapping[str, Any]], Awaitable[tuple[str, bytes] | None]]
# A type and bytes -> what is said, and what that used; raises ModelFailed.
Transcribe = Callable[[str, bytes], Awaitable[tuple[str, dict[str, float]]]]

_Made = TypeVar("_Made")


def fetch_with(fetcher: MediaFetcher) -> Fetch:
    """Return a `Fetch` from Twilio; what is refused is logged, and is None."""

    async def fetch(
        conversation: Conversation, medium: Mapping[str, Any]
    ) -> tuple[str, bytes] | None:
        try:
            return await fetcher.fetch(
                conversation.account_sid, str(medium.get("url", ""))
            )
        except MediaRefused as error:
            server_logger().warning("[MESSAGE] a medium is not fetched: %s", error)
            return None

    return fetch


async def _patient(
    ask: Callable[[], Awaitable[_Made]], pauses_s: Sequence[float], what: str
) -> _Made | None:
    """Return what `ask` makes, asked again where it fails for a moment; None where it
    has not made it in time."""
    loop = asyncio.get_running_loop()
    until = loop.time() + TRIED_WITHIN_S
    for pause_s in (*pauses_s, None):
        try:
            return await ask()
        except (TwilioError, ModelFailed) as error:
            server_logger().warning("[MESSAGE] %s: %s", what, error)
            is_final = isinstance(error, ModelFailed) and (
                error.failure is Failure.REFUSED
            )
            if is_final or pause_s is None or loop.time() + pause_s > until:
                break
        await asyncio.sleep(pause_s)
    return None


class MediaInput:
    """Reads media with `fetch`; without it there are none. `pauses_s`: before what has
    failed for a moment is asked for again."""

    def __init__(
        self, database: Database, fetch: Fetch | None, pauses_s: Sequence[float]
    ) -> None:
        self._database = database
        self._fetch = fetch
        self._pauses_s = pauses_s[: TRIES_MAX - 1]

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
            *(self._fetched(conversation, medium) for _, _, medium in wanted)
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
        found = await self._fetched(conversation, medium)
        if found is None or not found[1]:
            return "", {}
        ask = partial(transcribe, *found)
        heard = await _patient(ask, self._pauses_s, "a voice note is not heard")
        return heard or ("", {})

    async def _fetched(
        self, conversation: Conversation, medium: Mapping[str, Any]
    ) -> tuple[str, bytes] | None:
        if self._fetch is None:
            return None
        ask = partial(self._fetch, conversation, medium)
        return await _patient(ask, self._pauses_s, "a medium is not fetched")


def _is_note(medium: Mapping[str, Any]) -> bool:
    return str(medium.get("content_type", "")).startswith(SOUND)
