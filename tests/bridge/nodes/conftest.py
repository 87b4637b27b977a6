"""Nodes that do nothing by themselves, so that the tests say when they look."""

import pytest

from bridge.line import websocket
from bridge.nodes import membership, ownership, reaper, resumed_calls
from bridge.service import server
from crm import live_calls, nodes


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """The peers here do not answer CLOSE; nobody waits long for what does not come."""
    monkeypatch.setattr(websocket, "CLOSE_WAIT_S", 0.02)
    monkeypatch.setattr(resumed_calls, "STALE_WAIT_S", 0.3)
    monkeypatch.setattr(server, "RECORD_LOOKS", 1)
    monkeypatch.setattr(reaper, "ASK_S", 0.0)
    # The tests look themselves.
    monkeypatch.setattr(reaper, "EVERY_S", 1e6)
    monkeypatch.setattr(ownership, "EVERY_S", 1e6)
    # A busy machine is no slow database.
    monkeypatch.setattr(ownership, "OWN_WAIT_S", 10.0)


@pytest.fixture
def heartless(monkeypatch):
    """The rows of the nodes stay as they are, and fresh: each process beats once, and
    a heartbeat may be an hour ahead."""
    monkeypatch.setattr(membership, "BEAT_S", 1e6)
    lasting = nodes._BEAT.replace("$9, now())", "$9, now() + interval '1 hour')")
    assert lasting != nodes._BEAT
    monkeypatch.setattr(nodes, "_BEAT", lasting)
    lenient = f"beat_at >= now() - interval '{nodes.STALE_S} s'"
    for module in (nodes, live_calls):
        for name, text in list(vars(module).items()):
            if isinstance(text, str) and nodes.FRESH in text and name != "FRESH":
                monkeypatch.setattr(module, name, text.replace(nodes.FRESH, lenient))
