"""Migrations: numbered SQL files, each applied once, in one transaction with its row.

The schema changes only on request; code that only reads calls `check`. All files run
under one advisory lock, so any number of processes may start at once. Nothing is ever
migrated down. Migrations do not work through a pooler in transaction mode.

Expand, then contract: a file only adds, so that the previous build can still serve on
the schema after it. A file that removes something says so in a line of its own,

    -- contract: 0006

with the oldest migration whose build can still serve. Any other newer schema is served.
"""

import hashlib
import re
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import orjson

FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x6B6F6C  # "kol"
_TABLE = """
create table if not exists schema_migrations (
  version int primary key, name text not null, sha256 text not null,
  applied_at timestamptz not null default now()
);
alter table schema_migrations add column if not exists contract int not null default 0
"""
_CONTRACT = re.compile(r"^-- contract: (\d{4})$", re.MULTILINE)
# A change that waits for a table blocks all others: calls wait no longer than this.
_LOCK_TIMEOUT = "set lock_timeout = '5s'"
# Another process may migrate; one that hangs must not keep the service from starting
# without a word.
_TURN_TIMEOUT = "set lock_timeout = '600s'"


# Whether the login role can create kolbridge_app, which the policies bind, or has it.
_OWNER = """
select rolname, rolsuper, rolcreaterole, app.oid is not null as is_made,
  coalesce(pg_has_role(current_user, app.oid, 'member'), false) as is_member
from pg_roles left join lateral
  (select oid from pg_roles where rolname = 'kolbridge_app') as app on true
where rolname = current_user"""


class MigrationError(RuntimeError):
    """The database and this build do not fit together; the text says what to do."""


class NoSchema(MigrationError):
    """No schema was ever created in this database."""

    def __init__(self) -> None:
        super().__init__(
            "there is no schema yet: run `kolbridge migrate`, or make the first "
            "business with `kolbridge tenant create`"
        )


class _State(NamedTuple):
    """The applied migrations: hashes by number, and the oldest that still serves."""

    hashes: dict[int, str]
    contract: int


async def check(url: str, folder: Path = FOLDER) -> None:
    """Raise MigrationError unless this build can work on the schema; change nothing."""
    files = _files(folder)
    connection = await asyncpg.connect(url, timeout=30, statement_cache_size=0)
    try:
        state = await _read(connection)
    finally:
        await connection.close()
    _check_files(state, files)
    if not state.hashes:
        raise NoSchema
    if len(state.hashes) < len(files):
        raise MigrationError(
            f"its schema has migration {len(state.hashes)}, this build needs "
            f"{len(files)}: run `kolbridge migrate`; a service that runs goes on"
        )


async def version(connection: Any) -> int:
    """Return the number of the last migration; 0 where there is no schema."""
    return max((await _read(connection)).hashes, default=0)


async def migrate(
    url: str, folder: Path = FOLDER, *, upto: int | None = None
) -> list[str]:
    """Bring the database up to date, or to migration `upto`; return the files applied.

    Raises MigrationError where this build has no such migration.
    """
    files = _files(folder)
    if upto is not None and upto > len(files):
        raise MigrationError(
            f"migration {upto} is wanted, this build has {len(files)}: take a newer one"
        )
    files = files[:upto]
    connection = await asyncpg.connect(url, timeout=30)
    try:
        if _is_complete(await _read(connection), files):
            return []
        await _take_turn(connection)
        await connection.execute(_LOCK_TIMEOUT)
        await connection.execute(_TABLE)
        state = await _read(connection)
        if not state.hashes:
            await _check_owner(connection)
        fresh = [] if _is_complete(state, files) else files[len(state.hashes) :]
        for version, path in enumerate(fresh, start=len(state.hashes) + 1):
            try:
                async with connection.transaction():
                    await _apply(connection, version, path)
            except asyncpg.LockNotAvailableError:
                raise MigrationError(
                    f"{path.name}: a table is in use, calls go first: try again"
                ) from None
        return [path.name for path in fresh]
    finally:
        await connection.close()


async def _take_turn(connection: Any) -> None:
    """Wait until no other process migrates."""
    await connection.execute(_TURN_TIMEOUT)
    try:
        await connection.execute("select pg_advisory_lock($1)", _LOCK)
    except asyncpg.LockNotAvailableError:
        raise MigrationError(
            "another process migrates the schema and does not end: see "
            "pg_stat_activity for a session that holds an advisory lock"
        ) from None


async def _check_owner(connection: Any) -> None:
    """Raise MigrationError if the owner lacks a privilege, before anything is tried."""
    row = await connection.fetchrow(_OWNER)
    if row["is_member"] or row["rolsuper"]:
        return
    name = row["rolname"]
    lacks = f"the owner's role {name} (DATABASE_ADMIN_URL)"
    if row["is_made"]:
        raise MigrationError(
            f"{lacks} is no member of kolbridge_app, which another database's owner "
            f"made: as a superuser, grant kolbridge_app to {name}"
        )
    if not row["rolcreaterole"]:
        raise MigrationError(
            f"{lacks} may not make the role kolbridge_app: as a superuser, alter role "
            f"{name} createrole"
        )


async def _apply(connection: Any, version: int, path: Path) -> None:
    text = path.read_text(encoding="utf-8")  # noqa: ASYNC240 a small one, at start-up
    await connection.execute(text)
    contract = _CONTRACT.search(text)
    await connection.execute(
        "insert into schema_migrations (version, name, sha256, contract) "
        "values ($1, $2, $3, $4)",
        version,
        path.name,
        _sha256(path),
        int(contract[1]) if contract else 0,
    )


async def _read(connection: Any) -> _State:
    """Return what was applied; read as the owner or as the service's role.

    A row is read as it is: an older schema has no `contract`.
    """
    query = "select to_jsonb(m)::text from schema_migrations m"
    try:
        try:
            rows = await connection.fetch(query)
        except asyncpg.InsufficientPrivilegeError:
            async with connection.transaction():
                await connection.execute("set local role kolbridge_app")
                rows = await connection.fetch(query)
    except asyncpg.UndefinedTableError:
        return _State({}, 0)
    except asyncpg.InsufficientPrivilegeError:
        raise MigrationError(
            "its role may not read the schema's version: run `kolbridge migrate` with "
            "the owner's URL as DATABASE_ADMIN_URL"
        ) from None
    found = [orjson.loads(row[0]) for row in rows]
    return _State(
        {row["version"]: row["sha256"] for row in found},
        max((row.get("contract", 0) for row in found), default=0),
    )


def _files(folder: Path) -> list[Path]:
    files = sorted(folder.glob("[0-9]*.sql"))
    for number, path in enumerate(files, start=1):
        if int(path.name.split("_")[0]) != number:
            raise MigrationError(f"expected migration {number:04}, found {path.name}")
    return files


def _is_complete(state: _State, files: list[Path]) -> bool:
    _check_files(state, files)
    return len(state.hashes) >= len(files)


def _check_files(state: _State, files: list[Path]) -> None:
    for number, path in enumerate(files, start=1):
        if number in state.hashes and state.hashes[number] != _sha256(path):
            raise MigrationError(f"{path.name} was changed after it was applied")
    if state.contract > len(files):
        raise MigrationError(
            f"its schema serves builds with migration {state.contract} or later, this "
            f"one has {len(files)}"
        )


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
