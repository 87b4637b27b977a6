"""Rates: how often a key may come, by a token bucket for each; and who is known.

The numbers hold for one process: with several there are as many requests more.
"""

from collections import OrderedDict
from typing import NamedTuple

# How many keys are remembered; the longest unheard of goes first.
KEYS_MAX = 10_000
KNOWN_MAX = 1_000


class Rate(NamedTuple):
    """So many at once, and so many a second in the long run."""

    burst: float
    per_s: float


class Rates:
    """The buckets of one rate."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        # What is left of each key's burst, and since when.
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def peek_s(self, key: str, now: float) -> float:
        """Return 0, or how long a key must wait; count nothing."""
        left = self._left_of(key, now)
        return 0.0 if left >= 1.0 else (1.0 - left) / self._rate.per_s

    def wait_s(self, key: str, now: float) -> float:
        """Count a request of a key; return 0, or how long the key must wait first."""
        left = self._left_of(key, now)
        if left < 1.0:
            return (1.0 - left) / self._rate.per_s
        self._left[key] = (left - 1.0, now)
        self._left.move_to_end(key)
        while len(self._left) > KEYS_MAX:
            self._left.popitem(last=False)
        return 0.0

    def _left_of(self, key: str, now: float) -> float:
        left, since = self._left.get(key, (self._rate.burst, now))
        return min(self._rate.burst, left + (now - since) * self._rate.per_s)


class Known:
    """The secrets that opened something last.

    Behind a proxy that does not name its clients, strangers have the address of
    everybody else: they must not keep out whoever is known.
    """

    def __init__(self) -> None:
        self._secrets: OrderedDict[str, None] = OrderedDict()

    def __contains__(self, secret: str) -> bool:
        return secret in self._secrets

    def note(self, secret: str, *, has_opened: bool) -> None:
        """Note whether a secret has opened something just now."""
        self._secrets.pop(secret, None)
        if has_opened:
            self._secrets[secret] = None
        while len(self._secrets) > KNOWN_MAX:
            self._secrets.popitem(last=False)
