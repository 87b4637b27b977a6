"""What a database says of a row for good, and what it says for now.

Only what is wrong with the row itself is permanent. All else passes: a server that is
gone, a standby that is read-only (25006), a login refused (28xxx), a missing grant or
table (42xxx), a pooler's own errors. Whoever meets that waits and tries again.
"""

import asyncpg

# All that a query may raise, and with it whatever keeps it from being asked.
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
    """Tell whether a row is refused, and would be at any other time."""
    if not isinstance(error, asyncpg.PostgresError):
        return False
    return str(error.sqlstate)[:2] in _ROW_CLASSES


def is_transient(error: BaseException) -> bool:
    """Tell whether the database does not serve now, whatever it was asked."""
    return isinstance(error, DATABASE_ERRORS) and not is_about_the_row(error)
