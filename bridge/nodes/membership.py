"""Membership: this process's heartbeat in the table of nodes.

A process whose heartbeat is older than crm.nodes.STALE_S counts as dead, and its calls
may be claimed. A process that starts removes the heartbeats of processes that died on
this machine before it, so that nobody waits for them: each process holds the lock of a
file as long as it lives.
"""

import asyncio
import fcntl
import os
import re
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from socket import gethostname
from time import monotonic
from typing import NamedTuple
from uuid import UUID, uuid4

from bridge.call.checkpoint import FORMAT
from bridge.settings.process import Settings
from bridge.telemetry.log import server_logger
from bridge.telemetry.metrics import Metrics
from crm import nodes
from crm.database import Database
from crm.transient import DATABASE_ERRORS

BEAT_S = 1.0
# A process of this name that was killed on another machine is stale by then.
JOIN_WAIT_S = nodes.STALE_S + 1.0
# When the database has been away for all, the living have beaten again by then.
SETTLE_S = nodes.STALE_S + BEAT_S
_SUFFIX = ".alive"
# Of a machine's name; with a port the node's name has 63 at most.
NAME_CHARS_MAX = 57


class Identity(NamedTuple):
    """Who this process is: a worker of a node, in one of the node's lives."""

    name: str
    worker: int
    url: str
    version: str
    incarnation: UUID


class Load(NamedTuple):
    """What a process reports of itself with each heartbeat."""

    active: int
    capacity: int
    is_draining: bool


class Membership:
    """The owner of this process's row in the table of nodes, from `join` to `leave`."""

    def __init__(
        self,
        database: Database,
        home: Path,
        metrics: Metrics,
        identity: Identity,
        load: Callable[[], Load],
        on_drain_asked: Callable[[], None],
    ) -> None:
        self.identity = identity
        self._database = database
        self._metrics = metrics
        self._load = load
        self._on_drain_asked = on_drain_asked
        self._is_drain_asked = False
        self._is_away = False
        # When this process could beat again.
        self._back_at = float("-inf")
        self._lives = Lives(home / "nodes")

    async def join(self, *, takes_over: bool = False) -> None:
        """Write the first heartbeat; raises crm.nodes.NameTaken if the name is in use.

        `takes_over`: the process that has the name is about to drain. Without the
        database the process joins later.
        """
        dead = await asyncio.to_thread(self._lives.begin, self.identity.incarnation)
        try:
            for incarnation in dead:
                await nodes.leave(self._database, incarnation)
            await self._first_beat(takes_over)
            await self._warn()
        except DATABASE_ERRORS as error:
            self._note_away(error)

    async def _first_beat(self, takes_over: bool) -> None:
        until = monotonic() + JOIN_WAIT_S
        while True:
            try:
                await nodes.join(self._database, self._made(), takes_over=takes_over)
                return
            except nodes.NameTaken:
                if monotonic() > until:
                    raise
                await asyncio.sleep(BEAT_S / 2)

    async def _warn(self) -> None:
        """Warn of streams that would reach any node instead of their call's."""
        others = [
            node.name
            for node in await nodes.every(self._database)
            if node.name != self.identity.name and not node.is_stale
        ]
        if others and not self.identity.url:
            server_logger().warning(
                "[NODE] NODE_URL is not set, and other nodes run: %s", ", ".join(others)
            )

    async def keep_beating(self) -> None:
        """Write a heartbeat each second, until cancelled."""
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                await self._beat()
            except DATABASE_ERRORS as error:
                self._note_away(error)

    def is_settled(self) -> bool:
        """Tell whether a stale heartbeat means a dead process.

        It does not while the database is away or read-only, and for a while after it:
        the living could not beat either.
        """
        return not self._is_away and monotonic() - self._back_at >= SETTLE_S

    async def leave(self) -> None:
        """Remove the heartbeat: the process stops."""
        with suppress(*DATABASE_ERRORS):
            await nodes.leave(self._database, self.identity.incarnation)
        self._lives.end()

    async def is_gone(self, incarnation: UUID) -> bool:
        """Tell whether a process died on this machine; False if it lives, or was never
        here."""
        return await asyncio.to_thread(self._lives.is_gone, incarnation)

    async def _beat(self) -> None:
        is_asked = await nodes.beat(self._database, self._made())
        if self._is_away:
            self._is_away = False
            self._back_at = monotonic()
            server_logger().warning("[NODE] %s beats again", self.identity.name)
        if is_asked and not self._is_drain_asked:
            self._is_drain_asked = True
            server_logger().info("[NODE] %s is asked to drain", self.identity.name)
            self._on_drain_asked()

    def _made(self) -> nodes.Beat:
        return nodes.Beat(
            format=FORMAT, **self.identity._asdict(), **self._load()._asdict()
        )

    def _note_away(self, error: Exception) -> None:
        """Log once that no heartbeat is written, and count each."""
        self._metrics.count("node_failures", what="heartbeat")
        if not self._is_away:
            name = type(error).__name__
            server_logger().error("[NODE] the database takes no heartbeat: %s", name)
        self._is_away = True


class Lives:
    """A locked file for each living process of this machine, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._fd = -1

    def begin(self, incarnation: UUID) -> list[UUID]:
        """Lock this process's file; remove and return those of dead processes."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = [*filter(None, map(_dead, self._folder.glob(f"*{_SUFFIX}")))]
        self._path = self._path_of(incarnation)
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        return found

    def is_gone(self, incarnation: UUID) -> bool:
        """Tell whether a process of this machine is dead; False for those that are not
        known here. Its file stays for the next process that starts."""
        try:
            fd = os.open(self._path_of(incarnation), os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        finally:
            os.close(fd)
        return True

    def _path_of(self, incarnation: UUID) -> Path:
        return self._folder / f"{incarnation}{_SUFFIX}"

    def end(self) -> None:
        """Unlock and remove this process's file."""
        if self._path is not None:
            with suppress(OSError):
                self._path.unlink()
            os.close(self._fd)
            self._path = None


def _dead(path: Path) -> UUID | None:
    """Remove the file of a dead process, and return which it was."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
        return UUID(path.name.removesuffix(_SUFFIX))
    except (OSError, ValueError):
        return None
    finally:
        os.close(fd)


def identity_of(settings: Settings, worker: int) -> Identity:
    """Return a new life of this process; a node is named after machine and port."""
    machine = re.sub("[^a-z0-9-]+", "-", gethostname().lower())
    name = f"{machine[:NAME_CHARS_MAX].strip('-') or 'node'}-{settings.port}"
    try:
        release = version("kolbridge")
    except PackageNotFoundError:
        release = "not installed"
    return Identity(
        settings.node_name or name, worker, settings.node_url or "", release, uuid4()
    )
