"""The fast path: a usual frame from socket to socket, in one compiled call.

`MediaFastPath` reads the frame and decides; this module connects it to the sockets. An
unusual frame is left untouched for `TwilioLeg.receive` and `CallDriver.receive`, which
accept everything.
"""

from picows.picows cimport WSFrame, WSListener, WSMsgType, WSTransport

from picows import WSMsgType as MESSAGE_TYPES

from bridge.line.backlog cimport Backlog
from bridge.media.fast_path cimport C_GIVEN, C_NOTABLE, C_UNUSUAL, MediaFastPath
from bridge.wire.audio cimport C_HEAD_ROOM, append_into

# Access to an attribute of an enum costs as much as ten local variables.
cdef object TEXT = MESSAGE_TYPES.TEXT
# All calls write their audio here: picows has sent or copied it when it returns.
cdef bytearray BUFFER = bytearray()


cdef class Appender:
    """Sends the model audio while its socket is open."""

    cdef object _send
    cdef Backlog _backlog

    def __init__(self, Backlog backlog not None):
        self._backlog = backlog

    def open(self, transport):
        """Use this transport of picows' from here on."""
        self._send = transport.send_reuse_external_bytearray

    def close(self):
        """Drop all audio from here on: there is no socket."""
        self._send = None

    cpdef append(self, bytes audio):
        """Send the model a piece of the caller's audio, unless too much waits."""
        if self._send is None or not self._backlog.takes(True):
            return
        append_into(BUFFER, audio)
        self._send(TEXT, BUFFER, C_HEAD_ROOM)


cdef class SocketFastPath:
    """The fast path of one call; shut until `is_open` is set.

    `appender` belongs to the model's present leg, and is replaced with it.
    """

    cdef MediaFastPath _fast_path
    cdef object _clock
    cdef public Appender appender
    cdef public bint is_open

    def __init__(
        self, MediaFastPath fast_path not None, Appender appender not None, clock
    ):
        self._fast_path = fast_path
        self._clock = clock
        self.appender = appender

    cdef int hear(self, const char *data, Py_ssize_t size) except? -2:
        """Send the model the audio of a frame; returns as `MediaFastPath.hear`."""
        cdef int heard
        if not self.is_open:
            return C_UNUSUAL
        heard = self._fast_path.hear_text(data, size, self._clock())
        if heard > 0 and heard & C_GIVEN:
            for given in self._fast_path.given:
                self.appender.append(given)
        return heard

    cdef bint is_flood(self, bytes data) except? True:
        return self._fast_path.is_flood(data, self._clock())


cdef class CallerListener(WSListener):
    """The picows listener of a caller's socket.

    An unusual frame goes to `leg.receive_frame`. A frame that the call must judge calls
    `weigh` of its line, a bug of the bridge calls `crash`. Frames that come too fast
    are dropped unread, and `leg.rest` stops reading for a while.
    """

    cdef object _leg
    # The leg's line, once its call is known.
    cdef object _line
    cdef SocketFastPath _fast_path

    def __init__(self, leg):
        self._leg = leg

    cpdef on_ws_connected(self, WSTransport transport):
        """Tell the leg."""
        self._leg.on_ws_connected(transport)

    cpdef on_ws_frame(self, WSTransport transport, WSFrame frame):
        """Take a frame of Twilio's; its memory is valid until this returns."""
        if self._line is None:
            self._leg.receive_frame(transport, frame)
            self._line = self._leg.line
            if self._line is not None:
                self._fast_path = self._line.fast_path
            return
        line = self._line
        try:
            if self._took(frame):
                return
        except Exception:
            line.crash()
            return
        self._leg.receive_frame(transport, frame)

    cpdef on_ws_disconnected(self, WSTransport transport):
        """Tell the leg, and release it."""
        leg = self._leg
        self._leg = self._line = self._fast_path = None
        leg.on_ws_disconnected(transport)

    cpdef pause_writing(self):
        """Tell the leg that its peer does not read."""
        if self._leg is not None:
            self._leg.pause_writing()

    cpdef resume_writing(self):
        """Tell the leg that its peer reads again."""
        if self._leg is not None:
            self._leg.resume_writing()

    cdef bint _took(self, WSFrame frame) except -1:
        """Take a frame that is usual, or that is dropped unread."""
        cdef int heard
        if frame.msg_type != WSMsgType.TEXT or not frame.fin:
            return False
        heard = self._fast_path.hear(frame.payload_ptr, frame.payload_size)
        if heard == C_UNUSUAL:
            if not self._fast_path.is_flood(frame.get_payload_as_bytes()):
                return False
            self._leg.rest()
        elif heard & C_NOTABLE:
            self._line.weigh()
        return True
