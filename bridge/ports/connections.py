"""The connections of one process that are not streams: how many, and for how long.

A connection that neither sends nor is answered for IDLE_S is cut, and one whose answer
is being made, after ANSWER_S. At the limit, a new connection replaces the one that has
been idle longest, or has waited longest for the rest of its request. If an answer is
being made for every connection, the new one is refused. So a client that opens
connections and leaves them, or sends a piece of a request, cannot keep others out.
"""

import asyncio
import resource
from typing import Protocol

from bridge.settings.process import Settings
from bridge.telemetry.metrics import Metrics

# A connection that sends no request, or takes no answer, for this long is cut.
IDLE_S = 15.0
# Longer than the longest answer: a recording is read in 180 s (`recorder.timelines`).
ANSWER_S = 200.0
# How often idle connections are looked for.
SWEEP_S = 1.0
# The limit on connections of one process that are not streams.
CONNECTIONS_MAX = 1_000
# A call's two sockets, and for a while the socket of its next session.
DESCRIPTORS_A_CALL = 3
# The loop, the log, the folder's sockets, files of records and recordings.
DESCRIPTORS_BESIDE = 64
# HTTP's share of the descriptors, if the system allows fewer than are needed.
HTTP_SHARE = 0.25


class Connection(Protocol):
    """A connection that `Connections` counts."""

    @property
    def is_served(self) -> bool:
        """Whether a request has come whole, and nothing of its answer is made yet."""

    def cut(self) -> None:
        """Close the connection now; it leaves `Connections` once it is closed."""


class Connections:
    """The connections of one process, the least recently used first."""

    def __init__(self, metrics: Metrics, most: int = CONNECTIONS_MAX) -> None:
        self.metrics = metrics
        self._most = most
        self._touched_at: dict[Connection, float] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._touched_at)

    def admit(self, connection: Connection) -> bool:
        """Add a new connection; return False if it must be refused."""
        if len(self._touched_at) >= self._most and not self.make_room():
            self._count("too_many")
            return False
        self.touch(connection)
        if self._sweep is None:
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(SWEEP_S, self._cut_idle)
        return True

    def touch(self, connection: Connection) -> None:
        """Note that the connection sent or received data."""
        self._touched_at.pop(connection, None)
        self._touched_at[connection] = asyncio.get_running_loop().time()

    def leave(self, connection: Connection) -> None:
        """Forget a connection that is closed, or has become a stream."""
        self._touched_at.pop(connection, None)

    def make_room(self) -> bool:
        """Cut the connection that has been without a whole request for longest."""
        for one in self._touched_at:
            if not one.is_served:
                self._cut(one, "made_room")
                return True
        return False

    def close(self) -> None:
        """Cut every remaining connection."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for one in list(self._touched_at):
            self.leave(one)
            one.cut()

    def _cut_idle(self) -> None:
        loop = asyncio.get_running_loop()
        # Schedule the next sweep first, so that it happens whatever fails below.
        self._sweep = loop.call_later(SWEEP_S, self._cut_idle)
        now = loop.time()
        for one, touched_at in list(self._touched_at.items()):
            idle_s = now - touched_at
            if idle_s < IDLE_S:
                break
            if not one.is_served or idle_s >= ANSWER_S:
                self._cut(one, "idle")
        if not self._touched_at:
            self._sweep.cancel()
            self._sweep = None

    def _cut(self, connection: Connection, reason: str) -> None:
        self._count(reason)
        self.leave(connection)
        connection.cut()

    def _count(self, reason: str) -> None:
        self.metrics.count("connections_refused", reason=reason)


def raise_descriptor_limit() -> int:
    """Raise this process's limit of open files to what the system allows; return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        # Some systems report an infinite hard limit that they do not honour.
        return soft
    return hard


def descriptors_needed(settings: Settings) -> int:
    """Return how many files one process has open at its limits."""
    calls = settings.max_calls_per_worker * DESCRIPTORS_A_CALL
    return calls + CONNECTIONS_MAX + settings.database_pool_size + DESCRIPTORS_BESIDE


def connections_allowed(settings: Settings) -> int:
    """Return how many connections leave room for calls within the limit in force."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY or limit >= descriptors_needed(settings):
        return CONNECTIONS_MAX
    return max(1, min(CONNECTIONS_MAX, int(limit * HTTP_SHARE)))
