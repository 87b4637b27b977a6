"""Accounts: the service's role sees the one whose key it names, and no other."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from crm import accounts, businesses
from crm.accounts import AccountError
from crm.database import Database

TABLES = ("users", "login_links", "console_sessions", "account_events")


def run(story, url, owner_url):
    """Tell a story to the service's role and to the owner."""

    async def main():
        db = await Database.open(url, pool_max=2)
        owner = await Database.open(owner_url, pool_max=2)
        try:
            return await story(db, owner)
        finally:
            await db.close()
            await owner.close()

    return asyncio.run(main())


async def people(owner):
    """Return two businesses' owners and an operator, each with a row in each table."""
    made = {}
    for name in ("ours", "theirs", "operator"):
        business_id = None
        if name != "operator":
            business_id = await businesses.create(owner, f"{name} {uuid4().hex}")
        login = f"{name}-{uuid4().hex}@example.com"
        user_id = await accounts.add(
            owner,
            login,
            name,
            "owner" if business_id else "operator",
            business_id=business_id,
        )
        await accounts.note(owner, user_id, "login")
        await accounts.open_session(owner, user_id, f"s-{login}", "agent", "::1")
        await accounts.add_link(owner, user_id, f"l-{login}", 5)
        made[name] = (user_id, login, business_id)
    return made


async def seen(connection):
    """Return the ids of the users whose rows a transaction sees, by table."""
    found = {}
    for table in TABLES:
        column = "id" if table == "users" else "user_id"
        rows = await connection.fetch(f"select {column} as id from {table}")
        found[table] = {row["id"] for row in rows}
    return found


def test_a_transaction_sees_no_account_but_those_of_its_key(role_url, database_url):
    async def story(db, owner):
        made = await people(owner)
        user_id, login, business_id = made["ours"]
        async with db.routing() as connection:
            assert not any((await seen(connection)).values())
            assert await connection.fetch("select * from memberships") == []
        async with db.account(login) as connection:
            found = await seen(connection)
            assert found.pop("users") == {user_id}
            assert not any(found.values())
        async with db.account(accounts.hash_token(f"s-{login}")) as connection:
            found = await seen(connection)
            assert found.pop("console_sessions") == {user_id}
            assert not any(found.values())
        async with db.account(user_id=user_id) as connection:
            assert set(map(frozenset, (await seen(connection)).values())) == {
                frozenset({user_id})
            }
        async with db.tenant(business_id) as connection:
            found = await seen(connection)
            assert found.pop("users") == {user_id}
            assert not any(found.values())

    run(story, role_url, database_url)


@pytest.mark.parametrize(
    "statement",
    [
        "update users set is_operator = true",
        "update users set login = 'x'",
        "update users set disabled_at = null",
        "delete from users",
        "insert into users (login, name) values ('new', 'New')",
        "delete from audit_log",
        "update audit_log set user_name = 'x'",
        "delete from account_events",
        "insert into memberships (business_id, user_id, role) "
        "select business_id, user_id, 'owner' from memberships",
    ],
)
def test_the_service_s_role_makes_nobody_an_operator(role_url, database_url, statement):
    async def story(db, owner):
        user_id, _, _ = (await people(owner))["ours"]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with db.account(user_id=user_id) as connection:
                await connection.execute(statement)

    run(story, role_url, database_url)


def test_only_an_operator_lists_businesses_page_by_page(role_url, database_url):
    async def story(db, owner):
        made = await people(owner)
        first = await accounts.businesses_of(db, made["operator"][0], most=1)
        after = (first[0].name, str(first[0].id))
        rest = await accounts.businesses_of(db, made["operator"][0], after, 1_000)
        listed = [one.id for one in (*first, *rest)]
        assert {made["ours"][2], made["theirs"][2]} <= set(listed)
        assert len(listed) == len(set(listed))
        assert await accounts.businesses_of(db, made["ours"][0]) == []
        await accounts.disable(owner, made["operator"][0])
        assert await accounts.businesses_of(db, made["operator"][0]) == []

    run(story, role_url, database_url)


def test_a_session_lasts_until_it_is_closed_or_too_old(role_url, database_url):
    async def story(db, owner):
        user_id, login, _ = (await people(owner))["ours"]
        token = f"s-{login}"
        assert (await accounts.user_of_session(db, token)).id == user_id
        for column in ("seen_at = now() - interval '8 days'", "expires_at = now()"):
            async with owner.owner() as connection:
                await connection.execute(
                    f"update console_sessions set {column} where user_id = $1", user_id
                )
            assert await accounts.user_of_session(db, token) is None
            async with owner.owner() as connection:
                await connection.execute(
                    "update console_sessions set seen_at = now(), "
                    "expires_at = now() + interval '1 day' where user_id = $1",
                    user_id,
                )
        assert await accounts.user_of_session(db, "another") is None

    run(story, role_url, database_url)


def test_who_belonged_to_a_deleted_business_has_no_account(database_url):
    from crm.deleting import delete

    async def story(db, owner):
        user_id, login, business_id = (await people(owner))["ours"]
        await delete(owner, business_id)
        assert await accounts.find(owner, login) is None
        assert await accounts.get(owner, user_id) is None

    run(story, database_url, database_url)


def test_a_login_name_is_one_person_s_whatever_its_case(database_url):
    async def story(db, owner):
        name = f"Dana-{uuid4().hex}"
        await accounts.add(owner, name, "Dana", "operator")
        assert (await accounts.find(owner, f" {name.upper()} ")).name == "Dana"
        for wrong in (name.lower(), "two words", "a/b"):
            with pytest.raises(AccountError):
                await accounts.add(owner, wrong, "Dana", "operator")

    run(story, database_url, database_url)
