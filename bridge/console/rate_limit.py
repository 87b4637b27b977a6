"""RateLimit: how often something may fail, by who tries it.

The numbers hold for one worker: with several workers there are as many tries more.
"""

from collections import OrderedDict, deque

# How many addresses or accounts are remembered; the longest unheard of goes first.
KEYS_MAX = 10_000


class RateLimit:
    """Counts failures by key over a span of time."""

    def __init__(self, failures_max: int, span_s: float) -> None:
        self._failures_max = failures_max
        self._span_s = span_s
        self._failed_at: OrderedDict[str, deque[float]] = OrderedDict()

    def is_over(self, key: str, now: float) -> bool:
        """Tell whether a key has failed so often that it must wait."""
        failed = self._failed_at.get(key)
        if failed is None:
            return False
        while failed and failed[0] <= now - self._span_s:
            failed.popleft()
        if not failed:
            del self._failed_at[key]
        return len(failed) >= self._failures_max

    def fail(self, key: str, now: float) -> None:
        """Count a failure."""
        failed = self._failed_at.setdefault(key, deque(maxlen=self._failures_max))
        failed.append(now)
        self._failed_at.move_to_end(key)
        while len(self._failed_at) > KEYS_MAX:
            self._failed_at.popitem(last=False)

    def forgive(self, key: str) -> None:
        """Forget the failures of a key that has succeeded."""
        self._failed_at.pop(key, None)
