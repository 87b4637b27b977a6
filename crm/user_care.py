"""Accounts as operators and owners manage them in the console.

Whoever asks is known by the token of their session alone: the database finds the
session, its user and what that user may do (`app.manager`). An operator manages every
account but their own; an owner manages the staff of their business.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from crm.accounts import AccountError, hash_token, same_login
from crm.database import Database

# Of one business.
USERS_MAX = 200
OPERATORS_MAX = 10_000


class LoginInUse(AccountError):
    """Another account has this login name."""


class NotAllowed(Exception):
    """The session's user may not do this."""


class TooManyUsers(Exception):
    """The business has as many accounts as one business may have."""


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """An account as its manager sees it: without what opens it."""

    id: UUID
    login: str
    name: str
    role: str
    business_id: UUID | None
    business: str | None
    has_password: bool
    has_second_factor: bool
    disabled_at: datetime | None
    logged_in_at: datetime | None
    # Whether whoever asks may change it.
    may_change: bool


async def listed(
    db: Database,
    session: str,
    business_id: UUID | None = None,
    *,
    after: str = "",
    most: int = 50,
) -> list[Account]:
    """Return the accounts that a session's user sees, by login name.

    `after` is the login name that ends the page before.
    """
    return await _seen(db, session, business_id, None, after, most)


async def get(db: Database, session: str, user_id: UUID) -> Account | None:
    """Return an account, if the session's user sees it."""
    found = await _seen(db, session, None, user_id, "", 1)
    return found[0] if found else None


async def _seen(db: Database, session: str, *values: Any) -> list[Account]:
    async with db.account(hash_token(session)) as connection:
        rows = await connection.fetch(
            "select * from app.users_seen($1, $2, $3, $4)", *values
        )
    return [Account(**dict(row)) for row in rows]


async def add(
    db: Database,
    session: str,
    login: str,
    name: str,
    role: str,
    business_id: UUID | None,
) -> UUID:
    """Make an account; raises AccountError, LoginInUse, NotAllowed or TooManyUsers."""
    try:
        async with db.account(hash_token(session)) as connection:
            user_id: UUID = await connection.fetchval(
                "select app.add_user($1, $2, $3, $4, $5)",
                same_login(login),
                name,
                role,
                business_id,
                OPERATORS_MAX if business_id is None else USERS_MAX,
            )
    except asyncpg.UniqueViolationError:
        raise LoginInUse(f"{login}: this login name is in use") from None
    except asyncpg.CheckViolationError:
        raise AccountError(
            f"{login!r}: expected an e-mail address or a name without spaces"
        ) from None
    except asyncpg.InsufficientPrivilegeError:
        raise NotAllowed from None
    except asyncpg.ProgramLimitExceededError:
        raise TooManyUsers from None
    return user_id


async def disable(db: Database, session: str, user_id: UUID, *, is_off: bool) -> bool:
    """Close an account and end its sessions, or open it; False if it is not managed."""
    return await _change(db, session, "set_user_disabled($1, $2)", user_id, is_off)


async def set_role(db: Database, session: str, user_id: UUID, role: str) -> bool:
    """Make an owner or staff of a member, whose sessions end: operators may."""
    assert role in ("owner", "staff"), role
    return await _change(db, session, "set_user_role($1, $2)", user_id, role)


async def remove(db: Database, session: str, user_id: UUID) -> bool:
    """Remove an account with its sessions; False if it is not managed."""
    return await _change(db, session, "remove_user($1)", user_id)


async def invite(
    db: Database, session: str, user_id: UUID, token: str, minutes: int
) -> bool:
    """Store a link that opens an account once, in place of those before it."""
    link = hash_token(token)
    return await _change(db, session, "invite_user($1, $2, $3)", user_id, link, minutes)


async def _change(db: Database, session: str, call: str, *values: Any) -> bool:
    async with db.account(hash_token(session)) as connection:
        return bool(await connection.fetchval(f"select app.{call}", *values))
