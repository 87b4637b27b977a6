"""Wire: audio as the messages it travels in, written in one pass.

Twilio and the model take audio as base64 in a small JSON object. Both objects are
constant except for the audio (and the stream's name), so this module writes them
directly into the buffer that is sent. The texts equal those of `openai.encode_into` and
`twilio.encode_into` (tests/bridge/wire/test_audio.py).
"""

from cpython.bytearray cimport (
    PyByteArray_AS_STRING,
    PyByteArray_GET_SIZE,
    PyByteArray_Resize,
)
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, strlen

from dsp.g711 cimport FRAME, FRAME_TEXT

# The room that picows requires before a message, to write its header there.
HEAD_ROOM = C_HEAD_ROOM

cdef enum:
    TEXT = 0x81                 # RFC 6455, 5.2: one whole message
    IN_TWO_BYTES = 126          # where the size is, if the second byte is too small
    IN_EIGHT_BYTES = 127
    TWO_BYTES_MAX = 65_535
    PAD = 61                    # =

cdef char *ALPHABET = (
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
)
cdef char *APPEND_BEGINS = b'{"type":"input_audio_buffer.append","audio":"'
cdef Py_ssize_t APPEND_BEGINS_SIZE = <Py_ssize_t> strlen(APPEND_BEGINS)
cdef char *APPEND_ENDS = b'"}'
cdef char *MEDIA_ENDS = b'"}}'
# The table takes 12 bits at a time: two characters for each lookup.
cdef uint8_t PAIRS[4096][2]


cdef void _fill() noexcept:
    cdef int i
    for i in range(4096):
        PAIRS[i][0] = <uint8_t> ALPHABET[i >> 6]
        PAIRS[i][1] = <uint8_t> ALPHABET[i & 63]


_fill()


cpdef append_into(bytearray buffer, bytes audio):
    """Write `input_audio_buffer.append` with `audio` after HEAD_ROOM bytes of room."""
    cdef Py_ssize_t size = PyBytes_GET_SIZE(audio)
    cdef Py_ssize_t begins = C_HEAD_ROOM + APPEND_BEGINS_SIZE
    cdef char *target
    PyByteArray_Resize(buffer, begins + 4 * ((size + 2) // 3) + 2)
    target = PyByteArray_AS_STRING(buffer) + C_HEAD_ROOM
    memcpy(target, APPEND_BEGINS, APPEND_BEGINS_SIZE)
    target = encode(
        target + APPEND_BEGINS_SIZE, <const uint8_t *> PyBytes_AS_STRING(audio), size
    )
    memcpy(target, APPEND_ENDS, 2)


def media_onto(bytearray burst not None, bytes begins not None, bytes frames not None):
    """Add a media message to `burst` for every frame, each with a server's header.

    `begins` is the message up to its audio. Raises ValueError for a partial frame.
    """
    cdef Py_ssize_t size = PyBytes_GET_SIZE(begins), i, at = PyByteArray_GET_SIZE(burst)
    cdef Py_ssize_t text = size + FRAME_TEXT + 3
    cdef Py_ssize_t count = PyBytes_GET_SIZE(frames) // FRAME
    cdef const uint8_t *source = <const uint8_t *> PyBytes_AS_STRING(frames)
    cdef char *target
    if PyBytes_GET_SIZE(frames) % FRAME:
        raise ValueError(
            f"expected whole frames of {FRAME} bytes, got {len(frames)} bytes"
        )
    PyByteArray_Resize(burst, at + count * (head_size(text) + text))
    target = PyByteArray_AS_STRING(burst) + at
    for i in range(count):
        target = write_head(target, text)
        memcpy(target, PyBytes_AS_STRING(begins), size)
        target = encode(target + size, source + i * FRAME, FRAME)
        memcpy(target, MEDIA_ENDS, 3)
        target += 3


def text_onto(bytearray burst not None, bytearray text not None):
    """Add a message to `burst`, with a server's header."""
    cdef Py_ssize_t size = PyByteArray_GET_SIZE(text), at = PyByteArray_GET_SIZE(burst)
    cdef char *target
    PyByteArray_Resize(burst, at + head_size(size) + size)
    target = write_head(PyByteArray_AS_STRING(burst) + at, size)
    memcpy(target, PyByteArray_AS_STRING(text), size)


cdef Py_ssize_t head_size(Py_ssize_t size) noexcept nogil:
    return 2 if size < IN_TWO_BYTES else 4 if size <= TWO_BYTES_MAX else 10


cdef char *write_head(char *target, Py_ssize_t size) noexcept nogil:
    """Write the header of a whole text message; return where its text begins."""
    cdef Py_ssize_t head = head_size(size), i
    target[0] = <char> TEXT
    if head == 2:
        target[1] = <char> size
    else:
        target[1] = <char> (IN_TWO_BYTES if head == 4 else IN_EIGHT_BYTES)
        for i in range(head - 1, 1, -1):
            target[i] = <char> (size & 0xFF)
            size >>= 8
    return target + head


cdef char *encode(char *target, const uint8_t *source, Py_ssize_t size) noexcept nogil:
    """Write `size` bytes in base64; return where the text ends."""
    cdef Py_ssize_t i
    cdef uint32_t group
    for i in range(0, size - 2, 3):
        group = source[i] << 16 | source[i + 1] << 8 | source[i + 2]
        memcpy(target, PAIRS[group >> 12], 2)
        memcpy(target + 2, PAIRS[group & 0xFFF], 2)
        target += 4
    if size % 3:
        group = source[size - size % 3] << 16
        if size % 3 == 2:
            group |= source[size - 1] << 8
        target[0] = ALPHABET[group >> 18]
        target[1] = ALPHABET[group >> 12 & 63]
        target[2] = ALPHABET[group >> 6 & 63] if size % 3 == 2 else <char> PAD
        target[3] = PAD
        target += 4
    return target
