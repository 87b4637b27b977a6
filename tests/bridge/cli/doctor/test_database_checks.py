"""What `kolbridge doctor` says of the database; test_checklist.py has the rest."""

import asyncio
from types import SimpleNamespace

import pytest

from bridge.cli.doctor import database_checks
from crm import businesses


@pytest.mark.parametrize(("count", "found"), [(1, "1 business"), (2, "2 businesses")])
def test_businesses_are_counted(monkeypatch, count, found):
    async def list_all(database):
        return ["a business"] * count

    async def ping():
        pass

    monkeypatch.setattr(businesses, "list_all", list_all)

    database = SimpleNamespace(ping=ping)
    (check,) = asyncio.run(database_checks.check_database(database))

    assert check.ok
    assert check.text == f"migrated, {found}"
