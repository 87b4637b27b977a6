"""Backlog: whether a socket may be given more, by one rule for all that is sent.

picows accepts bytes without limit, so the size of the socket's write buffer is checked
first. Over AUDIO_WAITING_BYTES_MAX audio is dropped, because late audio is worse than
lost audio. Over WAITING_BYTES_MAX the peer does not read, and its socket is cut. The
owner of the socket counts and cuts.
"""

# Of 20 ms messages in base64 and TLS, 4.9 s to Twilio (331 bytes each) and 5.6 s to the
# model (294).
AUDIO_WAITING_BYTES_MAX = C_AUDIO_WAITING_BYTES_MAX
WAITING_BYTES_MAX = 1_048_576


cdef class Backlog:
    """The bytes that wait in one socket."""

    def open(self, transport, drop):
        """Watch this asyncio transport from here on.

        `drop(False)` is called for audio that is dropped, `drop(True)` for a peer that
        does not read.
        """
        self._size = transport.get_write_buffer_size
        self._drop = drop

    def close(self):
        """Accept nothing more: there is no socket."""
        self._size = self._drop = None

    cpdef bint takes(self, bint is_audio, Py_ssize_t before_bytes=0) except -1:
        """Tell whether the socket takes a message after `before_bytes` of others."""
        cdef Py_ssize_t waiting_bytes
        if self._size is None:
            return False
        waiting_bytes = self._size() + before_bytes
        if waiting_bytes <= C_AUDIO_WAITING_BYTES_MAX:
            return True
        if waiting_bytes > WAITING_BYTES_MAX:
            self._drop(True)
            return False
        if is_audio:
            self._drop(False)
        return not is_audio
