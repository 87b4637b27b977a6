"""`kolbridge doctor`: the database, who logs in, and what keeps tenants apart."""

from uuid import UUID, uuid4

import asyncpg

from bridge.doctor_check import Check
from bridge.serve import ROLE_WANTED, require_bound_role
from bridge.settings import Settings
from crm import businesses
from crm.away import DATABASE_ERRORS
from crm.database import Database, IsolationError

_TENANT_TABLES = ("business_settings", "leads", "appointments", "calls", "call_turns")


async def check_database(database: Database) -> list[Check]:
    """Ask for the businesses."""
    await database.ping()
    count = len(await businesses.list_all(database))
    if count:
        return [Check("database", True, f"migrated, {count} businesses")]
    text = "no business yet: make one with `kolbridge tenant create`"
    return [Check("database", False, text)]


async def check_role(settings: Settings, url: str) -> list[Check]:
    """Look at the role that `kolbridge serve` logs in as."""
    try:
        await require_bound_role(settings, url)
    except IsolationError as error:
        return [Check("service role", False, f"{error}; {ROLE_WANTED}")]
    except DATABASE_ERRORS as error:
        text = str(error) or type(error).__name__
        return [Check("service role", False, f"{text}; {ROLE_WANTED}")]
    return [Check("service role", True, "bound by row-level security")]


async def check_isolation(database: Database) -> list[Check]:
    """Try to see and to write another tenant's rows; the database must refuse."""
    tenants = [business_id for business_id, _ in await businesses.list_all(database)]
    mine = tenants[0] if tenants else uuid4()
    seen = 0
    async with database.tenant(mine) as connection:
        for table in _TENANT_TABLES:
            seen += await connection.fetchval(
                f"select count(*) from {table} where business_id <> $1", mine
            )
    if seen:
        text = f"{seen} rows of other tenants are visible: is the role a superuser?"
        return [Check("tenant isolation", False, text)]
    if await _can_write(database, mine, uuid4()):
        text = "a row of another tenant could be written: check the policies"
        return [Check("tenant isolation", False, text)]
    return [Check("tenant isolation", True, "foreign rows cannot be seen or written")]


async def _can_write(database: Database, mine: UUID, other: UUID) -> bool:
    """Try to write; the failing statement takes its transaction with it."""
    try:
        async with database.tenant(mine) as connection:
            await connection.execute(
                "insert into leads (business_id, phone) values ($1, '+15550000000')",
                other,
            )
    except asyncpg.InsufficientPrivilegeError:
        return False
    except asyncpg.ForeignKeyViolationError:
        return True
    return True
