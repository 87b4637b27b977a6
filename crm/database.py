"""The database of all tenants, one at a time.

`tenant` is the only way to a business's rows: a transaction in the role kolbridge_app,
with the business set for that transaction alone. Role and business end with the
transaction, so a pooled connection carries no tenant, and a forgotten WHERE reveals no
row of another tenant.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Self
from uuid import UUID

import asyncpg
import orjson

# A client that was frozen, or that vanished without closing its socket, keeps its locks
# no longer than this: another node waits for them to claim its calls.
_ENTER_ROUTING = (
    "select set_config('idle_in_transaction_session_timeout', '3s', true), "
    "set_config('role', 'kolbridge_app', true)"
)
# One statement, so that there is no moment with the tenant and without the role.
_ENTER = f"{_ENTER_ROUTING}, set_config('app.business_id', $1, true)"
_ENTER_ACCOUNT = (
    f"{_ENTER_ROUTING}, set_config('app.account_key', $1, true), "
    "set_config('app.account_user', $2, true)"
)
# Their policies do not bind the owner, who makes businesses and accounts.
_UNFORCED = (
    "businesses",
    "users",
    "login_links",
    "console_sessions",
    "account_events",
)
# Queries the privileges of the role that logged in. A role that may act as a stronger
# role is as strong: it can bypass the policies as that role. _UNFORCED ($1) are not
# forced, so the role must not own them.
_BOUND = """
with tenant_tables as (
  select relname, relowner, relrowsecurity, relforcerowsecurity from pg_class
  where relnamespace = 'public'::regnamespace and relkind = 'r'
    and exists (select from pg_attribute where attrelid = pg_class.oid
      and (attname = 'business_id' or relname = any ($1)))
    and relname <> 'business_numbers'
)
select session_user::text as role,
  array(select rolname::text from pg_roles
    where pg_has_role(session_user, oid, 'member')
      and (rolsuper or rolbypassrls)
    order by rolname <> session_user, rolname) as strong,
  array(select relname::text from tenant_tables
    where pg_has_role(session_user, relowner, 'member') order by 1) as owned,
  array(select relname::text from tenant_tables where not relrowsecurity
    or (not relforcerowsecurity and not relname = any ($1)) order by 1) as open"""


class IsolationError(RuntimeError):
    """This database would not isolate its tenants."""


class Database:
    """A pool of connections."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        pool_min: int = 1,
        pool_max: int = 10,
        command_timeout_s: float = 10.0,
        pgbouncer: bool = False,
    ) -> Self:
        """Connect; `pgbouncer` keeps no prepared statements between transactions."""
        pool = await asyncpg.create_pool(
            url,
            min_size=pool_min,
            max_size=pool_max,
            command_timeout=command_timeout_s,
            timeout=command_timeout_s,
            statement_cache_size=0 if pgbouncer else 100,
            init=_read_json,
        )
        return cls(pool)

    def share(self, connections_max: int) -> Self:
        """Return this database, with at most so many of its connections at a time."""
        return type(self)(_Share(self._pool, connections_max))

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def ping(self) -> None:
        """Raise unless the database answers and accepts writes."""
        async with self._pool.acquire() as connection:
            mode = await connection.fetchval("show transaction_read_only")
        if mode == "on":
            raise asyncpg.ReadOnlySQLTransactionError("the server is read-only")

    async def check_isolation(self) -> None:
        """Raise IsolationError unless the policies bind the role that logs in."""
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(_BOUND, _UNFORCED)
        if row["strong"]:
            why = f"it is, or may act as, {row['strong'][0]}: SUPERUSER or BYPASSRLS"
        elif row["owned"]:
            why = f"it owns {row['owned'][0]}, or may act as its owner"
        elif row["open"]:
            why = f"{', '.join(row['open'])}: row-level security is not forced"
        else:
            return
        raise IsolationError(f"the role {row['role']} could read every tenant: {why}")

    @asynccontextmanager
    async def tenant(self, business_id: UUID) -> AsyncIterator[Any]:
        """Yield a connection inside a transaction of this business alone."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.fetchval(_ENTER, str(business_id))
            yield connection

    @asynccontextmanager
    async def routing(self) -> AsyncIterator[Any]:
        """Yield a connection without a tenant, which sees only the tables that lead to
        one: numbers, nodes and the owners of calls."""
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.fetchval(_ENTER_ROUTING)
            yield connection

    @asynccontextmanager
    async def account(
        self, key: str = "", user_id: UUID | None = None
    ) -> AsyncIterator[Any]:
        """Yield a connection without a tenant that sees one account: the account with
        the login name or the token's hash `key`, or that of `user_id`.

        Name a user only after the user has proven who they are.
        """
        async with self._pool.acquire() as connection, connection.transaction():
            user = "" if user_id is None else str(user_id)
            await connection.fetchval(_ENTER_ACCOUNT, key, user)
            yield connection

    @asynccontextmanager
    async def owner(self) -> AsyncIterator[Any]:
        """Yield the login role's connection, to create businesses and numbers with."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection


class _Share:
    """A pool of which only so many connections are had at a time."""

    def __init__(self, pool: Any, connections_max: int) -> None:
        self._pool = pool
        self._turns = asyncio.Semaphore(connections_max)

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Any]:
        """Yield a connection, when it is this caller's turn."""
        async with self._turns, self._pool.acquire() as connection:
            yield connection


async def _read_json(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb",
        encoder=lambda value: orjson.dumps(value).decode(),
        decoder=orjson.loads,
        schema="pg_catalog",
    )
