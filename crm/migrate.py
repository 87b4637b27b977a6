"""Migrations: numbered SQL files, each applied once, in one transaction with its note.

All of them run under one advisory lock, so any number of processes may start at once.
A file that changed after it was applied, or a database newer than this build, is an
error; nothing is ever migrated down. Not through a pooler in transaction mode.
"""

import hashlib
from pathlib import Path

import asyncpg

FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x6B6F6C  # "kol"
_TABLE = """
create table if not exists schema_migrations (
  version int primary key, name text not null, sha256 text not null,
  applied_at timestamptz not null default now()
)"""


class MigrationError(RuntimeError):
    """The database and this build do not fit together."""


async def migrate(url: str, folder: Path = FOLDER) -> int:
    """Bring the database up to date; return how many files were applied."""
    files = sorted(folder.glob("[0-9]*.sql"))  # noqa: ASYNC240 a few, at start-up
    connection = await asyncpg.connect(url, timeout=30)
    try:
        await connection.execute("select pg_advisory_lock($1)", _LOCK)
        await connection.execute(_TABLE)
        rows = await connection.fetch("select version, sha256 from schema_migrations")
        applied = {row["version"]: row["sha256"] for row in rows}
        _check(applied, files)
        fresh = files[len(applied) :]
        for version, path in enumerate(fresh, start=len(applied) + 1):
            async with connection.transaction():
                await connection.execute(path.read_text(encoding="utf-8"))
                await connection.execute(
                    "insert into schema_migrations (version, name, sha256) "
                    "values ($1, $2, $3)",
                    version,
                    path.name,
                    _sha256(path),
                )
        return len(fresh)
    finally:
        await connection.close()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _check(applied: dict[int, str], files: list[Path]) -> None:
    for number, path in enumerate(files, start=1):
        if int(path.name.split("_")[0]) != number:
            raise MigrationError(f"expected migration {number:04}, found {path.name}")
        if number in applied and applied[number] != _sha256(path):
            raise MigrationError(f"{path.name} was changed after it was applied")
    if len(applied) > len(files):
        raise MigrationError(
            f"the database has migration {len(applied)}, this build only {len(files)}"
        )
