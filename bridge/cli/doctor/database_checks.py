"""`kolbridge doctor`: the database, who logs in, and what keeps tenants apart."""

import asyncio
from uuid import UUID, uuid4

import asyncpg

from bridge.cli.doctor.check import Check
from bridge.service.serve import ROLE_WANTED, require_bound_role
from bridge.settings.process import Settings
from crm import businesses
from crm.database import Database, IsolationError
from crm.transient import DATABASE_ERRORS, in_words

# The errors of prepared statements behind a pooler in transaction mode.
_STATEMENT_LOST = (
    asyncpg.DuplicatePreparedStatementError,
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.ProtocolViolationError,
)
# How often each of the connections is used.
POOL_ROUNDS = 5
# How many connections are tried; a hundred at once would take those of others.
POOL_TRIED_MAX = 20
# A number of nobody: its ITU country code is not assigned.
NO_NUMBER = "+999000000000"
_TENANT_TABLES = ("business_settings", "leads", "appointments", "calls", "call_turns")


async def check_database(database: Database) -> list[Check]:
    """Ask for the businesses."""
    await database.ping()
    count = len(await businesses.list_all(database))
    if count:
        noun = "business" if count == 1 else "businesses"
        return [Check("database", True, f"migrated, {count} {noun}")]
    text = "no business yet: make one with `kolbridge tenant create`"
    return [Check("database", False, text)]


async def check_role(settings: Settings, url: str) -> list[Check]:
    """Check the role that `kolbridge serve` logs in as."""
    try:
        await require_bound_role(settings, url)
    except IsolationError as error:
        return [Check("service role", False, f"{error}; {ROLE_WANTED}")]
    except DATABASE_ERRORS as error:
        return [Check("service role", False, f"{in_words(error)}; {ROLE_WANTED}")]
    return [Check("service role", True, "bound by row-level security")]


async def check_pool(settings: Settings, url: str) -> list[Check]:
    """Open as many connections as a worker does, and use them all at once.

    Behind a pooler in transaction mode, a statement prepared on one connection reaches
    another: with a single connection this goes unnoticed.
    """
    count = min(settings.database_pool_size, POOL_TRIED_MAX)
    try:
        database = await Database.open(
            url, pool_min=count, pool_max=count, pgbouncer=settings.db_pgbouncer
        )
    except asyncpg.TooManyConnectionsError as error:
        text = f"{count} connections at once: {error}: lower DATABASE_POOL_SIZE"
        return [Check("connections", False, f"{text} or raise max_connections")]
    except DATABASE_ERRORS as error:
        return [Check("connections", False, in_words(error))]
    # Each query runs to its end: some poolers fail when a query is cancelled.
    found = await asyncio.gather(
        *(_use(database) for _ in range(2 * count)), return_exceptions=True
    )
    await database.close()
    errors = [one for one in found if one is not None]
    for lost in errors:
        if isinstance(lost, _STATEMENT_LOST):
            text = f"{type(lost).__name__}: a pooler in transaction mode stands before"
            return [Check("connections", False, f"{text} it: set DB_PGBOUNCER=1")]
    if errors:
        text = str(errors[0]) or type(errors[0]).__name__
        return [Check("connections", False, text)]
    return [
        *await _check_total(settings, url),
        Check("connections", True, f"{count} at once"),
    ]


async def _use(database: Database) -> None:
    """Do several times what the service does when a call comes."""
    for _ in range(POOL_ROUNDS):
        await businesses.find_by_number(database, NO_NUMBER)


async def _check_total(settings: Settings, url: str) -> list[Check]:
    """Compare the connections of all workers with the server's limit."""
    if settings.db_pgbouncer:
        return []
    connection = await asyncpg.connect(url)
    try:
        most = int(await connection.fetchval("show max_connections"))
    finally:
        await connection.close()
    wanted = settings.database_pool_size * settings.workers
    if wanted < most:
        return []
    text = (
        f"{settings.workers} workers may open {wanted}, the server takes {most}: lower "
        "DATABASE_POOL_SIZE or raise max_connections"
    )
    return [Check("connections", False, text)]


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
    """Try to write; a failing statement aborts its transaction."""
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
