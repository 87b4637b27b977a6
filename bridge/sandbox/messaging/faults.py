"""What goes wrong in the sandbox's REST API, on demand and at random.

A fault is for one request: those that were ordered come first, the others by chance.
`after` means that the request was accepted, so that who made it does not know its fate.
Not verified: that an answer 429 has a `Retry-After`.
"""

from __future__ import annotations

import random
from collections import deque
from dataclasses import dataclass
from typing import Literal

How = Literal["answer", "cut", "hang", "late"]


@dataclass(frozen=True)
class Fault:
    """An answer with `status` and `code`, a cut, or no answer for `hang_s`.

    "hang" cuts the connection then, and "late" gives the right answer.
    """

    how: How = "answer"
    after: bool = False
    status: int = 503
    code: int = 20503
    hang_s: float = 30.0
    path: str = "messages"  # the name of a route of the two resources


# https://www.twilio.com/docs/api/errors/20429
TOO_MANY = Fault(status=429, code=20429)
UNAVAILABLE = Fault()
CUT = Fault("cut")
LOST_ANSWER = Fault("cut", after=True)
ERROR_AFTER = Fault(after=True, status=500, code=20500)
LATE_ANSWER = Fault("late", after=True, hang_s=0.3)
NO_ANSWER = Fault("hang", after=True)
ALL = (
    *(TOO_MANY, UNAVAILABLE, CUT),
    *(LOST_ANSWER, ERROR_AFTER, NO_ANSWER, LATE_ANSWER),
)


class Faults:
    """The faults that wait for requests; `share` of the others fail by chance."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._ordered: deque[Fault] = deque()
        self.share = 0.0
        self.by_chance: tuple[Fault, ...] = ALL
        self.happened: list[Fault] = []

    def order(self, *faults: Fault) -> None:
        """Let the next requests for these paths fail, one fault each."""
        self._ordered.extend(faults)

    def next(self, path: str) -> Fault | None:
        """Return what goes wrong with a request."""
        found = next((fault for fault in self._ordered if fault.path == path), None)
        if found is not None:
            self._ordered.remove(found)
        elif self._rng.random() < self.share:
            likely = [fault for fault in self.by_chance if fault.path == path]
            found = self._rng.choice(likely) if likely else None
        if found is not None:
            self.happened.append(found)
        return found
