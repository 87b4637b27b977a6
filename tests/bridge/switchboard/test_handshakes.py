"""Handshakes: a browser needs a ticket and the console's page, Twilio a signature."""

from http import HTTPStatus
from time import monotonic

import pytest

from bridge.ports.port_demux import MEDIA_PATH, parse_head
from bridge.settings.process import Settings
from bridge.switchboard import handshakes as module
from bridge.switchboard.handshakes import Handshakes
from bridge.telemetry.metrics import Metrics

OWN = "http://127.0.0.1:8080"
FOREIGN = "https://elsewhere.example"


def made(**settings):
    found = Handshakes(Settings(**settings), Metrics())
    found.listen(OWN, f"ws://127.0.0.1:8080{MEDIA_PATH}")
    return found


def head(ticket="", origin=OWN, host="127.0.0.1:8080"):
    query = f"?ticket={ticket}" if ticket else ""
    lines = [f"GET {MEDIA_PATH}{query} HTTP/1.1", f"Host: {host}"]
    lines += [f"Origin: {origin}"] if origin else []
    return parse_head("\r\n".join(lines).encode())


def issued(at, now=None):
    return at.issue("CA1", "business", "Dana", monotonic() if now is None else now)


def test_ticket_opens_one_stream_from_the_own_page():
    at = made()
    ticket = issued(at)

    assert at.refuse(head(ticket)) is None
    assert at.refuse(head(ticket)) is HTTPStatus.FORBIDDEN


@pytest.mark.parametrize("origin", [FOREIGN, "", "null", "http://127.0.0.1:8081"])
def test_page_of_another_origin_does_not_use_up_a_ticket(origin):
    at = made()
    ticket = issued(at)

    assert at.refuse(head(ticket, origin)) is HTTPStatus.FORBIDDEN
    assert at.refuse(head(ticket)) is None


def test_page_on_this_machine_may_have_another_name():
    at = made()
    local = "localhost:8080"

    assert at.refuse(head(issued(at), f"http://{local}", local)) is None


def test_service_beyond_loopback_knows_one_origin():
    at = made(host="0.0.0.0", public_url="https://voice.example")
    at.listen("https://voice.example/", f"wss://voice.example{MEDIA_PATH}")
    other = "voice2.example"

    found = at.refuse(head(issued(at), f"http://{other}", other))
    assert found is HTTPStatus.FORBIDDEN
    assert at.refuse(head(issued(at), "https://voice.example")) is None


def test_old_ticket_opens_nothing():
    at = made()
    ticket = issued(at, monotonic() - module.TICKET_S)

    assert at.refuse(head(ticket)) is HTTPStatus.FORBIDDEN


def test_oldest_of_too_many_tickets_is_dropped(monkeypatch):
    monkeypatch.setattr(module, "TICKETS_MAX", 2)
    at = made()
    first, second, third = (issued(at) for _ in range(3))

    assert at.refuse(head(first)) is HTTPStatus.FORBIDDEN
    assert at.refuse(head(second)) is None
    assert at.refuse(head(third)) is None


def test_browser_without_a_ticket_is_not_twilio():
    unsigned = made(twilio_validate_signatures=False)

    assert unsigned.refuse(head(origin=FOREIGN)) is HTTPStatus.FORBIDDEN
    assert unsigned.refuse(head(origin="")) is None
    assert made(twilio_auth_token="1").refuse(head()) is HTTPStatus.FORBIDDEN
