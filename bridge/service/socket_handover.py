"""One service after another on one port: the next takes the listening socket itself.

Connections wait in that socket and not in a process, and it lives as long as anybody
holds it. Who takes over asks for it over a Unix socket in KOLBRIDGE_HOME, accepts
beside the service that runs, and then says so: that one accepts no more, and drains.
If the next does not come up it says nothing, and nothing has changed.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bridge.telemetry.log import server_logger

# The service that is asked answers within a turn of its loop.
ANSWER_WAIT_S = 5.0
# Who asks waits in line; there is one, or an operator's mistake.
ASKING_MAX = 4
_HERE, _TAKEN = b"h", b"t"


class Inheritance(NamedTuple):
    """The listening sockets of the service that runs, and the way to tell it.

    `admin` is None where it has no such listener.
    """

    listening: socket.socket
    admin: socket.socket | None
    way: socket.socket

    def take(self) -> None:
        """Have the other service leave the port; it may be gone already."""
        with self.way:
            try:
                self.way.sendall(_TAKEN)
            except OSError as error:
                server_logger().warning("the service before is gone: %s", error)


def ask(home: Path, port: int) -> Inheritance | None:
    """Ask the service on a port for its socket; None if there is none to ask."""
    way = socket.socket(socket.AF_UNIX)
    way.settimeout(ANSWER_WAIT_S)
    try:
        way.connect(str(_socket_path(home, port)))
        _, descriptors, _, _ = socket.recv_fds(way, len(_HERE), 2)
    except OSError:
        descriptors = []
    if not descriptors:
        way.close()
        return None
    listening, *rest = [socket.socket(fileno=one) for one in descriptors]
    return Inheritance(listening, rest[0] if rest else None, way)


class HandoverSocket:
    """Where the next service asks; `on_taken` is called when it has the port."""

    def __init__(
        self,
        home: Path,
        port: int,
        listening: socket.socket,
        admin: socket.socket | None,
        on_taken: Callable[[], None],
    ) -> None:
        self._path = _socket_path(home, port)
        self._given = [one for one in (listening, admin) if one is not None]
        self._on_taken = on_taken
        self._listening: socket.socket | None = None
        self._made = (0, 0)

    def open(self) -> None:
        """Take the place of the service before, if there was one.

        Where the system has no such sockets, or no such long names, nobody can ask.
        """
        listener = socket.socket(socket.AF_UNIX)
        listener.setblocking(False)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._path.unlink(missing_ok=True)
            listener.bind(str(self._path))
            self._path.chmod(0o600)
            listener.listen(ASKING_MAX)
            self._made = _identity(self._path)
        except OSError as error:
            listener.close()
            server_logger().warning("the port cannot be taken over: %s", error)
            return
        self._listening = listener
        asyncio.get_running_loop().add_reader(listener, self._on_asked, listener)

    def close(self) -> None:
        """Give the socket to nobody any more, and take its path away unless that is
        another's by now."""
        if self._listening is not None:
            asyncio.get_running_loop().remove_reader(self._listening)
            # While the socket is open no other file can have its inode.
            with suppress(OSError):
                if _identity(self._path) == self._made:
                    self._path.unlink()
            self._listening.close()
            self._listening = None

    def _on_asked(self, listener: socket.socket) -> None:
        try:
            way, _ = listener.accept()
        except OSError:
            return
        way.setblocking(False)
        try:
            socket.send_fds(way, [_HERE], [one.fileno() for one in self._given])
        except OSError as error:
            server_logger().error("the port was not handed over: %s", error)
            way.close()
            return
        asyncio.get_running_loop().add_reader(way, self._on_told, way)

    def _on_told(self, way: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(way)
        with way:
            try:
                is_taken = way.recv(len(_TAKEN)) == _TAKEN
            except OSError:
                is_taken = False
        if is_taken:
            self._on_taken()


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _socket_path(home: Path, port: int) -> Path:
    return home / "doors" / f"{port}.sock"
