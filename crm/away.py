"""What says that the database is away, and not that it refuses what it was asked."""

import asyncpg

AWAY = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # A connection that was lost in the middle of an answer: "another operation is in
    # progress", from the reset that follows.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.TransactionRollbackError,
)
