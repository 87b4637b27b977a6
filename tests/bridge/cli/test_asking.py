"""Who is asked at the terminal can leave."""

import asyncio
import signal

import pytest

from bridge.cli.database import find_business
from bridge.cli.main import EXIT_INTERRUPTED
from crm import leads
from crm.database import Database
from tests.bridge.cli.test_tenant_delete import Terminal

PHONE = "+12025550199"
COMMANDS = pytest.mark.parametrize("which", ["delete", "erase", "password"])


@pytest.fixture
def asks(shell, salon, embedded_url, monkeypatch):
    """For each command that asks, where it reads and its words."""
    monkeypatch.setattr("sys.stdin", Terminal())
    login = f"{salon.partition(' ')[2]}@example.com"
    assert shell("user", "add", login, "--business", salon, "--no-login")[0] == 0

    async def touch():
        db = await Database.open(embedded_url, pool_max=1)
        await leads.touch(db, await find_business(db, salon), PHONE)
        await db.close()

    asyncio.run(touch())
    return {
        "delete": ("builtins.input", ("tenant", "delete", salon)),
        "erase": ("builtins.input", ("leads", "--business", salon, "--erase", PHONE)),
        "password": ("getpass.getpass", ("user", "password", login)),
    }


@COMMANDS
def test_the_first_interrupt_ends_the_command(asks, which, shell, monkeypatch):
    reads, words = asks[which]
    went_on = []

    def interrupted(prompt):
        signal.raise_signal(signal.SIGINT)
        went_on.append(prompt)
        return ""

    monkeypatch.setattr(reads, interrupted)

    assert shell(*words)[0] == EXIT_INTERRUPTED
    assert went_on == []


@COMMANDS
def test_end_of_input_is_no_answer(asks, which, shell, monkeypatch):
    reads, words = asks[which]

    def ended(prompt):
        raise EOFError

    monkeypatch.setattr(reads, ended)
    code, _, error = shell(*words)

    assert code == 2
    assert error == f"kolbridge {words[0]}: nothing was done: no answer was given\n"
