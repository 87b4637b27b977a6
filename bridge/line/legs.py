"""The two WebSocket legs of a call: bytes to messages and back.

A leg decodes a message where it arrives and passes it to the call. Every action that
the message causes is performed before the next message: no await, no queue, no task per
message. A leg owns its socket and its buffers and decides nothing about the call.
"""

import asyncio
from collections.abc import Callable
from socket import SO_RCVBUF, SOL_SOCKET
from ssl import SSLContext
from typing import Any, Protocol

import picows
from picows import WSCloseCode, WSTransport

from bridge.call.machine import Call
from bridge.call.plan import Action, Leg, Refusal
from bridge.line.fast_path import Appender, SocketFastPath
from bridge.line.websocket import WebSocket
from bridge.realtime import openai
from bridge.telemetry.log import of_call, server_logger
from bridge.telemetry.metrics import Metrics
from bridge.telephony import twilio
from bridge.wire.audio import media_onto, text_onto

# Twilio sends `start` right after the upgrade.
START_WAIT_S = 5.0
# Before `start` there is `connected`. Messages that are not known yet may come, too.
FIRST_MESSAGES_MAX = 8
# How long a caller's socket is not read after a flood: TCP holds the rest back.
FLOOD_REST_S = 1.0
# How much the kernel may hold then: about a thousand messages of a flood, which are
# dropped in a few ms. By default the kernel takes megabytes. The kernel doubles this
# value. With a quarter of it a call cost 8 % more: audio was acknowledged frame by
# frame.
RECEIVE_BUFFER_BYTES = 131_072
# Connecting and upgrading to the model takes some hundred ms.
MODEL_OPEN_S = 5.0
# A model that is silent for this long is sent a ping.
MODEL_PING_S = 20.0
# Audio deltas are some KB; the buffer grows for more.
MODEL_READ_BUFFER_BYTES = 16_384


class StreamRefused(Exception):
    """A media stream belongs to no call; the text is the reason for log and metrics.

    `business_id` is that of the call that the stream names, if there is one.
    """

    def __init__(self, reason: str, business_id: str = "") -> None:
        super().__init__(reason)
        self.business_id = business_id


class Owner(Protocol):
    """The owner of a call and of its legs, as a leg sees it."""

    call: Call
    fast_path: SocketFastPath
    logs_events: bool

    @property
    def is_over(self) -> bool:
        """Whether the call has ended."""

    def receive(self, method: Callable[..., list[Action]], *what: Any) -> None:
        """Pass an input to the call, and perform the actions that the call returns."""

    def weigh(self) -> None:
        """Have the call weigh the frame that came by the fast path."""

    def crash(self) -> None:
        """End this call after a bug in the bridge."""

    def note_event(self, kind: str | None) -> None:
        """Log the type of an event."""

    def lose_caller(self, leg: "TwilioLeg", reason: str) -> None:
        """Note that the caller's socket is gone."""


class Lobby(Protocol):
    """Finds the call that a stream belongs to."""

    metrics: Metrics

    def claim_line(self, leg: "TwilioLeg", start: twilio.Start) -> Owner:
        """Return the call's owner, to be told of `start`; raises StreamRefused."""


class TwilioLeg(WebSocket):
    """A socket that Twilio opened; it belongs to no call until `start` names one."""

    leg = Leg.TWILIO
    message_bytes_max = twilio.MESSAGE_BYTES_MAX

    def __init__(self, lobby: Lobby) -> None:
        super().__init__(lobby.metrics)
        self._lobby = lobby
        # Messages of a server, each with its frame header of RFC 6455.
        self._burst = bytearray()
        self._media_begins = b""
        self._line: Owner | None = None
        self._first_messages = 0
        self._start_timer: asyncio.TimerHandle | None = None
        self._rest_timer: asyncio.TimerHandle | None = None

    @property
    def line(self) -> Owner | None:
        """The owner of the call, from `start` until the socket is gone."""
        return self._line

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Wait for `start`, at most START_WAIT_S."""
        super().on_ws_connected(transport)
        raw = transport.underlying_transport.get_extra_info("socket")
        raw.setsockopt(SOL_SOCKET, SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        loop = asyncio.get_running_loop()
        self._start_timer = loop.call_later(START_WAIT_S, self._refuse, "no_start")

    def receive(self, data: bytes) -> None:
        """Take one message from Twilio."""
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
        """Tell the call of a malformed message; before `start`, refuse the stream."""
        if self._line is None:
            self._refuse("malformed")
        else:
            self._line.receive(self._line.call.receive_malformed, Leg.TWILIO, error)

    def pause_writing(self) -> None:
        """Pause writing; before `start`, cut a peer that does not read what it caused
        to be sent."""
        if self._line is not None:
            super().pause_writing()
        elif self._transport is not None:
            self._metrics.count("refused_streams", reason="unread")
            # Not from within the write that filled the buffer.
            loop = asyncio.get_running_loop()
            loop.call_soon(self._transport.disconnect, False)

    def rest(self) -> None:
        """Read nothing for FLOOD_REST_S, after a flood of messages that are not audio.

        A peer that keeps flooding is cut off at last, like one that sends rubbish.
        """
        if self._rest_timer is not None:
            return
        assert self._transport is not None
        below = self._transport.underlying_transport
        below.pause_reading()
        loop = asyncio.get_running_loop()
        self._rest_timer = loop.call_later(FLOOD_REST_S, self._read_on, below)
        self.receive_malformed("expected at most 12 messages a second beside audio")

    def lose(self, reason: str) -> None:
        """Tell the call that the caller's side is gone, and forget the call."""
        self._stop_timer()
        if self._rest_timer is not None:
            self._rest_timer.cancel()
        line, self._line = self._line, None
        if line is not None:
            line.lose_caller(self, reason)

    def retire(self) -> None:
        """Cut the socket without telling the call, which awaits another."""
        self._line = None
        if self._transport is not None:
            self._transport.disconnect(False)

    def perform(self, message: twilio.Outbound) -> None:
        """Send one message to Twilio, or the messages of audio, with the next `flush`.

        Audio is dropped where too much waits.
        """
        if not self._takes(isinstance(message, twilio.OutboundAudio)):
            return
        if isinstance(message, twilio.OutboundAudio):
            media_onto(self._burst, self._media_begins, message.frames)
        else:
            twilio.encode_into(message, self._buffer)
            text_onto(self._burst, self._buffer)

    def play(self, frames: bytes) -> None:
        """Send audio at once, as `perform` and `flush` would."""
        if self._takes(True):
            media_onto(self._burst, self._media_begins, frames)
            self.flush()

    def _takes(self, is_audio: bool) -> bool:
        transport = self._transport
        if transport is None or transport.is_close_frame_sent:
            return False
        return self.backlog.takes(is_audio, len(self._burst))

    def flush(self) -> None:
        """Write what `perform` collected: a burst of messages is one system call."""
        if self._burst and self._transport is not None:
            self._transport.underlying_transport.write(self._burst)
            self._burst = bytearray()

    def close(self, code: WSCloseCode = WSCloseCode.OK) -> None:
        """Write what waits, then close with a closing handshake."""
        self.flush()
        super().close(code)

    def _receive_first(self, data: bytes) -> None:
        """Take a message before `start`; one of an unknown event is ignored."""
        if self._transport is None or self._transport.is_close_frame_sent:
            return  # the stream was refused
        self._first_messages += 1
        try:
            message = twilio.decode(data)
        except twilio.ProtocolError:
            self._refuse("malformed")
            return
        if isinstance(message, twilio.Start):
            self._claim(message)
        elif not (
            self._first_messages < FIRST_MESSAGES_MAX
            and isinstance(message, twilio.Connected | None)
        ):
            self._refuse("no_start")

    def _claim(self, start: twilio.Start) -> None:
        self._stop_timer()
        try:
            line = self._lobby.claim_line(self, start)
        except StreamRefused as refused:
            call_sid = start.start.call_sid
            self._refuse(str(refused), of_call(call_sid, refused.business_id))
            return
        self._line = line
        self._media_begins = twilio.media_begins(start.stream_sid)
        line.receive(line.call.receive_twilio, start)

    def _refuse(self, reason: str, of: dict[str, str] | None = None) -> None:
        self._stop_timer()
        self._metrics.count("refused_streams", reason=reason)
        server_logger().warning("media stream refused: %s", reason, extra=of)
        self.close(WSCloseCode.POLICY_VIOLATION)

    def _read_on(self, below: asyncio.Transport) -> None:
        self._rest_timer = None
        below.resume_reading()

    def _stop_timer(self) -> None:
        if self._start_timer is not None:
            self._start_timer.cancel()
            self._start_timer = None


class OpenAILeg(WebSocket):
    """A socket to the model; `leg` says whether its session serves or stands by."""

    message_bytes_max = openai.EVENT_BYTES_MAX

    def __init__(self, line: Owner, metrics: Metrics, leg: Leg = Leg.OPENAI) -> None:
        super().__init__(metrics)
        self.leg = leg
        # None once the call does not need this leg any more.
        self._line: Owner | None = line
        self.appender = Appender(self.backlog)
        self._has_opened = False

    def retire(self) -> None:
        """Close without telling the call, which has another leg by now."""
        self._line = None
        self.close()

    async def connect(
        self,
        url: str,
        headers: dict[str, str],
        tls: SSLContext | None,
        proxy: str | None = None,
    ) -> None:
        """Open the socket; raises OSError, TimeoutError or picows.WSError.

        For picows, a connection that ends before its upgrade is answered is no error.

        A socket whose opening was cancelled after the TCP connection may still open:
        `on_ws_connected` closes the socket when the call is over by then.
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
                proxy=proxy,
            )
        if not self._has_opened:
            raise ConnectionError("closed before the upgrade was answered")

    def on_ws_connected(self, transport: WSTransport) -> None:
        """Use the socket, unless the call does not need it any more."""
        self._has_opened = True
        super().on_ws_connected(transport)
        self.appender.open(transport)
        if self._line is None or self._line.is_over:
            self.close()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Send the model nothing more."""
        self.appender.close()
        super().on_ws_disconnected(transport)

    def receive(self, data: bytes) -> None:
        """Take one event from the model."""
        line = self._line
        if line is None:
            return
        if line.logs_events:
            line.note_event(openai.event_type(data))
        try:
            event = openai.decode(data)
        except openai.ProtocolError as error:
            line.receive(line.call.receive_malformed, self.leg, str(error))
            return
        if event is not None:
            call, is_standby = line.call, self.leg is Leg.STANDBY
            line.receive(
                call.receive_standby if is_standby else call.receive_openai, event
            )
            return
        kind = openai.event_type(data)
        if not openai.is_known(kind):
            line.receive(line.call.receive_unknown, Leg.OPENAI, str(kind))

    def receive_malformed(self, error: str) -> None:
        """Tell the call of a malformed event."""
        if self._line is not None:
            self._line.receive(self._line.call.receive_malformed, self.leg, error)

    def lose(self, reason: str) -> None:
        """Tell the call that the model is gone, and forget the call."""
        line, self._line = self._line, None
        if line is not None:
            line.receive(line.call.receive_disconnect, self.leg, reason)

    def refuse(self, refusal: Refusal) -> None:
        """Tell the call that the model is unavailable, and forget the call."""
        line, self._line = self._line, None
        if line is not None:
            line.receive(line.call.receive_disconnect, self.leg, refusal)

    def perform(self, event: openai.ClientEvent | openai.AppendAudio) -> None:
        """Send one event to the model."""
        if type(event) is openai.AppendAudio:
            self.appender.append(event.audio)
        else:
            self.send(event, openai.encode_into, False)
