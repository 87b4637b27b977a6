"""What opening a socket raised, as the call is told of it."""

import pytest

from bridge.call.plan import Refusal
from bridge.line.refusal import BODY_BYTES_MAX, refusal_of


class Answer:
    def __init__(self, status, **headers):
        self.status = status
        self.headers = {name.replace("_", "-"): one for name, one in headers.items()}


class Refused(Exception):
    def __init__(self, response, raw_body=b""):
        super().__init__("no")
        self.response = response
        self.raw_body = raw_body


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), "timed out"),
        (ConnectionRefusedError("no"), "ConnectionRefusedError: no"),
        (ValueError("odd"), "ValueError: odd"),
        (Refused(None), "Refused: no"),
    ],
)
def test_what_is_no_answer_says_itself(error, reason):
    assert refusal_of(error) == Refusal(reason=reason)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 2 ", 2.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", 0.0),
        ("-1", 0.0),
        ("1" * 400, 0.0),
        ("²", 0.0),
        ("", 0.0),
    ],
)
def test_a_pause_in_seconds_is_read(value, seconds):
    refusal = refusal_of(Refused(Answer(429, Retry_After=value)))
    assert (refusal.status, refusal.retry_after_s) == (429, seconds)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (
            b'{"error":{"code":"insufficient_quota","type":"q"}}',
            ("insufficient_quota", "q"),
        ),
        (b'{"error":{"code":null,"type":"server_error"}}', ("server_error",)),
        (b'{"error":"no"}', ()),
        (b"<html>bad gateway</html>", ()),
        (b"\xff", ()),
        (b"[" * 15_000, ()),
        (b" " * BODY_BYTES_MAX + b"{}", ()),
        (None, ()),
    ],
)
def test_an_errors_names_are_read_from_its_body(body, names):
    refusal = refusal_of(Refused(Answer(429), body))
    assert refusal.names == names
    assert refusal.reason == " ".join(("HTTP 429", *names[:1]))
