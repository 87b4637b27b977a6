"""The short way: a usual frame from socket to socket, in one compiled call.

`Ear` reads the frame and decides; here it meets the sockets. Whatever is not usual is
left untouched, for `TwilioLeg.receive` and `Line.receive`, which take everything.
"""

from picows import WSMsgType

from bridge.ear cimport C_GIVEN, C_NOTABLE, C_UNUSUAL, Ear
from bridge.wire cimport C_HEAD_ROOM, append_into

# An attribute of an enumeration costs as much as ten locals.
cdef object TEXT = WSMsgType.TEXT
# All calls write their audio here: picows has sent or copied it when it returns.
cdef bytearray BUFFER = bytearray()


cdef class Appender:
    """What gives the model audio, while its socket is open.

    Over `waiting_bytes_max` in the socket, `is_too_much(waiting_bytes, True)` is asked
    and told; if it is, the audio is dropped.
    """

    cdef object _send
    cdef object _waiting_bytes
    cdef object _is_too_much
    cdef Py_ssize_t _waiting_bytes_max

    def __init__(self, Py_ssize_t waiting_bytes_max):
        self._waiting_bytes_max = waiting_bytes_max

    def open(self, transport, is_too_much):
        """Use this transport of picows' from here on."""
        self._is_too_much = is_too_much
        self._send = transport.send_reuse_external_bytearray
        self._waiting_bytes = transport.underlying_transport.get_write_buffer_size

    def close(self):
        """Drop whatever comes: there is no socket."""
        self._send = self._waiting_bytes = self._is_too_much = None

    cpdef append(self, bytes audio):
        """Give the model a piece of the caller's audio, unless too much waits."""
        cdef Py_ssize_t waiting_bytes
        if self._send is None:
            return
        waiting_bytes = self._waiting_bytes()
        if waiting_bytes > self._waiting_bytes_max:
            if self._is_too_much(waiting_bytes, True):
                return
        append_into(BUFFER, audio)
        self._send(TEXT, BUFFER, C_HEAD_ROOM)


cdef class ShortWay:
    """The short way of one call; shut until `is_open` is set.

    `appender` is that of the model's leg, and another when it has another.
    """

    cdef Ear _ear
    cdef object _clock
    cdef object _leg
    cdef object _line
    cdef public Appender appender
    cdef public bint is_open

    def __init__(self, Ear ear not None, Appender appender not None, clock):
        self._ear = ear
        self._clock = clock
        self.appender = appender

    def begin(self, leg, line):
        """Lead from this leg of Twilio's; `line` is told what is left to do."""
        self._leg = leg
        self._line = line

    def end(self):
        """Lead nowhere: the stream is over."""
        self._leg = self._line = None

    def take(self, transport, frame):
        """Take a WebSocket frame of Twilio's, as picows hands it over.

        One that is not usual goes to `leg.receive_frame`, one that must be weighed to
        `line.weigh`, a bug of ours to `line.crash`. What comes too fast is dropped
        unread, and `leg.rest` told to read no more for a while.
        """
        cdef int heard = C_UNUSUAL
        cdef bytes data
        if frame.msg_type is TEXT and frame.fin:
            data = frame.get_payload_as_bytes()
            try:
                if self.is_open:
                    heard = self._hear(data)
                if heard == C_UNUSUAL and self._ear.is_flood(data, self._clock()):
                    self._leg.rest()
                    return
            except Exception:
                self._line.crash()
                return
        if heard == C_UNUSUAL:
            self._leg.receive_frame(transport, frame)

    cdef int _hear(self, bytes data) except? -2:
        cdef int heard = self._ear.hear(data, self._clock())
        if heard > 0:
            if heard & C_GIVEN:
                for given in self._ear.given:
                    self.appender.append(given)
            if heard & C_NOTABLE:
                self._line.weigh()
        return heard
