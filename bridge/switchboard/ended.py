"""How the last calls of this process ended, and which business owns a called number.

Twilio asks what comes after a call's stream when the call's driver is already gone.
"""

from typing import NamedTuple

from bridge.telephony.twiml import Sentence

# How many ended calls are remembered; Twilio asks within seconds of the end.
ENDED_MAX = 4_096


class Ended(NamedTuple):
    """How a call ended."""

    reason: str
    failed: bool
    fallback: Sentence
    business_id: str


class EndedCalls:
    """The last ENDED_MAX calls that have ended."""

    def __init__(self) -> None:
        self._ended: dict[str, Ended] = {}
        # One entry for each number of a business; other numbers are never noted.
        self._business_of: dict[str, str] = {}
        self._fallback_of: dict[str, Sentence] = {}

    def note_number(self, number: str, business_id: str, fallback: Sentence) -> None:
        """Remember a number's business and its fallback, as they were looked up."""
        self._business_of[number] = business_id
        self._fallback_of[number] = fallback

    def remember(self, call_sid: str, ended: Ended) -> None:
        """Remember how a call ended; forget the oldest call."""
        self._ended[call_sid] = ended
        if len(self._ended) > ENDED_MAX:
            del self._ended[next(iter(self._ended))]

    def find(self, call_sid: str) -> Ended | None:
        """Return how a call ended, if it is among the last calls."""
        return self._ended.get(call_sid)

    def business_of(self, call_sid: str, number: str) -> str:
        """Return the business of an ended call or of a number; "" if unknown."""
        ended = self._ended.get(call_sid)
        return ended.business_id if ended else self._business_of.get(number, "")

    def fallback_of(self, number: str) -> Sentence | None:
        """Return the fallback sentence of a number's business; None if unknown."""
        return self._fallback_of.get(number)
