"""What tests of the command line share: a shell, and a business to type about."""

from uuid import uuid4

import pytest

from bridge.cli import main


@pytest.fixture
def shell(embedded_url, monkeypatch, tmp_path, capsys):
    """Type a command; get its exit code, output and error."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", embedded_url)

    def type_in(*words):
        code = main.main(list(words))
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return type_in


@pytest.fixture
def salon(shell):
    """Return the name of a business that was just made."""
    name = f"Salon {uuid4().hex[:8]}"
    number = f"+1555{uuid4().int % 10**7:07}"
    assert shell("tenant", "create", name, "--number", number)[0] == 0
    return name
