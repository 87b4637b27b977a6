"""Accounts of the console: users, their login links and their sessions.

A transaction of `Database.account` sees one account alone. Passwords come here hashed,
tokens go into the tables as their hash.
"""

import hashlib
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from crm.database import Database

ROLES = ("operator", "owner", "staff")
# A session ends after this time in any case, and after a week without a request.
SESSION_DAYS_MAX = 30
SESSION_IDLE_DAYS = 7
# How often a session notes that it was used: not at each request.
_SEEN_EVERY = timedelta(minutes=1)
AGENT_CHARS_MAX = 200
LOGIN_CHARS_MAX = 254

_USER = (
    "u.id, u.login, u.name, u.password_hash, u.is_operator, u.language, "
    "u.totp_secret, u.disabled_at, m.business_id, m.role "
    "from users u left join memberships m on m.user_id = u.id "
)


class AccountError(ValueError):
    """An account cannot be made or changed; the text says why."""


class User(msgspec.Struct, frozen=True, kw_only=True):
    """A person who may log in; an operator belongs to no business."""

    id: UUID
    login: str
    name: str
    role: str
    business_id: UUID | None
    language: str | None
    password_hash: str | None = None
    totp_secret: str | None = None
    disabled_at: datetime | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A browser in which a user is logged in."""

    id: UUID
    created_at: datetime
    seen_at: datetime
    agent: str
    address: str


def hash_token(token: str) -> str:
    """Return the form of a token that is stored; the token itself is random enough."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()


def same_login(login: str) -> str:
    """Return a login name as it is stored: lower case, without spaces around it."""
    return login.strip().lower()


# --- by the owner: the command line ---


async def add(
    db: Database,
    login: str,
    name: str,
    role: str,
    *,
    business_id: UUID | None = None,
    password_hash: str | None = None,
    language: str | None = None,
) -> UUID:
    """Make an account; raises AccountError if the login name is in use."""
    assert (role == "operator") == (business_id is None), role
    try:
        async with db.owner() as connection:
            user_id: UUID = await connection.fetchval(
                "insert into users (login, name, password_hash, is_operator, language) "
                "values ($1, $2, $3, $4, $5) returning id",
                same_login(login),
                name,
                password_hash,
                role == "operator",
                language,
            )
            if business_id is not None:
                await _join(connection, business_id, user_id, role)
    except asyncpg.UniqueViolationError:
        raise AccountError(f"{login}: this login name is in use") from None
    except asyncpg.CheckViolationError:
        raise AccountError(
            f"{login!r}: expected an e-mail address or a name without spaces"
        ) from None
    return user_id


async def _join(connection: Any, business_id: UUID, user_id: UUID, role: str) -> None:
    await connection.fetchval(
        "select set_config('app.business_id', $1, true)", str(business_id)
    )
    await connection.execute(
        "insert into memberships (business_id, user_id, role) values ($1, $2, $3)",
        business_id,
        user_id,
        role,
    )


async def list_all(db: Database) -> list[User]:
    """Return every account, by login name."""
    async with db.owner() as connection:
        ids = [row["id"] for row in await connection.fetch("select id from users")]
    found = [await get(db, user_id) for user_id in ids]
    return sorted(filter(None, found), key=lambda user: user.login)


async def find(db: Database, login: str) -> User | None:
    """Return the account of a login name, disabled or not."""
    async with db.account(same_login(login)) as connection:
        user_id = await connection.fetchval(
            "select id from users where login = $1", same_login(login)
        )
        if user_id is None:
            return None
        return await _read(connection, user_id)


async def get(db: Database, user_id: UUID) -> User | None:
    """Return an account, disabled or not."""
    async with db.account(user_id=user_id) as connection:
        return await _read(connection, user_id)


async def _read(connection: Any, user_id: UUID) -> User | None:
    await connection.fetchval(
        "select set_config('app.account_user', $1, true)", str(user_id)
    )
    row = await connection.fetchrow(f"select {_USER} where u.id = $1", user_id)
    if row is None:
        return None
    values = dict(row)
    if values.pop("is_operator"):
        values["role"] = "operator"
    # Nobody, if the membership is gone.
    return User(**values) if values["role"] else None


async def disable(db: Database, user_id: UUID, *, is_disabled: bool = True) -> None:
    """Close an account and end its sessions, or open it again."""
    async with db.owner() as connection:
        await connection.execute(
            "update users set disabled_at = case when $2 then now() end where id = $1",
            user_id,
            is_disabled,
        )
        await _log_out(connection, user_id)


async def remove(db: Database, user_id: UUID) -> None:
    """Delete an account with its sessions."""
    async with db.owner() as connection:
        await connection.execute("delete from users where id = $1", user_id)


async def _log_out(connection: Any, user_id: UUID) -> None:
    for table in ("console_sessions", "login_links"):
        await connection.execute(f"delete from {table} where user_id = $1", user_id)


# --- by the account itself ---


async def set_password(
    db: Database, user_id: UUID, password_hash: str, *, keep: str = ""
) -> None:
    """Change a password; end every session but the one whose token is `keep`."""
    async with db.account(user_id=user_id) as connection:
        await connection.execute(
            "update users set password_hash = $2 where id = $1", user_id, password_hash
        )
        await connection.execute(
            "delete from console_sessions where user_id = $1 and token_hash <> $2",
            user_id,
            hash_token(keep),
        )
        await connection.execute("delete from login_links where user_id = $1", user_id)


async def set_language(db: Database, user_id: UUID, language: str) -> None:
    """Set the language of the pages for a user."""
    async with db.account(user_id=user_id) as connection:
        await connection.execute(
            "update users set language = $2 where id = $1", user_id, language
        )


async def set_totp(db: Database, user_id: UUID, secret: str | None) -> None:
    """Set or remove the second factor."""
    async with db.account(user_id=user_id) as connection:
        await connection.execute(
            "update users set totp_secret = $2 where id = $1", user_id, secret
        )


async def use_totp(db: Database, user_id: UUID, period: int) -> bool:
    """Note that a period's code was used; False if it, or a later one, was before."""
    async with db.account(user_id=user_id) as connection:
        done: str = await connection.execute(
            "update users set totp_period = $2 where id = $1 and totp_period < $2",
            user_id,
            period,
        )
    return done.endswith(" 1")


async def note(db: Database, user_id: UUID, action: str, address: str = "") -> None:
    """Write down what happened to an account."""
    async with db.account(user_id=user_id) as connection:
        await connection.execute(
            "insert into account_events (user_id, action, address) values ($1, $2, $3)",
            user_id,
            action,
            address,
        )


# --- links ---


async def add_link(db: Database, user_id: UUID, token: str, minutes: int) -> None:
    """Store a link that opens an account once, within `minutes`."""
    async with db.account(user_id=user_id) as connection:
        await connection.execute(
            "insert into login_links (token_hash, user_id, expires_at) values "
            "($1, $2, now() + make_interval(mins => $3))",
            hash_token(token),
            user_id,
            minutes,
        )


async def user_of_link(db: Database, token: str) -> User | None:
    """Return whose account a link would open; None if it opens none."""
    return await _by_link(db, token, is_used=False)


async def use_link(db: Database, token: str) -> User | None:
    """Return whose account a link opens, and use it up; None if it opens none."""
    return await _by_link(db, token, is_used=True)


async def _by_link(db: Database, token: str, *, is_used: bool) -> User | None:
    key = hash_token(token)
    async with db.account(key) as connection:
        user_id = await connection.fetchval(
            "select user_id from login_links where token_hash = $1 "
            "and used_at is null and expires_at > now()"
            f"{' for update' if is_used else ''}",
            key,
        )
        user = None if user_id is None else await _read(connection, user_id)
        if user is None or user.disabled_at is not None:
            return None
        if is_used:
            await connection.execute(
                "update login_links set used_at = now() where token_hash = $1", key
            )
    return user


# --- sessions ---


async def open_session(
    db: Database, user_id: UUID, token: str, agent: str, address: str
) -> None:
    """Store a session of a user who has logged in; forget those that have ended."""
    async with db.account(user_id=user_id) as connection:
        await connection.execute(
            "delete from console_sessions where user_id = $1 "
            "and (expires_at < now() or seen_at < now() - make_interval(days => $2))",
            user_id,
            SESSION_IDLE_DAYS,
        )
        await connection.execute(
            "delete from login_links where user_id = $1 and expires_at < now()", user_id
        )
        await connection.execute(
            "insert into console_sessions "
            "(token_hash, user_id, agent, address, expires_at) values "
            "($1, $2, $3, $4, now() + make_interval(days => $5))",
            hash_token(token),
            user_id,
            agent[:AGENT_CHARS_MAX].encode("utf-8", "replace").decode(),
            address,
            SESSION_DAYS_MAX,
        )


async def user_of_session(db: Database, token: str) -> User | None:
    """Return who is logged in with a session's token; None if nobody is."""
    key = hash_token(token)
    async with db.account(key) as connection:
        row = await connection.fetchrow(
            "select user_id, now() - seen_at as unseen from console_sessions "
            "where token_hash = $1 and expires_at > now() "
            "and seen_at > now() - make_interval(days => $2)",
            key,
            SESSION_IDLE_DAYS,
        )
        if row is None:
            return None
        user = await _read(connection, row["user_id"])
        if user is None or user.disabled_at is not None:
            return None
        if row["unseen"] > _SEEN_EVERY:
            await connection.execute(
                "update console_sessions set seen_at = now() where token_hash = $1", key
            )
    return user


async def sessions(db: Database, user_id: UUID) -> list[Session]:
    """Return the sessions of a user, the last used first."""
    async with db.account(user_id=user_id) as connection:
        rows = await connection.fetch(
            "select id, created_at, seen_at, agent, address from console_sessions "
            "where user_id = $1 and expires_at > now() order by seen_at desc",
            user_id,
        )
    return [Session(**dict(row)) for row in rows]


async def session_id(db: Database, user_id: UUID, token: str) -> UUID | None:
    """Return the id of the session that has a token."""
    async with db.account(user_id=user_id) as connection:
        found: UUID | None = await connection.fetchval(
            "select id from console_sessions where token_hash = $1", hash_token(token)
        )
    return found


async def close_session(db: Database, user_id: UUID, session: UUID) -> bool:
    """End a session of a user; False if the user has no such session."""
    async with db.account(user_id=user_id) as connection:
        done: str = await connection.execute(
            "delete from console_sessions where user_id = $1 and id = $2",
            user_id,
            session,
        )
    return done.endswith(" 1")


# --- businesses ---


class Seen(msgspec.Struct, frozen=True):
    """A business as an operator's list shows it."""

    id: UUID
    name: str
    language: str
    time_zone: str


async def businesses_of(
    db: Database, user_id: UUID, after: tuple[str, str] = ("", ""), most: int = 50
) -> list[Seen]:
    """Return the businesses that an operator sees, by name; none for others.

    `after` is the name and the id of the last business of the page before.
    """
    async with db.account(user_id=user_id) as connection:
        rows = await connection.fetch(
            "select * from app.operators_businesses($1, $2, $3)", *after, most
        )
    return [Seen(**dict(row)) for row in rows]
