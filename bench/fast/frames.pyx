# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The frames of a load run: what both ends of a call do fifty times a second.

The first nine samples of a frame are its name: twelve characters in base64. Nothing
else of a frame is read. Its latency is from before it is sent until the kernel has
received it.
"""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memchr, memcmp, memcpy, strlen

from bench.fast.wires cimport CLOCK_MONOTONIC, TEXT, End, clock_s

cdef extern from "string.h" nogil:
    void *memmem(const void *data, size_t size, const void *what, size_t length)

cdef enum:
    TAG = 12
    NAME_EVERY = 5
    # The default of TURN_SILENCE_MS.
    TURN_SILENCE = 25
    HEAD_BYTES = 256
    PAYLOAD_BYTES = 216

TAG_CHARACTERS, TAG_EVERY, TURN_SILENCE_FRAMES = TAG, NAME_EVERY, TURN_SILENCE
# A longer gap in the caller's playout is a pause between two replies.
cdef double UNDERRUN_MAX_S = 1.0
cdef double BASE64_CHARACTERS_A_SECOND = 8_000 * 4 / 3
cdef const char *BASE64 = (
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
)
cdef const char *SILENT = b"////////////"
cdef const char *APPEND = b'{"type":"input_audio_buffer.append"'
cdef const char *MEDIA = b'{"event":"media"'
cdef const char *MEDIA_FORM = (
    b'{"event":"media","sequenceNumber":"%ld","streamSid":"%s","media":{"track":'
    b'"inbound","chunk":"%ld","timestamp":"%ld","payload":"'
)


cdef class Tally:
    """When each named frame was sent, its latency, and other counts."""

    cdef public dict sent_at
    cdef public list uplink_ms, downlink_ms
    cdef public long sent_frames, appended_frames, underruns

    def __cinit__(self):
        Tally.forget(self)

    def forget(self):
        """Begin a new phase: discard the measurements so far."""
        self.sent_at, self.uplink_ms, self.downlink_ms = {}, [], []
        self.sent_frames = self.appended_frames = self.underruns = 0

    cdef int arrived(self, const uint8_t *tag, list into, double at) except -1:
        """Note that a frame has come out, if it has a name."""
        sent_at = self.sent_at.pop(PyBytes_FromStringAndSize(<char *>tag, TAG), None)
        if sent_at is not None:
            into.append((at - <double>sent_at) * 1e3)
        return 0


cdef class CallerEnd(End):
    """The caller's end of one call: `speech` in base64, one string a frame."""

    cdef Tally tally
    cdef readonly list speech
    cdef bytes quiet, stream_sid
    # Whether `receive` gets frames, too.
    cdef public bint reads_all
    cdef readonly int number
    cdef public long frames
    cdef double plays_until

    def __init__(self, Tally tally, int number, list speech, bytes quiet, str sid):
        self.tally, self.number, self.speech = tally, number, speech
        self.quiet, self.stream_sid = quiet, sid.encode()

    cpdef send_frame(self, bint is_speaking):
        """Send the next 20 ms: speech, or the silence of a quiet line."""
        cdef char made[HEAD_BYTES + PAYLOAD_BYTES + 3]
        cdef bytes payload = self.quiet
        cdef size_t used
        self.frames += 1
        if is_speaking:
            self.tally.sent_frames += 1
            payload = self.named(self.speech[self.frames % len(self.speech)])
        if self.wire is None:
            return
        assert len(payload) == PAYLOAD_BYTES, "a frame is 20 ms"
        used = snprintf(
            made, HEAD_BYTES, MEDIA_FORM, self.frames,
            PyBytes_AS_STRING(self.stream_sid), self.frames, self.frames * 20,
        )
        memcpy(made + used, PyBytes_AS_STRING(payload), PAYLOAD_BYTES)
        memcpy(made + used + PAYLOAD_BYTES, b'"}}', 3)
        self.wire.put(TEXT, <uint8_t *>made, used + PAYLOAD_BYTES + 3)

    cpdef bytes named(self, bytes payload):
        """Return a frame of speech; every NAME_EVERY-th has a name and is noted."""
        if self.frames % NAME_EVERY:
            return payload
        tag = tag_of(1, self.number, self.frames)
        self.tally.sent_at[tag] = clock_s(CLOCK_MONOTONIC)
        return tag + payload[TAG:]

    def pause(self):
        """Note that the load pauses here: audio that runs out now is no underrun."""
        self.plays_until = 0.0

    cdef int take(self, const uint8_t *data, size_t size, double at) except -1:
        if self.reads_all or not begins(data, size, MEDIA):
            return End.take(self, data, size, at)
        return self.play(data, size, at)

    def hear(self, bytes data, double at):
        """Take a message of audio, for an end that reads all messages."""
        self.play(<const uint8_t *>PyBytes_AS_STRING(data), len(data), at)

    cdef int play(self, const uint8_t *data, size_t size, double at) except -1:
        """Add audio to the caller's playout; note if the audio before had run out."""
        cdef size_t length
        cdef const uint8_t *audio = text_of(data, size, b'"payload":', &length)
        self.tally.arrived(audio, self.tally.downlink_ms, at)
        if 0 < at - self.plays_until < UNDERRUN_MAX_S:
            self.tally.underruns += 1
        self.plays_until = max(self.plays_until, at)
        self.plays_until += length / BASE64_CHARACTERS_A_SECOND
        return 0


cdef class ModelEnd(End):
    """The model's end of one call, which detects when a turn begins and ends."""

    cdef Tally tally
    # Whether `receive` gets frames, too.
    cdef public bint reads_all
    cdef long appended
    cdef int silent_frames

    def __init__(self, Tally tally):
        self.tally, self.silent_frames = tally, TURN_SILENCE + 1

    cdef int take(self, const uint8_t *data, size_t size, double at) except -1:
        cdef size_t length
        cdef const uint8_t *audio
        if self.reads_all or not begins(data, size, APPEND):
            return End.take(self, data, size, at)
        audio = text_of(data, size, b'"audio":', &length)
        self.tally.appended_frames += 1
        self.tally.arrived(audio, self.tally.uplink_ms, at)
        self.detect_turn(not memcmp(audio, SILENT, TAG))
        return 0

    cdef int detect_turn(self, bint is_silent) except -1:
        """End the caller's turn as server_vad does; a silent turn never begins."""
        self.appended += 1
        if not is_silent:
            if self.silent_frames > TURN_SILENCE:
                self.turn_begins()
            self.silent_frames = 0
            return 0
        self.silent_frames += 1
        if self.silent_frames == TURN_SILENCE:
            self.silent_frames += 1
            self.turn_ends(20 * (self.appended - TURN_SILENCE))
        return 0


def tick(list calls, bytes speaking, bytes due, int step, shape):
    """Send the next frame of each call of a slot; have the model send due deltas.

    `calls` are numbers, callers and models. The two strings tell for each place of a
    period whether the caller speaks and whether a delta may come.
    """
    cdef CallerEnd caller
    cdef long place
    cdef int number
    for number, caller, model in calls:
        place = (caller.frames + number * step) % len(speaking)
        caller.send_frame(speaking[place])
        if due[place]:
            model.go_on(number, place, shape)


cpdef bytes tag_of(int kind, int call, int number):
    """Return the name of a frame: nine almost silent mu-law samples, in base64."""
    cdef char text[TAG]
    cdef uint64_t name = <uint64_t>(kind & 0xF) << 32
    cdef uint32_t three
    cdef int at
    name |= <uint64_t>(call & 0xFFFF) << 16 | (number & 0xFFFF)
    for at in range(TAG):
        three = 0xF0F0F0 | (
            (name >> (32 - at // 4 * 12) & 0xF) << 16
            | (name >> (28 - at // 4 * 12) & 0xF) << 8
            | (name >> (24 - at // 4 * 12) & 0xF)
        )
        text[at] = BASE64[three >> (18 - at % 4 * 6) & 0x3F]
    return PyBytes_FromStringAndSize(text, TAG)


cdef inline const uint8_t *text_of(
    const uint8_t *data, size_t size, const char *name, size_t *length
) except NULL:
    """Return a JSON field's text: base64, long enough to have a name."""
    cdef const uint8_t *end = data + size
    cdef const uint8_t *at = <const uint8_t *>memmem(data, size, name, strlen(name))
    if at != NULL:
        at += strlen(name)
        at = <const uint8_t *>memchr(at, c'"', end - at)
    cdef const uint8_t *last = NULL
    if at != NULL:
        at += 1
        last = <const uint8_t *>memchr(at, c'"', end - at)
    if last == NULL or last - at < TAG:
        raise ValueError(f"{name.decode()} holds no audio: {data[:min(size, 200)]!r}")
    length[0] = last - at
    return at


cdef inline bint begins(
    const uint8_t *data, size_t size, const char *with_what
) noexcept nogil:
    return size >= strlen(with_what) and not memcmp(data, with_what, strlen(with_what))
