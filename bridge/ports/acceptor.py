"""Accepts connections from the listening socket.

The acceptor takes a few connections in each turn of the loop, so that a burst of
connections never delays a frame. When the process has no file descriptor left, the
acceptor makes room and pauses for ACCEPT_REST_S. The socket stays readable meanwhile,
and the connections in its backlog keep waiting.
"""

import asyncio
import errno
import socket
from collections.abc import Callable

import aiofastnet

from bridge.ports.connections import Connections
from bridge.telemetry.log import server_logger

BACKLOG_CONNECTIONS = 1_024
ACCEPTS_A_TURN = 4
ACCEPT_REST_S = 0.2
# No file descriptor is left in the process or on the machine, or no memory for one.
_EXHAUSTED = frozenset((errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM))


class Acceptor:
    """Gives each accepted connection its own protocol."""

    def __init__(
        self,
        listening: socket.socket,
        factory: Callable[[], asyncio.Protocol],
        connections: Connections,
    ) -> None:
        self._listening = listening
        self._factory = factory
        self._connections = connections
        self._opening: set[asyncio.Task[None]] = set()
        self._rest: asyncio.TimerHandle | None = None
        self._is_stopped = False

    def start(self) -> None:
        """Start to accept connections."""
        self._rest = None
        asyncio.get_running_loop().add_reader(self._listening, self._on_readable)

    def stop(self) -> None:
        """Stop accepting; accepted connections are served, the socket stays open."""
        self._is_stopped = True
        asyncio.get_running_loop().remove_reader(self._listening)
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def close(self) -> None:
        """Stop accepting, and close the socket."""
        if self._listening.fileno() >= 0:
            self.stop()
            self._listening.close()

    def serve(self, connection: socket.socket, data: bytes = b"") -> None:
        """Serve an open connection; `data` was already read from it."""
        task = asyncio.ensure_future(self._serve(connection, data))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _serve(self, connection: socket.socket, data: bytes) -> None:
        try:
            _, protocol = await aiofastnet.connect_accepted_socket(
                asyncio.get_running_loop(), self._factory, connection
            )
        except OSError:
            connection.close()
            return
        if data:
            protocol.data_received(data)

    def _on_readable(self) -> None:
        for _ in range(ACCEPTS_A_TURN):
            try:
                connection, _ = self._listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                # The client gave the connection up before it was accepted.
                continue
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._take_a_rest(error)
                return
            connection.setblocking(False)
            self.serve(connection)

    def _take_a_rest(self, error: OSError) -> None:
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._listening)
        self._connections.metrics.count("accepts_put_off")
        for _ in range(ACCEPTS_A_TURN):
            if not self._connections.make_room():
                break
        server_logger().warning("no connection can be taken: %s", error.strerror)
        self._rest = loop.call_later(ACCEPT_REST_S, self.start)


def listen(host: str, port: int) -> socket.socket:
    """Bind before anything else, so that a taken port is known at once."""
    name = host.strip("[]")
    family = socket.AF_INET6 if ":" in name else socket.AF_INET
    listening = socket.create_server(
        (name, port), family=family, backlog=BACKLOG_CONNECTIONS
    )
    listening.setblocking(False)
    return listening
