"""What tests of the command line share: a shell, and a business."""

from uuid import uuid4

import pytest

from bridge.cli import main


@pytest.fixture
def shell(embedded_url, monkeypatch, tmp_path, capsys):
    """Run a command; return its exit code, output and error output."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", embedded_url)

    def type_in(*words):
        code = main.main(list(words))
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return type_in


@pytest.fixture
def salon(shell):
    """Return the name of a new business."""
    name = f"Salon {uuid4().hex[:8]}"
    number = f"+1555{uuid4().int % 10**7:07}"
    assert shell("tenant", "create", name, "--number", number)[0] == 0
    return name
