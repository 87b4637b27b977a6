"""One writer's conversation: an appointment is asked for, picked, and booked.

The writer waits for the answer to each message. A time that somebody else has taken in
the meantime is picked again, as people do.
"""

import asyncio
from time import monotonic
from typing import NamedTuple

from bridge.messaging.sentences import LATE
from bridge.sandbox.messaging.message_records import Message
from bridge.sandbox.messaging.writer import Writer

# Longer than any fault and what follows it.
ANSWER_S_MAX = 180.0
PICKS_MAX = 8
BOOKED = "You are booked"


class Answered(NamedTuple):
    """One message with its answer: when each was there, on the monotonic clock."""

    written_at: float
    answered_at: float

    @property
    def seconds(self) -> float:
        """Return how long the writer waited."""
        return self.answered_at - self.written_at


class Visit:
    """One conversation; `problem` says why it did not come to its end."""

    def __init__(self, writer: Writer, chance: float, think_s: float) -> None:
        """`chance`, from 0 to 1, is which of the offered times the writer picks;
        `think_s` is how long they read before they write."""
        self.writer = writer
        self.answered: list[Answered] = []
        self.problem = ""
        self.is_booked = False
        # How often the writer was told that an answer takes longer.
        self.told_to_wait = 0
        self._chance = chance
        self._think_s = think_s

    async def run(self) -> None:
        """Write until the appointment is booked."""
        try:
            await self._book()
        except TimeoutError as error:
            self.problem = str(error)

    async def _book(self) -> None:
        answer = await self._say("Hello, I would like to book an appointment, please.")
        if answer.shown is None or not answer.shown.choices:
            answer = await self._say(f"My name is {self.writer.name}.")
        picks = 0
        while BOOKED not in answer.body and picks < PICKS_MAX:
            answer = await self._pick(answer)
            picks += 1
        self.is_booked = BOOKED in answer.body
        self.problem = "" if self.is_booked else f"not booked: {answer.body!r}"

    async def _pick(self, offer: Message) -> Message:
        choices = offer.shown.choices if offer.shown is not None else []
        if not choices:
            return await self._say("Which other times are free?")
        await asyncio.sleep(self._think_s)
        written_at = monotonic()
        await self.writer.pick(offer, choices[int(self._chance * len(choices))])
        return await self._answer(written_at)

    async def _say(self, text: str) -> Message:
        await asyncio.sleep(self._think_s)
        written_at = monotonic()
        await self.writer.write(text)
        return await self._answer(written_at)

    async def _answer(self, written_at: float) -> Message:
        found = await self.writer.next(ANSWER_S_MAX)
        while found.body == LATE["en"]:
            self.told_to_wait += 1
            found = await self.writer.next(ANSWER_S_MAX)
        self.answered.append(Answered(written_at, monotonic()))
        return found


async def visits_of(visits: list[Visit], at_once: int, apart_s: float) -> None:
    """Run conversations, so many at once; one begins `apart_s` after another."""
    room = asyncio.Semaphore(at_once)

    async def run(visit: Visit) -> None:
        async with room:
            await visit.run()

    running = []
    for visit in visits:
        running.append(asyncio.create_task(run(visit)))
        await asyncio.sleep(apart_s)
    await asyncio.gather(*running)
