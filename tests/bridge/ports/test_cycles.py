"""No request leaves a cycle: reference counts free it, whatever it was answered."""

import asyncio
import gc
import socket
from collections import Counter
from urllib.parse import urlencode

import pytest

from bridge.service import server
from bridge.telephony import signature
from tests.bridge import running_service, ws_peer

TIMES = 10


def get(path):
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


def post(at, path, signed=True, **fields):
    form = {"CallSid": running_service.new_sid(), **fields}
    url = at.server.public_url + path
    made = (
        signature.sign(running_service.AUTH_TOKEN, url, form.items()) if signed else ""
    )
    body = urlencode(form)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    return f"{head}X-Twilio-Signature: {made}\r\n\r\n{body}".encode()


REQUESTS = {
    "alive": lambda at: get("/healthz"),
    "ready": lambda at: get("/readyz"),
    "unknown path": lambda at: get("/nowhere"),
    "wrong method": lambda at: get("/twilio/voice"),
    "no websocket": lambda at: get("/twilio/media"),
    "two at once": lambda at: get("/healthz") * 2,
    "unsigned": lambda at: post(at, "/twilio/voice", signed=False),
    "forged": lambda at: post(at, "/twilio/voice").replace(b"CA0", b"CA1"),
    "no call": lambda at: post(at, "/twilio/voice", CallSid="../x"),
    "not utf-8": lambda at: post(at, "/twilio/voice").replace(b"CA00", b"C%ff"),
    "unknown number": lambda at: post(at, "/twilio/voice", To="+12025550199"),
    "call over": lambda at: post(at, "/twilio/call-status", CallStatus="completed"),
    "unknown call": lambda at: post(at, "/twilio/after-stream", To=at.number),
    "refused stream": lambda at: ws_peer.upgrade(),
    "cut body": lambda at: post(at, "/twilio/voice")[:-4],
    "encoded": lambda at: b"POST /twilio/voice HTTP/1.1\r\nContent-Encoding: x\r\n\r\n",
    "no http": lambda at: b"GET / HTTP/9\r\n\r\n",
    "second is no http": lambda at: get("/healthz") + b"GET / HTTP/9\r\n\r\n",
    "bad header": lambda at: b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    "head too large": lambda at: b"GET / HTTP/1.1\r\nX: " + b"a" * 17_000,
    "nothing": lambda at: b"",
    "database away": lambda at: post(at, "/twilio/voice", To=at.number),
    "full": lambda at: post(at, "/twilio/voice", To=at.number),
}


async def ask(at, data):
    """Send a request, wait for some answer and leave; the client has no cycles."""
    loop = asyncio.get_running_loop()
    with socket.socket() as client:
        client.setblocking(False)
        await loop.sock_connect(client, ("127.0.0.1", at.server.port))
        await loop.sock_sendall(client, data)
        client.shutdown(socket.SHUT_WR)
        while await loop.sock_recv(client, 65_536):
            pass
    await asyncio.sleep(0.002)


async def garbage_of(at, request):
    for _ in range(3):
        await ask(at, request(at))
    # What is there by now is not looked through: in a long run that takes a second.
    gc.freeze()
    gc.disable()
    try:
        for _ in range(TIMES):
            await ask(at, request(at))
        await asyncio.sleep(0.02)
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        return Counter(type(one).__qualname__ for one in gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.unfreeze()
        gc.enable()


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("loop", ws_peer.LOOPS.values(), ids=ws_peer.LOOPS)
def test_no_request_leaves_a_cycle(name, loop, own_url, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "RECORD_LOOK_S", 0.0)

    async def told():
        async with running_service.served(own_url, tmp_path) as at:
            if name == "database away":
                await at.database.close()
            at.server.switchboard.is_draining = name == "full"
            left = await garbage_of(at, REQUESTS[name])

            assert sum(left.values()) < TIMES, left.most_common(12)

    ws_peer.run(told, loop)
