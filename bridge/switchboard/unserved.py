"""Why a call is not served, as whoever opens it is told."""

from bridge.business.quotas import Limit
from bridge.telephony.twiml import Sentence


class Unserved(Exception):
    """A call that cannot be served; the caller hears the fallback."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class UnknownNumber(Exception):
    """A call to a number that no business has."""


class Refused(Exception):
    """A call that a limit of its business refuses; the caller hears its fallback."""

    def __init__(self, limit: Limit, business_id: str, fallback: Sentence) -> None:
        super().__init__(limit.value)
        self.limit = limit
        self.business_id = business_id
        self.fallback = fallback


class Repeated(Exception):
    """A webhook of a call that has ended, or that another process has."""
