"""The reasons a call is not served, as exceptions for the code that opens it."""

from bridge.business.quotas import Limit
from bridge.telephony.twiml import Sentence

# The reason of a call that comes while the service stops.
DRAINING = "draining"


class Unserved(Exception):
    """A call that cannot be served; the caller hears the fallback."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownNumber(Exception):
    """A call to a number that belongs to no business."""


class Refused(Exception):
    """A call refused by a limit of its business; the caller hears the fallback."""

    def __init__(self, limit: Limit, business_id: str, fallback: Sentence) -> None:
        super().__init__(limit.value)
        self.limit = limit
        self.business_id = business_id
        self.fallback = fallback


class Repeated(Exception):
    """A webhook for a call that has ended, or that another process serves."""
