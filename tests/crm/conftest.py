"""What all tests of the database share."""

import pytest

from crm import deadlocks


@pytest.fixture(autouse=True)
def a_deadlock_fails(monkeypatch):
    """Work is not done again, so that tests show who locks in another order."""
    monkeypatch.setattr(deadlocks, "DEADLOCKS_MAX", 0)
