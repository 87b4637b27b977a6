"""One WebSocket of a call: whole text messages in, encoded ones out, orderly close.

Every send first checks what still waits in the socket (`bridge.line.backlog`). The
kernel takes megabytes by default, so its send buffer is limited to SEND_BUFFER_BYTES.
"""

import asyncio
from socket import SO_SNDBUF, SOL_SOCKET
from typing import Any

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from bridge.call.plan import Leg
from bridge.line.backlog import Backlog
from bridge.telemetry.metrics import Metrics

# By default the kernel takes megabytes, minutes of audio, before anything waits here.
# The kernel doubles this value.
SEND_BUFFER_BYTES = 32_768
# How often the backlog is checked while the peer does not read.
LOOK_S = 0.1
# How long the peer may take to answer the bridge's CLOSE.
CLOSE_WAIT_S = 2.0
# An attribute of an enumeration costs as much as ten locals.
TEXT = WSMsgType.TEXT


class WebSocket(WSListener):
    """One WebSocket: whole text messages in, encoded ones out, orderly close."""

    leg: Leg
    message_bytes_max: int

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._transport: WSTransport | None = None
        self.backlog = Backlog()
        self._buffer = bytearray()
        self._fragments = bytearray()
        self._is_joining = False
        self._closing: asyncio.TimerHandle | None = None
        self._look: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether the socket is connected."""
        return self._transport is not None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Keep the transport; the socket may be used from here on."""
        self._transport = transport
        below = transport.underlying_transport
        self.backlog.open(below, self._drop)
        raw = below.get_extra_info("socket")
        raw.setsockopt(SOL_SOCKET, SO_SNDBUF, SEND_BUFFER_BYTES)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame; its memory is valid until this returns."""
        self.receive_frame(transport, frame)

    def receive_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame, whatever it is."""
        if frame.msg_type == TEXT and frame.fin:
            self._is_joining = False
            self.receive(frame.get_payload_as_bytes())
        else:
            self._on_other_frame(transport, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Forget the transport and tell the call."""
        self._transport = None
        self.backlog.close()
        self.resume_writing()
        if self._closing is not None:
            self._closing.cancel()
        self.lose(_reason_of(transport))

    def pause_writing(self) -> None:
        """Check the backlog every LOOK_S: picows sends pongs by itself."""
        if self._look is None and self._transport is not None:
            self._look_at_waiting()

    def resume_writing(self) -> None:
        """Stop checking the backlog: the peer reads."""
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _look_at_waiting(self) -> None:
        self._look = None
        if self.backlog.takes(False):
            loop = asyncio.get_running_loop()
            self._look = loop.call_later(LOOK_S, self._look_at_waiting)

    def receive(self, data: bytes) -> None:
        """Take one whole text message."""
        raise NotImplementedError

    def receive_malformed(self, error: str) -> None:
        """Note a malformed message."""
        raise NotImplementedError

    def lose(self, reason: str) -> None:
        """Take the end of the socket, whoever ended it."""
        raise NotImplementedError

    def close(self, code: WSCloseCode = WSCloseCode.OK) -> None:
        """Send CLOSE, await the peer's CLOSE for CLOSE_WAIT_S, then disconnect."""
        transport = self._transport
        if transport is None or transport.is_close_frame_sent:
            return
        transport.send_close(code)
        self._cut_late(transport)

    def send(self, message: Any, encode_into: Any, is_audio: bool) -> None:
        """Send one message, unless too much waits already."""
        transport = self._transport
        if transport is None or not self.backlog.takes(is_audio):
            return
        encode_into(message, self._buffer)
        transport.send(TEXT, self._buffer)

    def _cut_late(self, transport: WSTransport) -> None:
        """Cut the socket if it is not closed within CLOSE_WAIT_S."""
        loop = asyncio.get_running_loop()
        self._closing = loop.call_later(CLOSE_WAIT_S, transport.disconnect, False)

    def _drop(self, is_unread: bool) -> None:
        """Count a message that is not sent; cut a peer that reads nothing at all."""
        limit = "waiting_bytes" if is_unread else "audio_waiting"
        self._metrics.count("dropped", limit=f"{self.leg.value}_{limit}")
        if is_unread:
            assert self._transport is not None
            self._transport.disconnect(False)

    def _on_other_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            if not transport.is_close_frame_sent:
                transport.send_close(WSCloseCode.OK)
                # A peer that does not read would keep the backlog and the socket.
                self._cut_late(transport)
            transport.disconnect()
        elif kind == WSMsgType.TEXT:
            self._is_joining = True
            self._fragments = bytearray(frame.get_payload_as_memoryview())
        elif kind == WSMsgType.CONTINUATION:
            self._join(frame)
        elif kind == WSMsgType.BINARY:
            self.receive_malformed(
                f"expected text, got {frame.payload_size} bytes of binary"
            )

    def _join(self, frame: WSFrame) -> None:
        """Add a fragment; drop a message over the limit, up to its last fragment."""
        if not self._is_joining:
            return
        if len(self._fragments) + frame.payload_size > self.message_bytes_max:
            self._is_joining = False
            self.receive_malformed(
                f"expected a message of at most {self.message_bytes_max} bytes"
            )
        else:
            self._fragments += frame.get_payload_as_memoryview()
            if frame.fin:
                self._is_joining = False
                self.receive(bytes(self._fragments))


def _reason_of(transport: WSTransport) -> str:
    """Return how a socket ended."""
    handshake = transport.close_handshake
    if handshake is None or handshake.recv is None:
        return "connection lost"
    reason = f"closed with {handshake.recv.code:d}"
    return f"{reason} {handshake.recv.reason}" if handshake.recv.reason else reason
