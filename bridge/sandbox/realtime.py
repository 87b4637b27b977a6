"""A Realtime server for tests, demo, doctor and bench, as strict as the real one.

It refuses what the API refuses, detects turns in audio time, and answers with recorded
voice at several times real time. Written on `websockets`; it shares no code with the
bridge's own wire.
"""

from __future__ import annotations

import asyncio
import http
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from bridge.sandbox.defaults import MODELS
from bridge.sandbox.options import Options
from bridge.sandbox.rules import Refused
from bridge.sandbox.script import Script, plain_script
from bridge.sandbox.session import Session

# A service looks whether the model's port is open: that is no handshake, and no error.
# Without a handler of the program's own Python prints each with its traceback.
logging.getLogger("websockets").addHandler(logging.NullHandler())

_PATH = "/v1/realtime"
# 15 MiB of audio are 20 MiB of base64; the rest is for the event around it.
_FRAME_BYTES_MAX = 21 * 1024 * 1024
# The beta header: "socket closed with 4000". For a model no code is published.
_BETA_CLOSE_CODE = 4000
_MODEL_CLOSE_CODE = 4004
_BETA = Refused(
    "beta_api_shape_disabled",
    "The Realtime Beta API is no longer supported. Remove the OpenAI-Beta header.",
)

# No answer to an upgrade: the connection is cut instead.
CLOSED = 0

Scripts = Script | Sequence[Script] | Callable[[Session], Script]


class RealtimeServer:
    """A server on loopback; `sessions` holds every session since its start.

    `scripts` is one script for all, one per connection in order (the last for the
    rest), or a function from the configured session to its script. `handshakes` are the
    answers to the first upgrades: an HTTP status, or CLOSED for none at all.
    """

    def __init__(
        self,
        scripts: Scripts | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        api_key: str = "sk-sandbox",
        handshakes: Sequence[int] = (),
        options: Options | None = None,
        **overrides: Any,
    ) -> None:
        """Take `options`, with `overrides` of its fields by name, such as `speed`."""
        self._scripts = plain_script() if scripts is None else scripts
        self._host = host
        self._port = port
        self._api_key = api_key
        self._handshakes = list(handshakes)
        self._options = replace(options or Options(), **overrides)
        self._server: Server | None = None
        self.sessions: list[Session] = []
        self.refused_handshakes: list[int] = []

    @property
    def url(self) -> str:
        """The URL of the server; the client adds `?model=`."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"ws://{host}:{self._port}{_PATH}"

    @property
    def api_key(self) -> str:
        """The key that a client must send."""
        return self._api_key

    @property
    def open_sessions(self) -> list[Session]:
        """The sessions whose client is still connected."""
        return [session for session in self.sessions if session.closed_at is None]

    async def start(self) -> None:
        """Listen; port 0 takes a free one."""
        self._server = await serve(
            self._serve,
            self._host,
            self._port,
            process_request=self._check_handshake,
            compression=None,
            max_size=_FRAME_BYTES_MAX,
        )
        self._port = next(iter(self._server.sockets)).getsockname()[1]

    async def close(self) -> None:
        """Close every connection and stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def __aenter__(self) -> RealtimeServer:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    def _check_handshake(
        self, connection: ServerConnection, request: Request
    ) -> Response | None:
        status = self._refusal(request)
        if status is None:
            return None
        self.refused_handshakes.append(status)
        if status == CLOSED:
            connection.transport.abort()
            return connection.respond(http.HTTPStatus.SERVICE_UNAVAILABLE, "")
        return connection.respond(http.HTTPStatus(status), "Refused.\n")

    def _refusal(self, request: Request) -> int | None:
        if urlsplit(request.path).path != _PATH:
            return 404
        if request.headers.get("Authorization") != f"Bearer {self._api_key}":
            return 401
        if self._handshakes:
            return self._handshakes.pop(0)
        choice = self._choice(len(self.sessions))
        return choice.faults.handshake_status if isinstance(choice, Script) else None

    def _choice(self, index: int) -> Script | Callable[[Session], Script]:
        if isinstance(self._scripts, Sequence):
            return self._scripts[min(index, len(self._scripts) - 1)]
        return self._scripts

    async def _serve(self, connection: ServerConnection) -> None:
        request = connection.request
        assert request is not None, "a connection without a request"
        query = parse_qs(urlsplit(request.path).query)
        model = query.get("model", [""])[-1]
        index = len(self.sessions)
        session = Session(self._choice(index), self._options, model, index)
        self.sessions.append(session)
        sender = asyncio.create_task(_send_all(connection, session))
        try:
            if "OpenAI-Beta" in request.headers:
                session.refuse(_BETA, None)
                session.drop(_BETA_CLOSE_CODE)
            elif model not in MODELS:
                session.refuse(_unknown_model(model), None)
                session.drop(_MODEL_CLOSE_CODE)
            else:
                session.start()
            # A client may disconnect without a close.
            with suppress(ConnectionClosed):
                async for frame in connection:
                    session.receive(frame)
        finally:
            session.stop()
            await sender


async def _send_all(connection: ServerConnection, session: Session) -> None:
    while True:
        event = await session.outbox.get()
        if event is None:
            connection.transport.abort()
            return
        try:
            if isinstance(event, int):
                await connection.close(event)
                return
            await connection.send(msgspec.json.encode(event).decode())
        except ConnectionClosed:
            return


def _unknown_model(model: str) -> Refused:
    return Refused(
        "model_not_found",
        f"The model '{model}' does not exist or you do not have access to it.",
        "model",
    )
