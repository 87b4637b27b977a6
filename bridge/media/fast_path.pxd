"""The types of `fast_path.pyx`, for the fast path that leads through it."""

from bridge.media.playout cimport Playout
from bridge.media.uplink cimport Uplink

cdef enum:
    C_UNUSUAL = -1
    C_GIVEN = 1
    C_NOTABLE = 2


cdef class MediaFastPath:
    cdef Uplink _uplink
    cdef Playout _playout
    # How many messages other than audio may come, as of `_credit_at`.
    cdef double _credit
    cdef double _credit_at
    cdef double _audio_credit
    cdef double _audio_at
    cdef public bint is_open
    cdef public long long rx_frames
    # The number of messages dropped unread.
    cdef readonly long long flood_messages
    # -1 until the first timestamp.
    cdef public long long next_timestamp_ms
    # When the gate was last open, for the owner of the call; -1 once it was read.
    cdef public double spoke_at
    cdef double _voice_logged_at
    cdef readonly object given

    cpdef int hear(self, bytes data, double now) except? -2
    cdef int hear_text(self, const char *data, Py_ssize_t size, double now) except? -2
    cpdef long long lost_frames(self, long long timestamp_ms)
    cpdef note_timestamp(self, long long timestamp_ms, Py_ssize_t payload_bytes)
    cpdef int take(self, bytes frame, double now, bint is_listening) except? -2
    cpdef bint is_voice_line_due(self, double now)
    cpdef note_voice_line(self, double now)
    cpdef bint is_double_talk(self, double now)
    cpdef bint is_flood(self, bytes data, double now)
