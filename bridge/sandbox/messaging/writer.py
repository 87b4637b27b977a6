"""A WhatsApp user who writes to a business: signed webhooks, and an inbox.

https://www.twilio.com/docs/messaging/guides/webhook-request tells the fields. The
bridge must answer each message with 200 and an empty `<Response/>` within 15 seconds;
all else is in `Writer.problems`. A repeat carries the first delivery's `MessageSid`.

    async with Writer(api, bridge_url, name="Dana") as dana:
        sid = await dana.write("Is there a place on Monday?")
        offer = await dana.next(within_s=10)
        await dana.pick(offer, offer.shown.choices[0])     # a row, or a button
        await dana.write_pieces("At ten", "please", apart_s=0.3)
        await dana.speak()                                 # a voice note
        assert not dana.problems

Not verified: `MessageType` of a button from a session's quick replies ("button").
"""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal

import msgspec

from bridge.sandbox.messaging.attachments import (
    PICTURE_TYPE,
    VOICE_TYPE,
    picture,
    voice_note,
)
from bridge.sandbox.messaging.contents import Choice
from bridge.sandbox.messaging.delivery import Inbox, Typing
from bridge.sandbox.messaging.message_records import (
    API_VERSION,
    PREFIX,
    Message,
    new_sid,
)
from bridge.sandbox.messaging.messages_api import MessagingApi
from bridge.sandbox.messaging.webhooks import Answer, Signer, Webhooks

_KINDS = {"image": "image", "audio": "audio", "video": "video"}
# After STOP a business may confirm it, once.
_CONFIRMATIONS_MAX = 1

Forgery = Literal["no signature", "other token", "other text", "other key"]


class Writer:
    """One WhatsApp user; use one for each number, in the loop of its `api`.

    Requests go to `bridge_url`; signatures are made over `public_url`, if it differs.
    A delivery without a 2xx answer is repeated `retries` times, as an account's retry
    policy may have it.
    """

    def __init__(
        self,
        api: MessagingApi,
        bridge_url: str,
        *,
        number: str = "+15550100001",
        business: str = "+15550100002",
        name: str = "Dana",
        public_url: str | None = None,
        path: str = "/twilio/whatsapp",
        signer: Signer | None = None,
        retries: int = 0,
        retry_s: float = 0.1,
        seed: int = 1,
    ) -> None:
        self._api = api
        self._signer = signer or api.account.signer
        self._retries = retries
        self._retry_s = retry_s
        self._rng = random.Random(seed)
        self._deliveries: dict[str, tuple[dict[str, str], str]] = {}
        self._taken = 0
        self._stops: list[tuple[datetime, datetime | None]] = []
        self._found: list[str] = []
        self.number = number
        self.business = business
        self.name = name
        self.webhooks = Webhooks(bridge_url, public_url)
        self.url = self.webhooks.base_url + path
        self.inbox: Inbox = api.add_user(number)

    async def __aenter__(self) -> Writer:
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self.webhooks.close()

    @property
    def answers(self) -> list[Answer]:
        """Return the bridge's answers, repeats and forgeries counted."""
        return self.webhooks.answers

    @property
    def problems(self) -> list[str]:
        """Return all that a writer or Twilio would object to."""
        return self._found + [
            f"{len(late)} messages after STOP"
            for late in self.after_stops
            if len(late) > _CONFIRMATIONS_MAX
        ]

    @property
    def after_stops(self) -> list[list[Message]]:
        """Return what was created for this writer after each STOP, until its START."""
        mine = [
            message
            for message in self._api.sent
            if message.to == PREFIX + self.number
            and message.sender == PREFIX + self.business
        ]
        return [
            [one for one in mine if since < one.created_at and not _is_over(one, until)]
            for since, until in self._stops
        ]

    # --- writing ---

    async def write(
        self,
        body: str,
        *,
        repeats: int = 0,
        together: bool = False,
        replying_to: Message | None = None,
        fields: Mapping[str, str] | None = None,
    ) -> str:
        """Write a message; return its sid when the bridge has answered.

        It is delivered `repeats` times more: one after the other, or all `together`
        with the first. `fields` are added to the form.
        """
        sid = new_sid("SM")
        self._api.account.receive(sid, self.number, self.business, body)
        form = self._fields(sid, body, replying_to) | dict(fields or {})
        first = self._deliver(sid, form)
        if together:
            again = (self.repeat(sid) for _ in range(repeats))
            await asyncio.gather(first, *again)
            return sid
        await first
        for _ in range(repeats):
            await self.repeat(sid)
        return sid

    async def write_pieces(self, *texts: str, apart_s: float = 0.3) -> list[str]:
        """Write messages in a row, without waiting for the bridge's answers."""
        written = []
        for number, text in enumerate(texts):
            if number:
                await asyncio.sleep(apart_s)
            written.append(asyncio.create_task(self.write(text)))
        return list(await asyncio.gather(*written))

    async def repeat(self, sid: str) -> Answer:
        """Deliver a message again, as Twilio does after a time-out."""
        answer = await self._post(*self._deliveries[sid])
        if answer.document_problem:
            self._found.append(f"a repeat: {answer.document_problem}")
        return answer

    async def pick(self, message: Message, choice: Choice) -> str:
        """Pick a row of a list, or press a button, of a message that was received."""
        if message not in self.inbox.seen:
            raise ValueError(f"message {message.sid} was not received")
        if message.shown is None or choice not in message.shown.choices:
            raise ValueError(f"message {message.sid} has no choice {choice}")
        if message.shown.kind == "twilio/list-picker":
            fields = {
                "ListId": choice.id,
                "ListTitle": choice.title,
                "MessageType": "interactive",
            }
        else:
            fields = {
                "ButtonPayload": choice.id,
                "ButtonText": choice.title,
                "MessageType": "button",
            }
        return await self.write(choice.title, replying_to=message, fields=fields)

    async def speak(self, note: bytes | None = None) -> str:
        """Send a voice note; it has no text."""
        return await self.attach(voice_note() if note is None else note, VOICE_TYPE)

    async def show_picture(
        self, caption: str = "", content: bytes | None = None
    ) -> str:
        """Send a picture."""
        found = picture() if content is None else content
        return await self.attach(found, PICTURE_TYPE, caption)

    async def attach(
        self, content: bytes, content_type: str, caption: str = "", redirect: str = ""
    ) -> str:
        """Send a file; `redirect` is where its URL leads, instead of Twilio's store."""
        sid = new_sid("MM")
        message = self._api.account.receive(sid, self.number, self.business, caption)
        media = self._api.media.add(message, content, content_type, redirect)
        message.media_urls.append(f"{self._api.url}{media.uri}")
        kind = content_type.partition(";")[0]
        form = self._fields(sid, caption, None) | {
            "MediaContentType0": kind,
            "MediaUrl0": message.media_urls[0],
            "MessageType": _KINDS.get(kind.partition("/")[0], "document"),
            "NumMedia": "1",
        }
        await self._deliver(sid, form)
        return sid

    async def stop(self, word: str = "STOP") -> str:
        """Ask the business to write no more."""
        sid = await self.write(word)
        self._stops.append((self._api.clock.now(), None))
        return sid

    async def start_again(self, word: str = "START") -> str:
        """Take a STOP back."""
        if self._stops:
            self._stops[-1] = (self._stops[-1][0], self._api.clock.now())
        return await self.write(word)

    async def forge(self, body: str, how: Forgery = "no signature") -> Answer:
        """Deliver a message that Twilio did not sign; all but a 403 is a problem."""
        form = self._fields(new_sid("SM"), body, None)
        other = form | {"Body": f"{body}!"}
        headers = {
            "no signature": {},
            "other token": Signer("not-the-token").headers(self.url, form),
            "other text": self._signer.headers(self.url, other),
            "other key": Signer("", "webhooks_sharedkey_0", "-").headers(
                self.url, form
            ),
        }
        answer = await self.webhooks.post(self.url, form, headers[how])
        if answer.status != 403:
            self._found.append(f"a forgery ({how}) was answered {answer.status}")
        return answer

    # --- reading ---

    async def next(self, within_s: float = 10.0) -> Message:
        """Return the next message that was not returned yet, or raise TimeoutError."""
        await self._wait(lambda: bool(self.unread), within_s, "a message")
        found = self.inbox.seen[self._taken]
        self._taken += 1
        return found

    async def sees_typing(self, within_s: float = 10.0) -> Typing:
        """Return the last sign that the business types, or raise TimeoutError."""
        await self._wait(lambda: bool(self.inbox.typing), within_s, "typing")
        return self.inbox.typing[-1]

    @property
    def unread(self) -> Sequence[Message]:
        """Return the messages that `next` has not returned."""
        return self.inbox.seen[self._taken :]

    async def _wait(
        self, is_there: Callable[[], bool], within_s: float, what: str
    ) -> None:
        try:
            async with asyncio.timeout(within_s):
                while not is_there():
                    await self.inbox.wait()
        except TimeoutError:
            seen = [message.body for message in self.inbox.seen]
            raise TimeoutError(
                f"{self.name} waited {within_s} s for {what}; has seen {seen}, "
                f"problems: {self.problems + self._api.problems}"
            ) from None

    # --- deliveries ---

    async def _deliver(self, sid: str, form: dict[str, str]) -> None:
        """Deliver a message for the first time, and again where nobody took it."""
        token = str(uuid.UUID(int=self._rng.getrandbits(128)))
        self._deliveries[sid] = form, token
        for attempt in range(self._retries + 1):
            if attempt:
                await asyncio.sleep(self._retry_s)
            answer = await self._post(form, token)
            if not answer.problem:
                break
        problem = answer.document_problem
        if problem:
            self._found.append(problem)

    async def _post(self, form: dict[str, str], token: str) -> Answer:
        headers = self._signer.headers(self.url, form)
        headers["I-Twilio-Idempotency-Token"] = token
        return await self.webhooks.post(self.url, form, headers)

    def _fields(
        self, sid: str, body: str, replying_to: Message | None
    ) -> dict[str, str]:
        """Return the form of a text; all other kinds add to it."""
        wa_id = self.number.removeprefix("+")
        data = {"context": {"ProfileName": self.name, "WaId": wa_id}}
        metadata = msgspec.json.encode({"type": "whatsapp", "data": data})
        form = {
            "AccountSid": self._api.account.sid,
            "ApiVersion": API_VERSION,
            "Body": body,
            "ChannelMetadata": metadata.decode(),
            "From": PREFIX + self.number,
            "MessageSid": sid,
            "MessageType": "text",
            "NumMedia": "0",
            "NumSegments": "1",
            "ProfileName": self.name,
            "ReferralNumMedia": "0",
            "SmsMessageSid": sid,
            "SmsSid": sid,
            "SmsStatus": "received",
            "To": PREFIX + self.business,
            "WaId": wa_id,
        }
        if replying_to is not None:
            form["OriginalRepliedMessageSid"] = replying_to.sid
            form["OriginalRepliedMessageSender"] = replying_to.sender
        return form


def _is_over(message: Message, until: datetime | None) -> bool:
    return until is not None and message.created_at >= until
