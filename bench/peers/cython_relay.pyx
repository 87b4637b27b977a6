# cython: language_level=3, boundscheck=False, wraparound=False
"""A bare relay in Cython: on epoll of its own, or as protocols of uvloop's.

    PORT=8080 OPENAI_REALTIME_URL=ws://... python -c '...; main()' epoll

Frames are parsed, searched and made in C; Python opens and closes sockets. A side that
does not take what it is sent, and one that sends more than PAYLOAD_MAX at a time, is
hung up on.
"""

import asyncio
import os
import socket
import sys
from urllib.parse import urlsplit

from common import UPDATE, answer_to

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.errno cimport EAGAIN, errno
from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, rand, realloc
from libc.string cimport memchr, memcpy, memmove, strlen

cdef extern from "string.h" nogil:
    void *memmem(const void *data, size_t size, const void *what, size_t length)

cdef extern from "sys/socket.h" nogil:
    ssize_t recv(int fd, void *into, size_t size, int flags)
    ssize_t send(int fd, const void *data, size_t size, int flags)
    int MSG_DONTWAIT, MSG_NOSIGNAL

cdef extern from "sys/epoll.h" nogil:
    ctypedef union epoll_data_t:
        int fd
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int what, int fd, epoll_event *event)
    int epoll_wait(int epoll, epoll_event *events, int count, int timeout)
    int EPOLL_CTL_ADD
    uint32_t EPOLLIN

cdef enum:
    TEXT = 1
    CLOSE = 8
    PING = 9
    PONG = 10
    HEAD_BYTES = 14
    PAYLOAD_MAX = 65_000
    CHUNK_BYTES = 65_536
    EVENTS = 256

cdef const char *APPEND = b'{"type":"input_audio_buffer.append","audio":"'
cdef const char *DELTA = b'"response.output_audio.delta"'

# What is being sent: nothing of it outlives a call of `write`.
cdef uint8_t made[HEAD_BYTES + PAYLOAD_MAX + 256]

PORT, MODEL = int(os.environ["PORT"]), urlsplit(os.environ["OPENAI_REALTIME_URL"])
UPGRADE = (
    f"GET {MODEL.path} HTTP/1.1\r\nHost: {MODEL.netloc}\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: a29sYnJpZGdlIGJlbmNoIQ==\r\n\r\n"
).encode()


cdef struct Text:
    const uint8_t *data
    size_t size


cdef inline bint field(Text message, const char *name, Text *found) noexcept nogil:
    """Find the text of a JSON field."""
    cdef const uint8_t *end = message.data + message.size
    cdef const uint8_t *at = <const uint8_t *>memmem(
        message.data, message.size, name, strlen(name)
    )
    if at == NULL:
        return False
    at += strlen(name)
    at = <const uint8_t *>memchr(at, c'"', end - at)
    if at == NULL:
        return False
    found.data = at + 1
    at = <const uint8_t *>memchr(found.data, c'"', end - found.data)
    if at == NULL:
        return False
    found.size = at - found.data
    return True


cdef class Side:
    """One socket of a call; what goes to the model is masked."""

    cdef bint is_model, is_stream, is_over
    cdef Side other
    cdef bytes stream_sid
    cdef uint8_t *data
    cdef size_t used, room

    def __dealloc__(self):
        free(self.data)

    cdef void write(self, const uint8_t *data, size_t size):
        """Send bytes at once, or hang up."""

    cdef void hang_up(self):
        """Close the socket."""

    cdef Side dial(self):
        """Open a socket to the model."""

    cdef void end(self):
        """Close both sides of the call."""
        if not self.is_over:
            self.is_over = True
            self.hang_up()
            if self.other is not None:
                self.other.end()

    cdef uint8_t *more(self, size_t size):
        """Return where to put so many bytes."""
        if self.used + size > self.room:
            self.room = 2 * (self.used + size)
            self.data = <uint8_t *>realloc(self.data, self.room)
            if self.data == NULL:
                os.abort()
        return self.data + self.used

    cdef void forget(self, size_t size):
        self.used -= size
        memmove(self.data, self.data + size, self.used)

    cdef void received(self):
        """Take what has come into `data`."""
        if not self.is_stream:
            self.shake_hands()
        if self.is_stream:
            self.take_frames()

    cdef void shake_hands(self):
        """Answer a request, or take the answer to ours."""
        data = PyBytes_FromStringAndSize(<char *>self.data, self.used)
        if self.is_model:
            head, over, _ = data.partition(b"\r\n\r\n")
            if over and b" 101 " in head:
                self.is_stream = True
                self.forget(len(head) + len(over))
                self.say(TEXT, UPDATE.encode())
            elif over:
                self.end()
            return
        found = answer_to(data, PORT)
        if found is not None:
            answer, size, self.is_stream = found
            self.forget(size)
            self.write(answer, len(answer))
            if self.is_stream:
                self.stream_sid = b""
                self.other = self.dial()

    cdef void take_frames(self):
        """Relay every whole frame; fragments are not spoken here."""
        cdef size_t at = 0, size, start, mask_at
        cdef uint8_t *head
        cdef Text message
        cdef bint is_masked
        while not self.is_over and self.used - at >= 2:
            head = self.data + at
            size, start, is_masked = head[1] & 0x7F, 2, head[1] >> 7
            if size == 127:
                self.end()
                return
            if size == 126:
                start = 4
                size = <size_t>head[2] << 8 | head[3]
            mask_at = start
            start += 4 * is_masked
            if self.used - at < start + size:
                break
            if is_masked:
                mask(head + start, size, head + mask_at)
            message.data, message.size = head + start, size
            if head[0] & 0x0F == TEXT:
                self.relay(message)
            elif head[0] & 0x0F == PING:
                self.say(PONG, PyBytes_FromStringAndSize(<char *>message.data, size))
            elif head[0] & 0x0F == CLOSE:
                self.end()
            at += start + size
        self.forget(min(at, self.used))

    cdef void relay(self, Text message):
        cdef Text found
        if self.is_model:
            if memmem(message.data, message.size, DELTA, strlen(DELTA)) == NULL:
                return
            if field(message, b'"delta"', &found):
                self.other.put(
                    b'{"event":"media","streamSid":"%b","media":{"payload":"'
                    % self.other.stream_sid,
                    found,
                    b'"}}',
                )
        elif field(message, b'"payload"', &found):
            if self.other is not None and self.other.is_stream:
                self.other.put(APPEND, found, b'"}')
        elif field(message, b'"streamSid"', &found):
            self.stream_sid = PyBytes_FromStringAndSize(<char *>found.data, found.size)

    cdef void say(self, int opcode, bytes data):
        cdef Text text
        text.data, text.size = data, len(data)
        self.put(b"", text, b"", opcode)

    cdef void put(
        self, const char *before, Text text, const char *after, int opcode=TEXT
    ):
        """Send one message in three parts."""
        cdef size_t first = strlen(before), last = strlen(after)
        cdef size_t size = first + text.size + last, used = 2
        cdef uint32_t key
        if text.size > PAYLOAD_MAX:
            self.end()
            return
        made[0] = 0x80 | opcode
        made[1] = size if size < 126 else 126
        if size >= 126:
            made[2], made[3] = size >> 8, size & 0xFF
            used = 4
        if self.is_model:
            key = rand()
            memcpy(made + used, &key, 4)
            made[1] |= 0x80
            used += 4
        memcpy(made + used, before, first)
        memcpy(made + used + first, text.data, text.size)
        memcpy(made + used + first + text.size, after, last)
        if self.is_model:
            mask(made + used, size, made + used - 4)
        self.write(made, used + size)


cdef inline void mask(uint8_t *data, size_t size, const uint8_t *key) noexcept nogil:
    cdef size_t at
    for at in range(size):
        data[at] ^= key[at & 3]


# --- on epoll ---

cdef int epoll = -1
cdef dict living = {}


cdef class Socket(Side):
    cdef object socket
    cdef int fd

    def __init__(self, opened):
        cdef epoll_event event
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket, self.fd = opened, opened.fileno()
        living[self.fd] = self
        event.events, event.data.fd = EPOLLIN, self.fd
        epoll_ctl(epoll, EPOLL_CTL_ADD, self.fd, &event)

    cdef void write(self, const uint8_t *data, size_t size):
        if not self.is_over:
            if send(self.fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL) != <ssize_t>size:
                self.end()

    cdef void hang_up(self):
        del living[self.fd]
        self.socket.close()

    cdef Side dial(self):
        cdef Socket model
        try:
            opened = socket.create_connection((MODEL.hostname, MODEL.port))
        except OSError:
            self.end()
            return None
        model = Socket(opened)
        model.is_model, model.other = True, self
        model.write(UPGRADE, len(UPGRADE))
        return model

    cdef void receive(self):
        cdef ssize_t got = recv(
            self.fd, self.more(CHUNK_BYTES), CHUNK_BYTES, MSG_DONTWAIT
        )
        if got > 0:
            self.used += got
            self.received()
        elif got == 0 or errno != EAGAIN:
            self.end()


def serve_on_epoll():
    """Serve until killed."""
    cdef epoll_event events[EVENTS]
    cdef int count, at
    cdef Socket side
    global epoll
    epoll = epoll_create1(0)
    listener = socket.create_server(("127.0.0.1", PORT), backlog=512)
    events[0].events, events[0].data.fd = EPOLLIN, listener.fileno()
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener.fileno(), events)
    while True:
        with nogil:
            count = epoll_wait(epoll, events, EVENTS, -1)
        for at in range(count):
            side = living.get(events[at].data.fd)
            if side is not None:
                side.receive()
            elif events[at].data.fd == listener.fileno():
                Socket(listener.accept()[0])


# --- on uvloop ---


cdef class Protocol(Side):
    cdef object transport, write_out, dialling

    def connection_made(self, transport):
        self.transport, self.write_out = transport, transport.write
        if self.is_model:
            self.write(UPGRADE, len(UPGRADE))

    def data_received(self, bytes data):
        memcpy(self.more(len(data)), <char *>data, len(data))
        self.used += len(data)
        self.received()

    def eof_received(self):
        self.end()

    def connection_lost(self, error):
        self.end()

    def pause_writing(self):
        self.end()

    def resume_writing(self):
        """It is hung up on by then."""

    cdef void write(self, const uint8_t *data, size_t size):
        if not self.is_over:
            self.write_out(PyBytes_FromStringAndSize(<char *>data, size))

    cdef void hang_up(self):
        if self.transport is not None:
            self.transport.abort()

    cdef Side dial(self):
        model = Protocol()
        model.is_model, model.other = True, self
        loop = asyncio.get_running_loop()
        opening = loop.create_connection(lambda: model, MODEL.hostname, MODEL.port)
        self.dialling = loop.create_task(opening)
        return model


async def serve_on_loop():
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Protocol, "127.0.0.1", PORT, backlog=512)
    await server.serve_forever()


def main():
    """Serve in the way the first argument says: epoll or uvloop."""
    if sys.argv[1] == "epoll":
        serve_on_epoll()
        return
    import uvloop

    uvloop.run(serve_on_loop())
