"""The media fast path: a usual frame of the caller's, compiled from end to end.

Nearly all messages of Twilio have one shape and hold 20 ms of audio, and nearly all of
them change only the uplink. `MediaFastPath.hear` reads such a message, passes its frame
to `MediaFastPath.take`, and returns in one small number what is left to do. It leaves
an unusual message untouched and returns UNUSUAL: `twilio.decode` and
`Call.receive_twilio` accept everything.

The fast and the slow path differ in how they read a message. All decisions about a
frame are in the methods of `MediaFastPath` from `lost_frames` to `is_double_talk` and
in `Uplink.has_turn_ended`; both paths use them (tests/bridge/media/test_fast_path.py).

Like its call, this class has no socket and no clock.
"""

from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp, strlen

from bridge.media.playout cimport Playout
from bridge.media.uplink cimport Uplink
from dsp.g711 cimport FRAME, FRAME_MS, FRAME_TEXT

UNUSUAL = C_UNUSUAL
GIVEN = C_GIVEN
NOTABLE = C_NOTABLE

cdef enum:
    TEXT_MAX = 1024             # Twilio's media messages have about 330 bytes
    DIGITS_MAX = 10             # `twilio.TIMESTAMP_DIGITS_MAX`
    QUOTE = 34                  # "
    COMMA = 44                  # ,
    ZERO = 48                   # 0
    COLON = 58                  # :
    PAD = 61                    # =
    BACKSLASH = 92
    OPENS = 123                 # {
    CLOSES = 125                # }
    # Several keys at once, and some marks; then as fast as a person presses keys
    # (`keypad.KEY_S`), or as marks come back, which is two a second.
    MESSAGES_AT_ONCE = 40
    MESSAGES_A_SECOND = 12
    # Audio that the fast path does not read: half a minute of delayed audio, and after
    # that twice the rate of a line.
    AUDIO_AT_ONCE = 1_500
    AUDIO_A_SECOND = 100
    # A malformed message counts as this many.
    MALFORMED_MESSAGES = 8
    FIRST_PRINTABLE = 32
    LAST_PRINTABLE = 126

# How often the log reports a voice.
cdef double VOICE_LINE_EVERY_S = 2.0

cdef char *ALPHABET = (
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
)
cdef uint8_t VALUES[256]        # of a base64 character; 64 for any other


cdef void _fill() noexcept:
    cdef int i
    for i in range(256):
        VALUES[i] = 64
    for i in range(64):
        VALUES[<uint8_t> ALPHABET[i]] = <uint8_t> i


_fill()


cdef class MediaFastPath:
    """The fast path of the caller's audio in one call.

    `is_open` says that usual frames may take this path. `given` holds the frames that
    must be sent to the model after a result with GIVEN.
    """

    def __init__(self, Uplink uplink not None, Playout playout not None):
        self._uplink = uplink
        self._playout = playout
        self._credit = MESSAGES_AT_ONCE
        self._credit_at = -1e300
        self._audio_credit = AUDIO_AT_ONCE
        self._audio_at = 0.0
        self._voice_logged_at = -1e300
        self.next_timestamp_ms = -1
        self.spoke_at = -1
        self.given = ()

    cpdef int hear(self, bytes data, double now) except? -2:
        """Take one message from Twilio, as text.

        Returns UNUSUAL and does nothing, or returns the flags GIVEN (there are frames
        for the model) and NOTABLE (the call must judge the frame).
        """
        if data is None:
            return C_UNUSUAL
        return self.hear_text(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), now)

    cdef int hear_text(
        self, const char *data, Py_ssize_t size, double now
    ) except? -2:
        """Take one message from Twilio in place, as `hear` does."""
        cdef const char *text = NULL
        cdef long long timestamp_ms = 0
        cdef bytes frame
        if not self.is_open or self.next_timestamp_ms < 0 or self._uplink.remainder:
            return C_UNUSUAL
        if size > TEXT_MAX or not read_media(data, size, &text, &timestamp_ms):
            return C_UNUSUAL
        if self.lost_frames(timestamp_ms):
            return C_UNUSUAL
        frame = PyBytes_FromStringAndSize(NULL, FRAME)
        if not decode_frame(
            <const uint8_t *> text, <uint8_t *> PyBytes_AS_STRING(frame)
        ):
            return C_UNUSUAL
        self.note_timestamp(timestamp_ms, FRAME)
        return self.take(frame, now, True)

    cpdef long long lost_frames(self, long long timestamp_ms):
        """Return how many frames the network lost before audio with this timestamp."""
        cdef long long lost_ms = timestamp_ms - self.next_timestamp_ms
        if self.next_timestamp_ms < 0 or lost_ms < FRAME_MS:
            return 0
        return lost_ms // FRAME_MS

    cpdef note_timestamp(self, long long timestamp_ms, Py_ssize_t payload_bytes):
        """Note when audio began: the next audio must begin where it ends."""
        self.next_timestamp_ms = timestamp_ms + payload_bytes * FRAME_MS // FRAME

    cpdef int take(self, bytes frame, double now, bint is_listening) except? -2:
        """Pass the uplink one frame; return GIVEN | NOTABLE, as `hear` does.

        `is_listening` says that the caller's present words may be sent to the model.
        """
        cdef Uplink uplink = self._uplink
        cdef Playout playout = self._playout
        cdef bint is_withheld = not is_listening or playout.is_playing(now)
        cdef int heard = 0
        self.rx_frames += 1
        self.given = uplink.admit(frame, playout.far_dbfs(now), is_withheld)
        if self.given:
            heard |= C_GIVEN
        if uplink.is_gate_open:
            self.spoke_at = now
        if (
            self.is_voice_line_due(now)
            or self.is_double_talk(now)
            or uplink.has_turn_ended()
        ):
            heard |= C_NOTABLE
        return heard

    cpdef bint is_voice_line_due(self, double now):
        """Tell whether the log must report a voice in the newest frame."""
        return (
            self._uplink.is_voice and now - self._voice_logged_at >= VOICE_LINE_EVERY_S
        )

    cpdef note_voice_line(self, double now):
        """Note that the log has reported the voice."""
        self._voice_logged_at = now

    cpdef bint is_double_talk(self, double now):
        """Tell whether there is a voice in the newest frame while playout goes on."""
        return self._uplink.is_voice and self._playout.is_playing(now)

    cpdef bint is_flood(self, bytes data, double now):
        """Count an unusual message; tell whether to drop it unread.

        Only audio has a payload. It may come in any order and with any whitespace, as
        fast as a delayed line delivers it, and no faster.
        """
        if b'"payload"' in data:
            self._audio_credit = min(
                <double> AUDIO_AT_ONCE,
                self._audio_credit + (now - self._audio_at) * AUDIO_A_SECOND,
            )
            self._audio_at = now
            if self._audio_credit >= 1.0:
                self._audio_credit -= 1.0
                return False
            self.flood_messages += 1
            return True
        self._credit = min(
            <double> MESSAGES_AT_ONCE,
            self._credit + (now - self._credit_at) * MESSAGES_A_SECOND,
        )
        self._credit_at = now
        if self._credit >= 1.0:
            self._credit -= 1.0
            return False
        self.flood_messages += 1
        return True

    def note_malformed(self):
        """Count a message that could not be read: fewer may follow."""
        self._credit = max(0.0, self._credit - MALFORMED_MESSAGES)


cdef bint read_media(
    const char *data, Py_ssize_t size, const char **payload, long long *timestamp_ms
) noexcept nogil:
    """Find the audio and the time of a media message in its usual shape.

    The usual shape is JSON in ASCII without whitespace or escapes. All values are
    strings except for one object, and each of the four names occurs once.
    """
    cdef Py_ssize_t at = 1, name_at, name_size, value_at, value_size
    cdef bint is_media = False, has_payload = False, has_time = False, is_payload
    cdef bint is_inside = False, was_inside = False
    if size < 2 or data[0] != OPENS:
        return False
    while True:
        name_at = at + 1
        name_size = string_size(data, at, size)
        if name_size < 0:
            return False
        at = name_at + name_size + 1
        if at + 1 >= size or data[at] != COLON:
            return False
        at += 1
        if data[at] == OPENS:
            if was_inside or not is_name(data, name_at, name_size, b"media"):
                return False
            is_inside = was_inside = True
            at += 1
            continue
        value_at = at + 1
        is_payload = is_inside and is_name(data, name_at, name_size, b"payload")
        if is_payload:
            # The characters of the payload are checked when it is decoded.
            value_size = FRAME_TEXT
            if (
                has_payload or value_at + FRAME_TEXT >= size
                or data[at] != QUOTE or data[value_at + FRAME_TEXT] != QUOTE
            ):
                return False
        else:
            value_size = string_size(data, at, size)
        if value_size < 0:
            return False
        at = value_at + value_size + 1
        if is_payload:
            has_payload = True
            payload[0] = data + value_at
        elif is_inside and is_name(data, name_at, name_size, b"timestamp"):
            if has_time or not read_digits(data + value_at, value_size, timestamp_ms):
                return False
            has_time = True
        elif not is_inside and is_name(data, name_at, name_size, b"event"):
            if is_media or not is_name(data, value_at, value_size, b"media"):
                return False
            is_media = True
        if at >= size:
            return False
        if data[at] == CLOSES and is_inside:
            is_inside = False
            at += 1
            if at >= size:
                return False
        if data[at] == CLOSES:
            return (
                at == size - 1 and not is_inside
                and is_media and has_payload and has_time
            )
        if data[at] != COMMA:
            return False
        at += 1


cdef Py_ssize_t string_size(
    const char *data, Py_ssize_t at, Py_ssize_t size
) noexcept nogil:
    """Return the length of the string that begins at the quote `at`; -1 if unusual."""
    cdef Py_ssize_t begin = at + 1
    if at >= size or data[at] != QUOTE:
        return -1
    at = begin
    while at < size:
        if data[at] == QUOTE:
            return at - begin
        # Whether char is signed or not, bytes over 0x7E and control characters fail.
        if not FIRST_PRINTABLE <= data[at] <= LAST_PRINTABLE or data[at] == BACKSLASH:
            return -1
        at += 1
    return -1


cdef bint is_name(
    const char *data, Py_ssize_t at, Py_ssize_t size, const char *name
) noexcept nogil:
    return <size_t> size == strlen(name) and memcmp(data + at, name, size) == 0


cdef bint read_digits(
    const char *text, Py_ssize_t size, long long *number
) noexcept nogil:
    cdef Py_ssize_t i
    cdef long long value = 0
    if size < 1 or size > DIGITS_MAX:
        return False
    for i in range(size):
        if not ZERO <= text[i] <= ZERO + 9:
            return False
        value = 10 * value + (text[i] - ZERO)
    number[0] = value
    return True


cdef bint decode_frame(const uint8_t *text, uint8_t *frame) noexcept nogil:
    """Decode FRAME_TEXT characters of base64, which end with "=", into a frame."""
    cdef int i, group
    cdef uint32_t a, b, c, d, bad = 0
    for i in range(FRAME // 3):
        a = VALUES[text[4 * i]]
        b = VALUES[text[4 * i + 1]]
        c = VALUES[text[4 * i + 2]]
        d = VALUES[text[4 * i + 3]]
        bad |= a | b | c | d
        group = <int> (a << 18 | b << 12 | c << 6 | d)
        frame[3 * i] = <uint8_t> (group >> 16)
        frame[3 * i + 1] = <uint8_t> (group >> 8 & 0xFF)
        frame[3 * i + 2] = <uint8_t> (group & 0xFF)
    # 160 = 53 groups of three and one byte: two digits and "==".
    a = VALUES[text[FRAME_TEXT - 4]]
    b = VALUES[text[FRAME_TEXT - 3]]
    bad |= a | b
    frame[FRAME - 1] = <uint8_t> (a << 2 | b >> 4)
    return (
        bad < 64 and b & 15 == 0
        and text[FRAME_TEXT - 2] == PAD and text[FRAME_TEXT - 1] == PAD
    )
