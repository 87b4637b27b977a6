"""What `kolbridge doctor` says of a database that hangs, or goes during the checks."""

import argparse
import asyncio

import pytest

from bridge.cli.doctor import checklist
from bridge.settings.process import Settings


def test_database_that_does_not_answer_is_said_so(tmp_path, monkeypatch, capsys):
    """asyncio's TimeoutError has no words of its own."""

    def hangs(*args, **kwargs):
        raise TimeoutError

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checklist, "open_url", hangs)

    assert checklist.run(argparse.Namespace()) == 1
    shown = capsys.readouterr().out
    assert "✗ database: start it or set DATABASE_URL: no answer in time" in shown


def test_database_that_is_lost_meanwhile_ends_the_list(database_url, capsys):
    async def lost(*args):
        raise TimeoutError

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(checklist, "check_database", lost)
        asyncio.run(checklist._check_all(Settings(), database_url, database_url))

    assert capsys.readouterr().out == (
        "✗ database: the checks end here: no answer in time\n"
    )
