"""What a request may cost before Twilio's signature over it is checked: its head."""

import zlib

import pytest

from bridge.ports import authentication
from bridge.telephony import signature
from tests.bridge import running_service, ws_peer

FORM = "application/x-www-form-urlencoded"
SUBACCOUNT, SUB_TOKEN = "AC" + "5" * 32, "sub-token"
KEYED = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"


def run(story_of, embedded_url, home, **settings):
    async def told():
        async with running_service.served(embedded_url, home, **settings) as at:
            await story_of(at)

    ws_peer.run(told)


async def post(at, body, path="/twilio/voice", **headers):
    """POST bytes as they are, signed by whatever the headers say."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join(
        [f"POST {path} HTTP/1.1", "Host: x", f"Content-Type: {FORM}", *lines]
    )
    if "Transfer_Encoding" not in headers:
        head += f"\r\nContent-Length: {len(body)}"
    status, _ = await at.request(head.encode() + b"\r\n\r\n" + body)
    return status


def refused(at, reason):
    return at.server.metrics.value("requests_refused", reason=reason)


def test_body_without_a_signature_is_not_read(embedded_url, tmp_path):
    async def told(at):
        head = "POST /twilio/voice HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
        # The body never comes, and nobody waits for it.
        status, _ = await at.request(head.encode())

        assert status == 403
        count = at.server.metrics.value("rejected_signatures", endpoint="/twilio/voice")
        assert count == 1

    run(told, embedded_url, tmp_path)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "GZIP", "x"])
def test_body_that_would_have_to_be_inflated_is_refused(embedded_url, tmp_path, coding):
    async def told(at):
        packed = zlib.compress(b"&a=b" * 16_000, 9)
        headers = {"Content_Encoding": coding, "X_Twilio_Signature": "x"}

        assert await post(at, packed, **headers) == 415
        assert refused(at, "content_encoding") == 1
        assert await post(at, b"a=b", Content_Encoding="identity") == 403

    run(told, embedded_url, tmp_path)


def test_body_is_never_inflated(embedded_url, tmp_path):
    async def told(at):
        assert at.server._runner._kwargs["auto_decompress"] is False
        assert at.server._own_runner is None

    run(told, embedded_url, tmp_path)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"x" * 70_000, "too_large"),
        (b"&".join([b"a=b"] * 257), "too_large"),
        (b"CallSid=CA1&a=\xff", "not_utf8"),
        (b"CallSid=CA1&a=%ff", "not_utf8"),
        (b"CallSid=CA1&%ed%a0%80=b", "not_utf8"),
    ],
)
def test_body_that_is_no_form_of_twilios_is_refused(
    embedded_url, tmp_path, body, reason, caplog
):
    async def told(at):
        status = await post(at, body, X_Twilio_Signature="x")

        assert status == (413 if reason == "too_large" else 400)
        assert refused(at, reason) == 1
        assert [len(line) < 80 for line in caplog.messages] == [True]
        assert not any(record.exc_info for record in caplog.records)

    run(told, embedded_url, tmp_path)


def test_chunks_over_the_limit_are_refused(embedded_url, tmp_path):
    async def told(at):
        chunk = b"ffff\r\n" + b"x" * 65_535 + b"\r\n"
        headers = {"Transfer_Encoding": "chunked", "X_Twilio_Signature": "x"}

        assert await post(at, chunk * 2, **headers) == 413
        broken = b"zz\r\nabc"
        assert await post(at, broken, **headers) == 400

    run(told, embedded_url, tmp_path)


def test_body_that_dribbles_is_not_waited_for(embedded_url, tmp_path, monkeypatch):
    monkeypatch.setattr(authentication, "BODY_WAIT_S", 0.01)

    async def told(at):
        head = (
            "POST /twilio/voice HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
            "X-Twilio-Signature: x\r\n\r\nCall"
        )
        status, _ = await at.request(head.encode())

        assert (status, refused(at, "body_late")) == (408, 1)

    run(told, embedded_url, tmp_path)


def test_caller_who_hangs_up_in_the_body_leaves_one_line(
    embedded_url, tmp_path, caplog
):
    async def told(at):
        peer = await ws_peer.Peer.connect(at.server.port)
        head = "POST /twilio/voice HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n"
        peer.send(f"{head}X-Twilio-Signature: x\r\n\r\nCall".encode())
        await peer.close()
        await ws_peer.until(lambda: refused(at, "body_broken"))

        assert len(caplog.messages) == 1

    run(told, embedded_url, tmp_path)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [("GET /healthz", 400), ("POST /nowhere", 404), ("POST /healthz", 405)],
)
def test_body_where_none_belongs_is_not_read(
    embedded_url, tmp_path, request_line, status
):
    async def told(at):
        head = f"{request_line} HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"

        assert (await at.request(head.encode()))[0] == status

    run(told, embedded_url, tmp_path)


@pytest.mark.parametrize("sid", ["", "../../etc/passwd", "CA" + "1" * 80, "é"])
def test_call_id_that_is_none_is_a_bad_request(embedded_url, tmp_path, sid):
    async def told(at):
        status, _ = await at.post("/twilio/voice", CallSid=sid)

        assert (status, refused(at, "call_sid")) == (400, 1)

    run(told, embedded_url, tmp_path)


def test_unsigned_parameters_are_dropped_and_said(embedded_url, tmp_path, caplog):
    async def told(at):
        path, fields = (
            "/twilio/voice",
            {"CallSid": running_service.new_sid(), "To": at.number},
        )
        url = at.server.public_url + path
        signed = signature.sign(running_service.AUTH_TOKEN, url, fields.items())
        body = running_service.urlencode(
            {**fields, "StirVerstat": "TN-Validation-Passed-A"}
        )
        status = await post(at, body.encode(), X_Twilio_Signature=signed)

        assert status == 200
        assert any("unsigned_parameters=StirVerstat" in one for one in caplog.messages)
        count = at.server.metrics.value("unsigned_parameters", name="StirVerstat")
        assert count == 1

    run(told, embedded_url, tmp_path)


def test_subaccount_and_shared_key_are_taken(embedded_url, tmp_path):
    async def told(at):
        path = "/twilio/call-status"
        fields = {"CallSid": "CA1", "AccountSid": SUBACCOUNT}
        assert (await at.post(path, token=SUB_TOKEN, **fields))[0] == 204
        assert (await at.post(path, **fields))[0] == 403
        assert (await at.post(path, token="older", CallSid="CA1"))[0] == 204

        url = at.server.public_url + path
        by_key = signature.sign("shared", url, [("CallSid", "CA1")], "sha256")
        headers = {
            "X_Twilio_Signature": by_key,
            "X_Twilio_Webhooks_Signature_Settings": KEYED,
        }
        assert await post(at, b"CallSid=CA1", path, **headers) == 204
        headers["X_Twilio_Signature"] = signature.sign(
            running_service.AUTH_TOKEN, url, [("CallSid", "CA1")]
        )
        assert await post(at, b"CallSid=CA1", path, **headers) == 403

    run(
        told,
        embedded_url,
        tmp_path,
        twilio_subaccounts=f"{SUBACCOUNT}={SUB_TOKEN}",
        twilio_auth_token_secondary="older",
        twilio_shared_keys="webhooks_sharedkey_1=shared",
    )


def test_stream_signed_by_a_shared_key_is_taken(embedded_url, tmp_path):
    async def told(at):
        url = at.server.switchboard.handshakes.media_url
        signed = signature.sign("shared", url, algorithm="sha256")
        peer = await ws_peer.Peer.connect(at.server.port)
        headers = {
            "X_Twilio_Signature": signed,
            "X_Twilio_Webhooks_Signature_Settings": KEYED,
        }
        peer.send(ws_peer.upgrade(**headers))

        assert (await peer.head()).startswith("HTTP/1.1 101")
        await peer.close()
        peer = await ws_peer.Peer.connect(at.server.port)
        headers["X_Twilio_Signature"] = signature.sign(running_service.AUTH_TOKEN, url)
        peer.send(ws_peer.upgrade(**headers))
        assert (await peer.head()).startswith("HTTP/1.1 403")
        await peer.close()

    run(told, embedded_url, tmp_path, twilio_shared_keys="webhooks_sharedkey_1=shared")


@pytest.mark.parametrize(("size", "stays"), [(3, True), (9, False)])
def test_connection_is_kept_where_the_refused_body_is_whole(
    embedded_url, tmp_path, size, stays
):
    async def told(at):
        peer = await ws_peer.Peer.connect(at.server.port)
        head = f"POST /twilio/voice HTTP/1.1\r\nHost: x\r\nContent-Length: {size}"
        peer.send(f"{head}\r\n\r\na=b".encode())

        answer = await peer.head()
        assert answer.startswith("HTTP/1.1 403")
        assert ("connection: close" not in answer.lower()) is stays
        await peer.close()

    run(told, embedded_url, tmp_path)


@pytest.mark.parametrize(
    "head",
    [
        "POST /nowhere HTTP/1.1\r\nHost: x",
        "POST /twilio/voice HTTP/1.1\r\nHost: x",
        "POST /twilio/voice HTTP/1.1\r\nHost: x\r\nExpect: 100-continue",
        "GET /healthz HTTP/1.1\r\nHost: x",
    ],
)
def test_body_that_looks_like_a_handshake_opens_no_stream(embedded_url, tmp_path, head):
    async def told(at):
        url = at.server.switchboard.handshakes.media_url
        signed = signature.sign(running_service.AUTH_TOKEN, url)
        handshake = ws_peer.upgrade(X_Twilio_Signature=signed)
        peer = await ws_peer.Peer.connect(at.server.port)
        peer.send(f"{head}\r\nContent-Length: {len(handshake)}\r\n\r\n".encode())

        assert (await peer.head()).split()[1] in ("400", "403", "404", "417")
        peer.send(handshake)
        rest = await peer.reader.read()
        assert b"101" not in rest
        peer.writer.transport.abort()

    run(told, embedded_url, tmp_path)


def test_a_kept_connection_may_open_a_stream(embedded_url, tmp_path):
    async def told(at):
        url = at.server.switchboard.handshakes.media_url
        signed = signature.sign(running_service.AUTH_TOKEN, url)
        peer = await ws_peer.Peer.connect(at.server.port)
        peer.send(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\na=b")
        await peer.head()
        await peer.reader.readexactly(len("404 Not Found"))
        peer.send(ws_peer.upgrade(X_Twilio_Signature=signed))

        assert (await peer.head()).startswith("HTTP/1.1 101")
        await peer.close()

    run(told, embedded_url, tmp_path)
