"""What tests of one call's sockets share: short time limits for peers."""

import pytest

from bridge.call import streams
from bridge.line import websocket


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """The peers here neither answer CLOSE nor come back after a loss."""
    monkeypatch.setattr(websocket, "CLOSE_WAIT_S", 0.05)
    monkeypatch.setattr(streams, "ASK_S", 0.05)
