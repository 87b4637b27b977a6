"""Commands that read leave the schema alone; `migrate` and `serve` move it."""

import asyncio

import pytest

from bridge.cli import main
from crm.migrate import migrate
from tests.crm.test_migrate import LAST, ask, copy_of, empty_database, version


@pytest.fixture
def older(embedded_url, tmp_path, monkeypatch):
    """The URL of a database with a schema that lacks the last migration."""
    with empty_database(embedded_url) as url:
        asyncio.run(migrate(url, copy_of(tmp_path / "old", without=1)))
        monkeypatch.setenv("DATABASE_URL", url)
        yield url


READS = [
    ("calls",),
    ("leads",),
    ("tenant", "list"),
    ("tenant", "show", "Salon"),
    ("tenant", "create", "Salon"),
    ("serve", "--take-over"),
]


@pytest.mark.parametrize("typed", READS, ids=" ".join)
def test_commands_leave_an_older_schema_alone(shell, older, monkeypatch, typed):
    monkeypatch.setenv("DATABASE_URL", older)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "x")
    monkeypatch.setenv("OPENAI_API_KEY", "x")

    code, _, error = shell(*typed)

    assert (code, version(older)) == (1, LAST - 1)
    assert f"has migration {LAST - 1}, this build needs {LAST}" in error
    assert "run `kolbridge migrate`" in error


def test_doctor_leaves_an_older_schema_alone(shell, older, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", older)

    code, out, _ = shell("doctor")

    assert (code, version(older)) == (1, LAST - 1)
    assert "run `kolbridge migrate`" in out


def test_migrate_moves_it_once(shell, older, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", older)

    code, out, error = shell("migrate")
    assert (code, out) == (0, f"the schema has migration {LAST}\n")
    assert error.startswith(f"kolbridge migrate: applied {LAST:04}_")
    assert shell("migrate") == (0, out, "")
    assert shell("tenant", "list")[0] == 0


def test_the_first_business_makes_the_schema(shell, embedded_url, monkeypatch):
    with empty_database(embedded_url) as url:
        monkeypatch.setenv("DATABASE_URL", url)

        assert "there is no schema yet" in shell("tenant", "list")[2]
        tables = "select count(*) from pg_tables where schemaname = 'public'"
        assert asyncio.run(ask(url, tables)) == 0
        assert shell("tenant", "create", "Salon")[0] == 0
        assert "Salon" in shell("tenant", "list")[1]


def test_serve_moves_it_and_says_so(older, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "x")
    monkeypatch.setenv("OPENAI_API_KEY", "x")

    # As a superuser it does not serve; what was asked of it before is done.
    assert main.main(["serve"]) == 2

    assert version(older) == LAST
    assert f'"message":"schema: applied {LAST:04}_' in capsys.readouterr().err
