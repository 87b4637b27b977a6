"""Which database errors are permanent for a row, and which are transient.

Only an error in the row itself is permanent. All other errors are transient: a server
that is down, a standby that is read-only (25006), a refused login (28xxx), a missing
grant or table (42xxx), a pooler's own errors. After a transient error, wait and retry.
"""

import asyncpg

# All errors that a query may raise, and all that prevent a query.
DATABASE_ERRORS = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # A connection that was lost in the middle of an answer: "another operation is in
    # progress", from the reset that follows.
    asyncpg.InternalClientError,
    asyncpg.PostgresError,
)
# https://www.postgresql.org/docs/current/errcodes-appendix.html: data exception,
# integrity constraint violation, program limit exceeded.
_ROW_CLASSES = frozenset(("22", "23", "54"))


def is_about_the_row(error: BaseException) -> bool:
    """Tell whether the row is refused, now and at any later time."""
    if not isinstance(error, asyncpg.PostgresError):
        return False
    return str(error.sqlstate)[:2] in _ROW_CLASSES


def is_transient(error: BaseException) -> bool:
    """Tell whether the database is unavailable for now, for any query."""
    return isinstance(error, DATABASE_ERRORS) and not is_about_the_row(error)


def in_words(error: BaseException) -> str:
    """Return what a command says of an error: asyncio's own has no words."""
    if isinstance(error, TimeoutError):
        return str(error) or "no answer in time"
    return str(error) or type(error).__name__


def in_short(error: BaseException) -> str:
    """Return what a log may say of an error: of the database's own errors the kind and
    the rule, but not its words, which quote the row.
    """
    name = type(error).__name__
    if not isinstance(error, asyncpg.PostgresError):
        return f"{name}: {error}" if str(error) else name
    rule = error.constraint_name or error.column_name
    return f"{name} ({error.sqlstate})" + (f" of {rule}" if rule else "")
