"""The connections of one process that are no streams: how many, and for how long.

One that neither sends nor is answered for IDLE_S is cut. At the limit a new one takes
the place of the one that has rested longest, or has been longest without a whole head;
where all have requests that run, the new one is refused. So whoever opens connections
and leaves them there keeps nobody out.
"""

import asyncio
import resource
from typing import Protocol

from bridge.settings.process import Settings
from bridge.telemetry.metrics import Metrics

# A connection that asks nothing, or takes no answer, for so long is cut.
IDLE_S = 15.0
# How often that is looked for.
SWEEP_S = 1.0
# Connections of one process that are no streams.
CONNECTIONS_MAX = 1_000
# A call's two sockets, and for a while the one of its next session.
DESCRIPTORS_A_CALL = 3
# The loop, the log, the folder's sockets, files of records and recordings.
DESCRIPTORS_BESIDE = 64
# Where the system allows less than is needed, the share that HTTP may have of it.
HTTP_SHARE = 0.25


class Connection(Protocol):
    """What is kept count of."""

    @property
    def is_busy(self) -> bool:
        """Whether a request of it runs."""

    def cut(self) -> None:
        """Close it now; it leaves when it is closed."""


class Connections:
    """The connections of one process, the one longest untouched first."""

    def __init__(self, metrics: Metrics, most: int = CONNECTIONS_MAX) -> None:
        self.metrics = metrics
        self._most = most
        self._touched_at: dict[Connection, float] = {}
        self._sweep: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._touched_at)

    def admit(self, connection: Connection) -> bool:
        """Take a new one in; False if it must be refused."""
        if len(self._touched_at) >= self._most and not self.make_room():
            self._count("too_many")
            return False
        self.touch(connection)
        if self._sweep is None:
            loop = asyncio.get_running_loop()
            self._sweep = loop.call_later(SWEEP_S, self._cut_idle)
        return True

    def touch(self, connection: Connection) -> None:
        """Take note that something came or went on it."""
        self._touched_at.pop(connection, None)
        self._touched_at[connection] = asyncio.get_running_loop().time()

    def leave(self, connection: Connection) -> None:
        """Forget one that is closed, or a stream by now."""
        self._touched_at.pop(connection, None)

    def make_room(self) -> bool:
        """Cut the one that has been without a request for longest."""
        for one in self._touched_at:
            if not one.is_busy:
                self._cut(one, "made_room")
                return True
        return False

    def close(self) -> None:
        """Cut all that is left."""
        if self._sweep is not None:
            self._sweep.cancel()
            self._sweep = None
        for one in list(self._touched_at):
            self.leave(one)
            one.cut()

    def _cut_idle(self) -> None:
        loop = asyncio.get_running_loop()
        # First of all: whatever fails below, there is a next time.
        self._sweep = loop.call_later(SWEEP_S, self._cut_idle)
        latest = loop.time() - IDLE_S
        for one, touched_at in list(self._touched_at.items()):
            if touched_at > latest:
                break
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
        # Some systems call the hard limit infinite and do not mean it.
        return soft
    return hard


def descriptors_needed(settings: Settings) -> int:
    """Return how many files one process has open at its limits."""
    calls = settings.max_calls_per_worker * DESCRIPTORS_A_CALL
    return calls + CONNECTIONS_MAX + settings.database_pool_size + DESCRIPTORS_BESIDE


def connections_allowed(settings: Settings) -> int:
    """Return how many connections leave room for calls within the limit that holds."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY or limit >= descriptors_needed(settings):
        return CONNECTIONS_MAX
    return max(1, min(CONNECTIONS_MAX, int(limit * HTTP_SHARE)))
