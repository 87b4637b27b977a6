"""A connection that yields no socket is noticed at once, whatever it does instead."""

import socket
from functools import partial
from time import monotonic

import pytest

from tests.bridge import loopback, ws_peer

RESET = b"\1\0\0\0\0\0\0\0"
SOON_S = 2.0


async def odd(answer, reader, writer):
    """Answer a handshake with something else than a socket."""
    if answer != "closed":
        await reader.readuntil(b"\r\n\r\n")
    if answer == "reset":
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()
        return
    if isinstance(answer, bytes):
        writer.write(answer)
        await writer.drain()
    writer.close()


@pytest.mark.parametrize("loop", ws_peer.LOOPS)
@pytest.mark.parametrize(
    "answer",
    [
        "closed",
        "closed later",
        "reset",
        b"HTTP/1.1 101 Switching Proto",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\xff\xfe\x00\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 No\r\nX: " + b"a" * 40_000 + b"\r\n\r\n",
    ],
    ids=lambda one: str(one)[:30],
)
def test_what_is_no_socket_is_refused_at_once_and_tried_again(answer, loop):
    async def told():
        async with loopback.opened() as place:
            began = monotonic()
            place.model.oddities.append(partial(odd, answer))
            line = place.new_driver()
            model = await place.open_model()
            assert monotonic() - began < SOON_S
            model.send_text(loopback.CREATED)
            assert (await model.event())["type"] == "session.update"
            model.send_text(loopback.UPDATED)
            await ws_peer.until(lambda: line.call.is_session_ready)

            assert line.call.counters.retried_handshakes == 1
            await model.close()

    ws_peer.run(told, ws_peer.LOOPS[loop])


@loopback.told
async def test_an_answer_that_says_when_is_heeded(place):
    place.model.status = b"429 Too Many Requests\r\nRetry-After: 3\r\nContent-Length: 0"
    line = place.new_driver()
    line.open_model()
    peer = await place.model.peers.get()
    await ws_peer.until(lambda: line.call.counters.retried_handshakes == 1)

    assert 2.5 < line.call.deadline - monotonic() <= 3.0
    await peer.close()
