"""A backup of all tenants in one file, and its restoration into an empty database.

`pg_dump` as the owner of the tables fails or finds nothing: row-level security is
forced, and binds the owner too. This backup reads one business after the other, each as
that tenant, in one snapshot. It needs no role that could read every tenant.

The file is a zip: `backup.json` lists the contents, `TABLE/BUSINESS` has the rows as
COPY writes them. The tables, their columns and their order come from the database, so a
new table is in the next backup. Calls that run are left out: where the backup is
restored, they run no more. So are the sessions of the console, and that a message is to
be answered or sent: the database that the backup was made of does that.
"""

import fcntl
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any
from uuid import UUID

import asyncpg
import msgspec
from msgspec import structs

from crm.migrate import migrate, version
from crm.tables import Table, tables

FORMAT = 1
_MANIFEST = "backup.json"
# The scope of a table without a business: all of its rows.
_ALL = "all"
_BUSY_S = 3600.0
# What reading a file raises that is no backup, or is not what was written.
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    EOFError,
    KeyError,
    msgspec.DecodeError,
)
_OF_RUNNING_CALLS = frozenset(
    ("nodes", "call_owners", "checkpoints", "health_samples", "health_checks")
)
_OF_RUNNING_CONVERSATIONS = frozenset(("message_work",))
# What opens an account for a while. A restored session might be one that was revoked.
_OF_LOGINS = frozenset(("login_links", "console_sessions"))


class BackupError(RuntimeError):
    """No backup was made, or none was restored; the text says why."""


class Manifest(msgspec.Struct, frozen=True):
    """The contents of a backup; the tables stand in the order of writing."""

    format: int
    schema: int
    made_at: datetime
    businesses: tuple[UUID, ...]
    tables: tuple[Table, ...]

    def describe(self) -> str:
        """Return a description of the contents."""
        rows = sum(one.rows for one in self.tables)
        return (
            f"{len(self.businesses)} businesses, {rows} rows in {len(self.tables)} "
            f"tables, schema {self.schema}"
        )


async def back_up(url: str, path: Path) -> Manifest:
    """Write a backup, which replaces the file when the backup is complete.

    `url` is the owner's. Rows that are written meanwhile are in the next backup.
    """
    connection = await _connect(url)
    try:
        schema = await version(connection)
        if schema == 0:
            raise BackupError("there is no schema yet: nothing to back up")
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            found = await connection.fetch("select id from businesses order by id")
            businesses = tuple(row["id"] for row in found)
            every = [
                one
                for one in await tables(connection)
                if one.name
                not in _OF_RUNNING_CALLS | _OF_RUNNING_CONVERSATIONS | _OF_LOGINS
            ]
            with _new_zip(path) as archive:
                counted = [
                    structs.replace(
                        one, rows=await _save(connection, archive, one, businesses)
                    )
                    for one in every
                ]
                manifest = Manifest(
                    FORMAT, schema, datetime.now(UTC), businesses, tuple(counted)
                )
                archive.writestr(_MANIFEST, msgspec.json.encode(manifest))
    finally:
        await connection.close()
    return manifest


async def restore(url: str, path: Path) -> Manifest:
    """Restore a backup into a database without businesses and accounts: all of it, or
    nothing.

    An empty database gets the schema of the backup first, then its rows, then the newer
    migrations of this build, so that these migrations find the rows.
    """
    with _open_zip(path) as (archive, manifest):
        await migrate(url, upto=manifest.schema)
        connection = await _connect(url)
        try:
            await _check_target(connection, manifest)
            async with connection.transaction():
                # Nobody is told of what is restored.
                await connection.fetchval(
                    "select set_config('app.notices', 'off', true)"
                )
                for table in manifest.tables:
                    await _load(connection, archive, table, manifest.businesses)
                await _end_conversations(connection, manifest)
        finally:
            await connection.close()
        await migrate(url)
    return manifest


async def _connect(url: str) -> Any:
    # No statements are prepared: there may be a pooler in between.
    return await asyncpg.connect(
        url, timeout=30, command_timeout=_BUSY_S, statement_cache_size=0
    )


async def _save(
    connection: Any,
    archive: zipfile.ZipFile,
    table: Table,
    businesses: tuple[UUID, ...],
) -> int:
    """Write a table's rows of each business; return the number of rows."""
    rows = 0
    for scope in _scopes(table, businesses):
        await _enter(connection, scope)
        with archive.open(f"{table.name}/{scope}", "w", force_zip64=True) as entry:
            done = await connection.copy_from_query(
                f"select {_names(table)} from {table.name}{_of(table, scope)}",
                output=entry,
            )
        rows += int(done.split()[-1])
    return rows


async def _load(
    connection: Any,
    archive: zipfile.ZipFile,
    table: Table,
    businesses: tuple[UUID, ...],
) -> None:
    """Read a table's rows of each business, through a table without policies: COPY
    cannot write to a table that has policies."""
    names, rows = _names(table), 0
    await connection.execute(
        f"create temporary table coming on commit drop as select {names} "
        f"from {table.name} with no data"
    )
    for scope in _scopes(table, businesses):
        await _enter(connection, scope)
        with archive.open(f"{table.name}/{scope}") as entry:
            await connection.copy_to_table("coming", source=entry)
        done = await connection.execute(
            f"insert into {table.name} ({names}) select {names} from coming"
        )
        rows += int(done.split()[-1])
        await connection.execute("truncate coming")
    await connection.execute("drop table coming")
    if rows != table.rows:
        raise BackupError(f"{table.name}: {rows} rows of {table.rows} came back")


async def _end_conversations(connection: Any, manifest: Manifest) -> None:
    """Let nothing that was not sent when the backup was made be sent from here."""
    if not any(one.name == "messages" for one in manifest.tables):
        return
    for business_id in manifest.businesses:
        await _enter(connection, business_id)
        await connection.execute(
            "update messages set status = 'dropped', error_text = 'restored from a "
            "backup' where status in ('waiting', 'trying') and business_id = $1",
            business_id,
        )
        await connection.execute(
            "update message_turns set state = 'failed', ended_at = now() "
            "where state = 'running' and business_id = $1",
            business_id,
        )


async def _check_target(connection: Any, manifest: Manifest) -> None:
    has = await version(connection)
    if has != manifest.schema:
        raise BackupError(
            f"the database has schema {has}, the backup {manifest.schema}: restore it "
            "into an empty one"
        )
    # What has no business is there before the first one: the accounts of operators.
    of_nobody = [one.name for one in manifest.tables if one.tenant_column is None]
    for name in ("businesses", *of_nobody):
        count = await connection.fetchval(f"select count(*) from {name}")
        if count:
            raise BackupError(
                f"the database has {count} {name}: restore it into an empty one"
            )
    known = {one.name: set(one.columns) for one in await tables(connection)}
    for table in manifest.tables:
        if not known.get(table.name, set()) >= {*table.columns} > set():
            raise BackupError(f"the database has no table {table.name} of this form")


async def _enter(connection: Any, scope: UUID | str) -> None:
    """Become one tenant for what follows, as far as policies go."""
    tenant = "" if scope == _ALL else str(scope)
    await connection.fetchval("select set_config('app.business_id', $1, true)", tenant)


def _scopes(table: Table, businesses: tuple[UUID, ...]) -> tuple[UUID | str, ...]:
    return (_ALL,) if table.tenant_column is None else businesses


def _of(table: Table, scope: UUID | str) -> str:
    """Return the clause that selects the rows: a superuser would see every tenant's."""
    return "" if scope == _ALL else f" where {table.tenant_column} = '{scope}'"


def _names(table: Table) -> str:
    return ", ".join(f'"{name}"' for name in table.columns)


@contextmanager
def _new_zip(path: Path) -> Iterator[zipfile.ZipFile]:
    """Yield a file that only its owner can read and that appears when complete."""
    if path.exists() and not path.is_file():
        # A device would be replaced by the file, and not written to.
        raise BackupError(f"{path}: expected the name of a file")
    path = path.resolve()
    partial = path.with_name(f"{path.name}.partial")
    try:
        _remove_unlocked(partial)
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                    yield archive
                file.flush()
                os.fsync(file.fileno())
                partial.rename(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror or error}") from None


def _remove_unlocked(partial: Path) -> None:
    """Remove what a killed backup left; raise BackupError while one still writes it."""
    try:
        with partial.open("rb") as left:
            fcntl.flock(left, fcntl.LOCK_EX | fcntl.LOCK_NB)
            partial.unlink()
    except FileNotFoundError:
        return
    except BlockingIOError:
        raise BackupError(f"{partial}: another backup writes it") from None


@contextmanager
def _open_zip(path: Path) -> Iterator[tuple[zipfile.ZipFile, Manifest]]:
    try:
        with _open(path) as file, zipfile.ZipFile(file) as archive:
            manifest = _read_manifest(archive.open(_MANIFEST))
            if manifest.format != FORMAT:
                raise BackupError(f"{path}: a backup of format {manifest.format}")
            yield archive, manifest
    except _DAMAGE as error:
        raise BackupError(f"{path}: this is no whole backup: {error}") from None


def _open(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except OSError as error:
        raise BackupError(f"{path}: {error.strerror}") from None


def _read_manifest(file: IO[bytes]) -> Manifest:
    with file:
        return msgspec.json.decode(file.read(), type=Manifest)
