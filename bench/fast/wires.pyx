# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The sockets of a load run's ends, and their WebSocket frames.

All sockets of a run are behind one epoll descriptor, which the event loop watches: one
wake-up serves all sockets that are ready. The kernel stamps received data, so that the
load generator's own delay is no part of a frame's latency. Messages that the kernel has
joined have the stamp of the last one, which is never too early.

`bench.dialling` does the handshakes.
"""

import asyncio

from cpython.bytes cimport (
    PyBytes_AS_STRING,
    PyBytes_FromStringAndSize,
    PyBytes_GET_SIZE,
)
from libc.errno cimport EAGAIN, errno
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef extern from "sys/socket.h" nogil:
    ssize_t send(int fd, const void *data, size_t size, int flags)
    int MSG_DONTWAIT, MSG_NOSIGNAL

cdef extern from "unistd.h" nogil:
    int close(int fd)

cdef extern from "sys/epoll.h" nogil:
    ctypedef union epoll_data_t:
        int fd
    struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_create1(int flags)
    int epoll_ctl(int epoll, int what, int fd, epoll_event *event)
    int epoll_wait(int epoll, epoll_event *events, int count, int timeout)
    int EPOLL_CTL_ADD, EPOLL_CTL_MOD, EPOLL_CLOEXEC
    uint32_t EPOLLIN, EPOLLOUT

cdef enum:
    CLOSE = 8
    PING = 9
    PONG = 10
    HEAD_BYTES = 14
    CHUNK_BYTES = 262_144
    EVENTS = 512

# Buffers for reading and sending; their content does not outlive the filling call.
cdef uint8_t chunk[CHUNK_BYTES]
cdef uint8_t made[CHUNK_BYTES]


cdef class Wires:
    """All wires of a run, behind one descriptor that the running loop watches."""

    def __cinit__(self):
        self.epoll = epoll_create1(EPOLL_CLOEXEC)
        self.living = {}

    def __dealloc__(self):
        close(self.epoll)

    cdef int watch(self, Wire wire, int what) except -1:
        """Ask epoll for input, and for room to send if data waits."""
        cdef epoll_event event
        event.events, event.data.fd = 0 if wire.is_resting else EPOLLIN, wire.fd
        if wire.waiting:
            event.events |= EPOLLOUT
        if epoll_ctl(self.epoll, what, wire.fd, &event):
            raise OSError(errno, "epoll")
        if not self.living:
            self.loop = asyncio.get_running_loop()
            self.loop.add_reader(self.epoll, self.receive)
        self.living[wire.fd] = wire
        return 0

    cdef int forget(self, Wire wire) except -1:
        if self.living.pop(wire.fd, None) is not None and not self.living:
            self.loop.remove_reader(self.epoll)
        return 0

    def receive(self):
        """Read from every socket that is ready."""
        cdef epoll_event events[EVENTS]
        cdef int count = epoll_wait(self.epoll, events, EVENTS, 0), at
        cdef Wire wire
        for at in range(count):
            wire = self.living.get(events[at].data.fd)
            if wire is not None and events[at].events & EPOLLOUT:
                wire.flush()
            if wire is not None and wire.fd >= 0 and events[at].events & ~EPOLLOUT:
                wire.receive()


cdef class Wire:
    """One open WebSocket; `end` takes its messages.

    A client's frames are masked and a server's are not. A peer that violates this, or
    sends anything but unfragmented texts, is disconnected.
    """

    def __cinit__(self):
        self.fd = -1

    def __dealloc__(self):
        if self.fd >= 0:
            close(self.fd)

    def __init__(
        self, Wires wires, socket, End end, bint is_client, tls=None, bytes rest=b""
    ):
        """Take ownership of the socket; `rest` is the data after the handshake."""
        self.wires, self.tls, self.fd = wires, tls, socket.detach()
        self.end, self.is_client = end, is_client
        self.waiting = b""
        stamp_all(self.fd)
        wires.watch(self, EPOLL_CTL_ADD)
        end.wire = self
        end.opened()
        self.left = rest[self.take_frames(rest, len(rest), clock_s(CLOCK_MONOTONIC)) :]

    # --- receiving ---

    cdef int receive(self) except -1:
        cdef size_t used = PyBytes_GET_SIZE(self.left), taken
        cdef uint8_t *data = chunk
        cdef double at
        cdef ssize_t got
        memcpy(chunk, PyBytes_AS_STRING(self.left), used)
        got = receive_stamped(self.fd, chunk + used, CHUNK_BYTES - used, &at)
        if got <= 0:
            if got == 0 or errno != EAGAIN:
                self.hang_up()
            return 0
        used += got
        if self.tls is not None:
            got = used - PyBytes_GET_SIZE(self.left)
            plain = self.left + self.tls.decrypt(chunk[used - got : used])
            data, used = <uint8_t *>PyBytes_AS_STRING(plain), len(plain)
        taken = self.take_frames(data, used, at)
        if used - taken >= CHUNK_BYTES // 2:
            self.hang_up()
        elif self.left or used > taken:
            self.left = data[taken : used]
        return 0

    cdef ssize_t take_frames(self, uint8_t *data, size_t used, double at) except -1:
        """Take every whole frame; return the size of all of them in bytes."""
        cdef size_t begin = 0, size, start
        cdef uint8_t *head
        cdef bint is_masked
        while self.fd >= 0 and used - begin >= 2:
            head = data + begin
            size, start, is_masked = head[1] & 0x7F, 2, head[1] >> 7
            if is_masked == self.is_client or not head[0] & 0x80:
                self.hang_up()
                break
            if size > 125:
                start = 4 if size == 126 else 10
                if used - begin < start:
                    break
                size = number_of(head + 2, start - 2)
            if used - begin < start + 4 * is_masked + size:
                break
            if is_masked:
                start += 4
                mask(head + start, size, head + start - 4)
            begin += start + size
            self.take(head[0] & 0x0F, head + start, size, at)
        return begin

    cdef int take(self, int kind, uint8_t *data, size_t size, double at) except -1:
        if kind == TEXT:
            self.end.take(data, size, at)
        elif kind == PING:
            self.send(PyBytes_FromStringAndSize(<char *>data, size), PONG)
        elif kind != PONG:
            self.hang_up()
        return 0

    # --- sending ---

    cpdef send(self, bytes data, int kind=TEXT):
        """Send one message."""
        self.put(kind, <const uint8_t *>PyBytes_AS_STRING(data), len(data))

    cdef int put(self, int kind, const uint8_t *data, size_t size) except -1:
        cdef size_t used = 2, at
        cdef uint32_t key
        if size > CHUNK_BYTES - HEAD_BYTES:
            raise ValueError(f"a message of {size} bytes is too long")
        made[0] = 0x80 | kind
        made[1] = size if size < 126 else 126 if size < 65_536 else 127
        if size >= 126:
            used = 4 if size < 65_536 else 10
            for at in range(2, used):
                made[at] = <uint64_t>size >> (8 * (used - 1 - at)) & 0xFF
        if self.is_client:
            key = next_key()
            memcpy(made + used, &key, 4)
            made[1] |= 0x80
            used += 4
        memcpy(made + used, data, size)
        if self.is_client:
            mask(made + used, size, made + used - 4)
        return self.write_out(made, used + size)

    def write(self, bytes data):
        """Send bytes as they are: whole frames, for a flood."""
        self.write_out(<const uint8_t *>PyBytes_AS_STRING(data), len(data))

    cdef int write_out(self, const uint8_t *data, size_t size) except -1:
        cdef ssize_t sent = 0
        if self.fd < 0:
            return 0
        if self.tls is not None:
            secret = self.tls.encrypt(data[:size])
            data, size = <const uint8_t *>PyBytes_AS_STRING(secret), len(secret)
        if not self.waiting:
            sent = max(0, send(self.fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL))
        if sent < <ssize_t>size:
            self.waiting += data[sent : size]
            self.wires.watch(self, EPOLL_CTL_MOD)
        return 0

    cdef int flush(self) except -1:
        """Send the data that waits."""
        cdef bytes data = self.waiting
        cdef ssize_t sent = send(
            self.fd, PyBytes_AS_STRING(data), len(data), MSG_DONTWAIT | MSG_NOSIGNAL
        )
        if sent > 0:
            self.waiting = data[sent:]
            self.wires.watch(self, EPOLL_CTL_MOD)
        return 0

    def rest(self, bint is_resting):
        """Stop reading, or resume."""
        if self.fd >= 0:
            self.is_resting = is_resting
            self.wires.watch(self, EPOLL_CTL_MOD)

    def say_goodbye(self):
        """Send a close frame; the other side closes the socket."""
        self.send(b"\x03\xe8", CLOSE)

    cpdef hang_up(self):
        """Close the socket."""
        if self.fd >= 0:
            self.wires.forget(self)
            close(self.fd)
            self.fd = -1
            self.end.wire = None
            self.end.closed()


cdef class End:
    """The receiver of a wire's messages. `wire` is None before and after."""

    def opened(self):
        """The wire is open."""

    def receive(self, data, at):
        """Take a message that came at a time, in s of the monotonic clock."""

    def closed(self):
        """The wire is closed, by either side."""

    cdef int take(self, const uint8_t *data, size_t size, double at) except -1:
        self.receive(PyBytes_FromStringAndSize(<const char *>data, size), at)
        return 0


cdef uint32_t last_key = 2_463_534_242


cdef inline uint32_t next_key() noexcept nogil:
    """Return the next of G. Marsaglia's xorshift numbers; the mask is no secret."""
    global last_key
    last_key ^= last_key << 13
    last_key ^= last_key >> 17
    last_key ^= last_key << 5
    return last_key


cdef inline uint64_t number_of(const uint8_t *data, size_t size) noexcept nogil:
    """Return a number in network order."""
    cdef uint64_t found = 0
    cdef size_t at
    for at in range(size):
        found = found << 8 | data[at]
    return found


cdef inline void mask(uint8_t *data, size_t size, const uint8_t *key) noexcept nogil:
    """Mask or unmask in place, eight bytes at a time."""
    cdef uint8_t twice[8]
    cdef uint64_t wide, some
    cdef size_t at = 0
    memcpy(twice, key, 4)
    memcpy(twice + 4, key, 4)
    memcpy(&wide, twice, 8)
    while at + 8 <= size:
        memcpy(&some, data + at, 8)
        some ^= wide
        memcpy(data + at, &some, 8)
        at += 8
    while at < size:
        data[at] ^= twice[at & 7]
        at += 1
