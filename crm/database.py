"""The database of all tenants, one at a time.

`tenant` is the only way to a business's rows: a transaction in the role kolbridge_app,
with the business set for that transaction alone. Role and business end with the
transaction, so a pooled connection carries no tenant, and a forgotten WHERE reveals no
row of another tenant.
"""

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
# Queries the privileges of the role that logged in. A role that may act as a stronger
# role is as strong: it can bypass the policies as that role. `businesses` is not
# forced, so the role must not own it.
_BOUND = """
with tenant_tables as (
  select relname, relowner, relrowsecurity, relforcerowsecurity from pg_class
  where relnamespace = 'public'::regnamespace and relkind = 'r'
    and exists (select from pg_attribute where attrelid = pg_class.oid
      and (attname = 'business_id' or relname = 'businesses'))
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
    or (not relforcerowsecurity and relname <> 'businesses') order by 1) as open"""


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

    async def close(self) -> None:
        """Close every connection."""
        await self._pool.close()

    async def ping(self) -> None:
        """Raise unless the database answers and accepts writes."""
        if await self._pool.fetchval("show transaction_read_only") == "on":
            raise asyncpg.ReadOnlySQLTransactionError("the server is read-only")

    async def check_isolation(self) -> None:
        """Raise IsolationError unless the policies bind the role that logs in."""
        async with self._pool.acquire() as connection:
            row = await connection.fetchrow(_BOUND)
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
    async def owner(self) -> AsyncIterator[Any]:
        """Yield the login role's connection, to create businesses and numbers with."""
        async with self._pool.acquire() as connection, connection.transaction():
            yield connection


async def _read_json(connection: Any) -> None:
    await connection.set_type_codec(
        "jsonb",
        encoder=lambda value: orjson.dumps(value).decode(),
        decoder=orjson.loads,
        schema="pg_catalog",
    )
