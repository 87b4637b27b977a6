"""Which sessions are open: of those whose tokens are known, and of no others."""

import asyncio
from uuid import uuid4

from crm import accounts, businesses, open_sessions
from crm.database import Database
from crm.open_sessions import Who


def test_open_sessions_are_those_of_the_tokens_that_are_named(role_url, database_url):
    async def story(db, owner):
        made = {}
        for name, role in (("ours", "owner"), ("theirs", "staff"), ("all", "operator")):
            business_id = None
            if role != "operator":
                business_id = await businesses.create(owner, f"{name} {uuid4().hex}")
            login, token = f"{name}-{uuid4().hex}", uuid4().hex
            user_id = await accounts.add(
                owner, login, name, role, business_id=business_id
            )
            await accounts.open_session(owner, user_id, token, "agent", "::1")
            made[token] = Who(user_id, role, business_id)
        tokens = list(made)
        assert await open_sessions.look(db, tokens) == made
        some = {*tokens[:1], uuid4().hex, accounts.hash_token(tokens[1])}
        assert await open_sessions.look(db, some) == {tokens[0]: made[tokens[0]]}
        assert await open_sessions.look(db, []) == {}

        async def change(statement, token):
            async with owner.owner() as connection:
                await connection.execute(
                    f"update {statement} = $1", made[token].user_id
                )

        session = "console_sessions set {} where user_id"
        await change(session.format("expires_at = now()"), tokens[0])
        old = session.format("seen_at = now() - interval '8 days'")
        await change(old, tokens[1])
        await change("users set disabled_at = now() where id", tokens[2])
        assert await open_sessions.look(db, tokens) == {}
        # A page that stays open uses its session.
        await change("users set disabled_at = null where id", tokens[2])
        unused = session.format("seen_at = now() - interval '6 days'")
        await change(unused, tokens[2])
        assert await open_sessions.look(db, tokens) == {tokens[2]: made[tokens[2]]}
        async with owner.owner() as connection:
            assert await connection.fetchval(
                "select seen_at > now() - interval '1 minute' from console_sessions "
                "where user_id = $1",
                made[tokens[2]].user_id,
            )

    async def main():
        db = await Database.open(role_url, pool_max=2)
        owner = await Database.open(database_url, pool_max=2)
        try:
            await story(db, owner)
        finally:
            await db.close()
            await owner.close()

    asyncio.run(main())
