"""Socket handover: the next service on a port takes over the listening socket itself.

Connections wait in the listening socket and not in a process, and the socket lives as
long as any process holds it. The next service asks for the socket over a Unix socket in
KOLBRIDGE_HOME, accepts beside the running service, and then tells the running service.
The running service then stops accepting, and drains. If the next service does not start
it sends nothing, and nothing has changed.

systemd starts a service that crashed by the same command, with `--take-over`. One that
crashes while it drains must not take the port back. It has left a note, which lies
where systemd keeps it over a restart, and removes it when it ends in order.
"""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bridge.telemetry.log import server_logger

# The running service answers within one turn of its loop.
ANSWER_WAIT_S = 5.0
# The backlog of services that ask; more than one is an operator's mistake.
ASKING_MAX = 4
_HERE, _TAKEN = b"h", b"t"


class Inheritance(NamedTuple):
    """The listening sockets of the running service, and the socket to notify it.

    `admin` is None if the running service has no admin listener.
    """

    listening: socket.socket
    admin: socket.socket | None
    way: socket.socket

    def take(self) -> None:
        """Tell the other service to leave the port, unless that service is gone."""
        with self.way:
            try:
                self.way.sendall(_TAKEN)
            except OSError as error:
                server_logger().warning("the service before is gone: %s", error)


def ask(home: Path, port: int) -> Inheritance | None:
    """Ask the service on a port for its sockets; None if no service can be asked."""
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
    """The socket where the next service asks; `on_taken` runs when it has the port."""

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
        """Replace the socket of the previous service, if there was one.

        If the system has no Unix sockets, or allows no path this long, no service can
        ask.
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
        """Stop giving the socket away, and remove its path unless the path belongs to
        another service by now."""
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
            if (note := note_of_leaving()) is not None:
                note.touch()


def note_of_leaving() -> Path | None:
    """Return the path of the note that this service has handed over its port.

    None where no unit of systemd gives the service a folder.
    """
    folder = os.environ.get("RUNTIME_DIRECTORY")
    return Path(folder) / "port-handed-over" if folder else None


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _socket_path(home: Path, port: int) -> Path:
    # A version that already runs listens in the folder of this name.
    return home / "doors" / f"{port}.sock"
