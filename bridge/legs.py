"""The two WebSocket legs of a call: bytes to messages and back.

A message is decoded where it arrives, given to the call, and every action it causes is
performed before the next: no await, no queue, no task per message. A leg owns its
socket and its buffers and decides nothing about the call.

Nothing is sent without a look at what still waits in the socket: picows takes bytes
without end, and the kernel megabytes, so that it is given SEND_BUFFER_BYTES. Over
AUDIO_WAITING_BYTES_MAX audio is dropped and counted, for late audio is worse than lost;
over WAITING_BYTES_MAX the peer does not read: the leg is closed.
"""

import asyncio
from collections.abc import Callable
from socket import SO_SNDBUF, SOL_SOCKET
from ssl import SSLContext
from typing import Any, Protocol

import picows
from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from bridge import openai, twilio
from bridge.call import Call
from bridge.log import server_logger
from bridge.metrics import Metrics
from bridge.plan import Action, Leg

# Three seconds of 20 ms messages in base64 to Twilio, five to the model.
AUDIO_WAITING_BYTES_MAX = 65_536
WAITING_BYTES_MAX = 1_048_576
# Else the kernel takes megabytes, minutes of audio, before anything waits here; it
# doubles this.
SEND_BUFFER_BYTES = 32_768
# Twilio sends `start` right after the upgrade.
START_WAIT_S = 5.0
# How long the other side may take to answer our CLOSE.
CLOSE_WAIT_S = 2.0
# Connecting and upgrading to the model takes some hundred ms.
MODEL_OPEN_S = 5.0
# A model that is silent for this long is asked whether it is there.
MODEL_PING_S = 20.0
# Audio deltas are some KB; the buffer grows for more.
MODEL_READ_BUFFER_BYTES = 16_384


class StreamRefused(Exception):
    """A media stream is nobody's; the text is a reason for the log and the metrics."""


class Owner(Protocol):
    """The owner of a call and of its legs, as a leg sees it."""

    call: Call
    is_over: bool
    logs_events: bool

    def receive(self, door: Callable[..., list[Action]], *what: Any) -> None:
        """Give the call what came, and perform what it answers."""

    def note_event(self, kind: str | None) -> None:
        """Log the type of an event."""


class Lobby(Protocol):
    """Where a stream finds the call it belongs to."""

    metrics: Metrics

    def claim_line(self, leg: "TwilioLeg", start: twilio.Start) -> Owner:
        """Return the call's line, to be told of `start`; or raise StreamRefused."""


class _Socket(WSListener):
    """One WebSocket: whole text messages in, encoded ones out, closed in order."""

    leg: Leg
    message_bytes_max: int

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._transport: WSTransport | None = None
        self._waiting_bytes: Callable[[], int] = int
        self._buffer = bytearray()
        self._fragments = bytearray()
        self._is_joining = False
        self._closing: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        """Whether the socket is connected."""
        return self._transport is not None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Keep the transport; the socket may be used from here on."""
        self._transport = transport
        below = transport.underlying_transport
        self._waiting_bytes = below.get_write_buffer_size
        raw = below.get_extra_info("socket")
        raw.setsockopt(SOL_SOCKET, SO_SNDBUF, SEND_BUFFER_BYTES)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame; its memory is valid until this returns."""
        if frame.msg_type == WSMsgType.TEXT and frame.fin:
            self._is_joining = False
            self.receive(frame.get_payload_as_memoryview())
        else:
            self._on_other_frame(transport, frame)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Forget the transport and tell the call."""
        self._transport = None
        self._waiting_bytes = int
        if self._closing is not None:
            self._closing.cancel()
        self.lose(_reason_of(transport))

    def pause_writing(self) -> None:
        """Do nothing: every send looks at what waits."""

    def resume_writing(self) -> None:
        """Do nothing: every send looks at what waits."""

    def receive(self, data: bytes | memoryview) -> None:
        """Take one whole text message."""
        raise NotImplementedError

    def receive_malformed(self, error: str) -> None:
        """Take note of what is no message."""
        raise NotImplementedError

    def lose(self, reason: str) -> None:
        """Take the end of the socket, whoever ended it."""
        raise NotImplementedError

    def close(self, code: WSCloseCode = WSCloseCode.OK) -> None:
        """Close in order: CLOSE, its answer within CLOSE_WAIT_S, then the end."""
        transport = self._transport
        if transport is None or transport.is_close_frame_sent:
            return
        transport.send_close(code)
        self._cut_late(transport)

    def send(self, message: Any, encode_into: Any, is_audio: bool) -> None:
        """Send one message, unless too much waits already."""
        transport = self._transport
        if transport is None:
            return
        waiting_bytes = self._waiting_bytes()
        if waiting_bytes > AUDIO_WAITING_BYTES_MAX and self._is_too_much(
            waiting_bytes, is_audio
        ):
            return
        encode_into(message, self._buffer)
        transport.send(WSMsgType.TEXT, self._buffer)

    def _cut_late(self, transport: WSTransport) -> None:
        """Cut a socket that is not closed within CLOSE_WAIT_S."""
        loop = asyncio.get_running_loop()
        self._closing = loop.call_later(CLOSE_WAIT_S, transport.disconnect, False)

    def _is_too_much(self, waiting_bytes: int, is_audio: bool) -> bool:
        """Count what is not sent; cut a peer that reads nothing at all."""
        if waiting_bytes > WAITING_BYTES_MAX:
            self._metrics.count("dropped", limit=f"{self.leg.value}_waiting_bytes")
            assert self._transport is not None
            self._transport.disconnect(False)
            return True
        if is_audio:
            self._metrics.count("dropped", limit=f"{self.leg.value}_audio_waiting")
        return is_audio

    def _on_other_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if kind == WSMsgType.CLOSE:
            if not transport.is_close_frame_sent:
                transport.send_close(WSCloseCode.OK)
                # Who does not read would keep what still waits, and the socket.
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
        """Add a fragment; a message over the limit is dropped to its last one."""
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


class TwilioLeg(_Socket):
    """The socket Twilio opened; nobody's until `start` names its call."""

    leg = Leg.TWILIO
    message_bytes_max = twilio.MESSAGE_BYTES_MAX

    def __init__(self, lobby: Lobby) -> None:
        super().__init__(lobby.metrics)
        self._lobby = lobby
        # Messages of a server, each with its head as RFC 6455 has it.
        self._burst = bytearray()
        self._line: Owner | None = None
        self._start_timer: asyncio.TimerHandle | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Wait for `start`, not for ever."""
        super().on_ws_connected(transport)
        loop = asyncio.get_running_loop()
        self._start_timer = loop.call_later(START_WAIT_S, self._refuse, "no_start")

    def receive(self, data: bytes | memoryview) -> None:
        """Take one message of Twilio's."""
        line = self._line
        if line is None:
            self._receive_first(data)
            return
        try:
            message = twilio.decode(data)
        except twilio.ProtocolError as error:
            line.receive(line.call.receive_malformed, Leg.TWILIO, str(error))
            return
        if message is None:
            line.receive(line.call.receive_unknown, Leg.TWILIO, "event")
        else:
            line.receive(line.call.receive_twilio, message)

    def receive_malformed(self, error: str) -> None:
        """Tell the call of what is no message; before `start` there is no excuse."""
        if self._line is None:
            self._refuse("malformed")
        else:
            self._line.receive(self._line.call.receive_malformed, Leg.TWILIO, error)

    def lose(self, reason: str) -> None:
        """Tell the call that the caller's side is gone, and forget it."""
        self._stop_timer()
        line, self._line = self._line, None
        if line is not None:
            line.receive(line.call.receive_disconnect, Leg.TWILIO, reason)

    def perform(self, message: twilio.Outbound) -> None:
        """Send one message to Twilio, with the next `flush`."""
        transport = self._transport
        if transport is None or transport.is_close_frame_sent:
            return
        waiting_bytes = self._waiting_bytes() + len(self._burst)
        if waiting_bytes > AUDIO_WAITING_BYTES_MAX and self._is_too_much(
            waiting_bytes, type(message) is twilio.OutboundMedia
        ):
            return
        twilio.encode_into(message, self._buffer)
        self._burst += _head_of(len(self._buffer))
        self._burst += self._buffer

    def flush(self) -> None:
        """Write what was performed: a burst of messages is one system call."""
        if self._burst and self._transport is not None:
            self._transport.underlying_transport.write(self._burst)
            self._burst = bytearray()

    def close(self, code: WSCloseCode = WSCloseCode.OK) -> None:
        """Write what waits, and close in order."""
        self.flush()
        super().close(code)

    def _receive_first(self, data: bytes | memoryview) -> None:
        try:
            message = twilio.decode(data)
        except twilio.ProtocolError:
            self._refuse("malformed")
            return
        if isinstance(message, twilio.Start):
            self._claim(message)
        elif not isinstance(message, twilio.Connected):
            self._refuse("no_start")

    def _claim(self, start: twilio.Start) -> None:
        self._stop_timer()
        try:
            line = self._lobby.claim_line(self, start)
        except StreamRefused as refused:
            self._refuse(str(refused))
            return
        self._line = line
        line.receive(line.call.receive_twilio, start)

    def _refuse(self, reason: str) -> None:
        self._stop_timer()
        self._metrics.count("refused_streams", reason=reason)
        server_logger().warning("media stream refused: %s", reason)
        self.close(WSCloseCode.POLICY_VIOLATION)

    def _stop_timer(self) -> None:
        if self._start_timer is not None:
            self._start_timer.cancel()
            self._start_timer = None


class OpenAILeg(_Socket):
    """The socket we open to the model."""

    leg = Leg.OPENAI
    message_bytes_max = openai.EVENT_BYTES_MAX

    def __init__(self, line: Owner, metrics: Metrics) -> None:
        super().__init__(metrics)
        # None when the call has no use for this leg any more.
        self._line: Owner | None = line

    def retire(self) -> None:
        """Close without a word to the call, which has another leg by now."""
        self._line = None
        self.close()

    async def connect(
        self, url: str, headers: dict[str, str], tls: SSLContext | None
    ) -> None:
        """Open the socket; raises OSError, TimeoutError or picows.WSError.

        What was cancelled after the TCP connection may still open: `on_ws_connected`
        closes it when the call is over by then.
        """
        async with asyncio.timeout(MODEL_OPEN_S):
            await picows.ws_connect(
                lambda: self,
                url,
                ssl_context=tls,
                websocket_handshake_timeout=MODEL_OPEN_S,
                enable_auto_ping=True,
                auto_ping_idle_timeout=MODEL_PING_S,
                auto_ping_reply_timeout=MODEL_PING_S,
                max_frame_size=openai.EVENT_BYTES_MAX,
                extra_headers=headers,
                max_redirects=0,
                read_buffer_init_size=MODEL_READ_BUFFER_BYTES,
            )

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Use the socket, unless nobody needs it any more."""
        super().on_ws_connected(transport)
        if self._line is None or self._line.is_over:
            self.close()

    def receive(self, data: bytes | memoryview) -> None:
        """Take one event of the model's."""
        line = self._line
        if line is None:
            return
        if line.logs_events:
            line.note_event(openai.event_type(data))
        try:
            event = openai.decode(data)
        except openai.ProtocolError as error:
            line.receive(line.call.receive_malformed, Leg.OPENAI, str(error))
            return
        if event is not None:
            line.receive(line.call.receive_openai, event)
            return
        kind = openai.event_type(data)
        if not openai.is_known(kind):
            line.receive(line.call.receive_unknown, Leg.OPENAI, str(kind))

    def receive_malformed(self, error: str) -> None:
        """Tell the call of what is no event."""
        if self._line is not None:
            self._line.receive(self._line.call.receive_malformed, Leg.OPENAI, error)

    def lose(self, reason: str) -> None:
        """Tell the call that the model is gone, or cannot be had, and forget it."""
        line, self._line = self._line, None
        if line is not None:
            line.receive(line.call.receive_disconnect, Leg.OPENAI, reason)

    def perform(self, event: openai.ClientEvent | openai.AppendAudio) -> None:
        """Send one event to the model."""
        is_audio = type(event) is openai.AppendAudio
        self.send(event, openai.encode_into, is_audio)


def _head_of(size: int) -> bytes:
    """Return the head of a server's text message in one frame (RFC 6455, 5.2)."""
    if size < 126:
        return bytes((0x81, size))
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")


def _reason_of(transport: WSTransport) -> str:
    """Say how a socket ended."""
    handshake = transport.close_handshake
    if handshake is None or handshake.recv is None:
        return "connection lost"
    reason = f"closed with {handshake.recv.code:d}"
    return f"{reason} {handshake.recv.reason}" if handshake.recv.reason else reason
