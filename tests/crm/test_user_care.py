"""Managing accounts: an operator all of them, an owner the staff of one business."""

import asyncio
from uuid import uuid4

import asyncpg
import pytest

from crm import accounts, businesses, user_care
from crm.accounts import AccountError
from crm.database import Database
from crm.user_care import LoginInUse, NotAllowed, TooManyUsers


def run(story, url, owner_url):
    """Tell a story to the service's role, and to the owner of the schema."""

    async def main():
        db = await Database.open(url, pool_max=3)
        owner = await Database.open(owner_url, pool_max=2)
        try:
            return await story(db, owner, await people(owner))
        finally:
            await db.close()
            await owner.close()

    return asyncio.run(main())


class Person:
    """An account with a session whose token is `token`."""

    def __init__(self, user_id, login, business_id, token):
        self.id = user_id
        self.login = login
        self.business_id = business_id
        self.token = token


async def person(owner, role, business_id=None):
    login = f"{role}-{uuid4().hex}@example.com"
    user_id = await accounts.add(owner, login, role, role, business_id=business_id)
    token = uuid4().hex
    await accounts.open_session(owner, user_id, token, "agent", "::1")
    return Person(user_id, login, business_id, token)


async def people(owner):
    """Return an operator, and of two businesses an owner and staff."""
    ours = await businesses.create(owner, f"Ours {uuid4().hex}")
    theirs = await businesses.create(owner, f"Theirs {uuid4().hex}")
    return {
        "operator": await person(owner, "operator"),
        "second operator": await person(owner, "operator"),
        "our owner": await person(owner, "owner", ours),
        "our second owner": await person(owner, "owner", ours),
        "our staff": await person(owner, "staff", ours),
        "their owner": await person(owner, "owner", theirs),
        "their staff": await person(owner, "staff", theirs),
    }


async def seen_by(db, who, known):
    """Return which of the known people a person sees, and which of them may be
    changed."""
    found, after = [], ""
    while page := await user_care.listed(db, who.token, after=after, most=100):
        found += page
        after = page[-1].login
    names = {one.id: name for name, one in known.items()}
    seen = {names[one.id] for one in found if one.id in names}
    return seen, {names[one.id] for one in found if one.may_change and one.id in names}


def test_each_sees_and_changes_whom_they_manage(role_url, database_url):
    async def story(db, owner, known):
        everybody = set(known)
        assert await seen_by(db, known["operator"], known) == (
            everybody,
            everybody - {"operator"},
        )
        assert await seen_by(db, known["our owner"], known) == (
            {"our owner", "our second owner", "our staff"},
            {"our staff"},
        )
        for name in ("our staff", "their staff"):
            assert await seen_by(db, known[name], known) == (set(), set())
        theirs = known["their owner"].business_id
        token = known["our owner"].token
        assert await user_care.listed(db, token, theirs) == []
        assert await user_care.get(db, token, known["their staff"].id) is None

    run(story, role_url, database_url)


async def changes_of(db, token, target):
    """Try every change of an account; return those that were made."""
    link = uuid4().hex
    tries = {
        "disable": user_care.disable(db, token, target, is_off=True),
        "enable": user_care.disable(db, token, target, is_off=False),
        "role": user_care.set_role(db, token, target, "owner"),
        "invite": user_care.invite(db, token, target, link, 5),
        "remove": user_care.remove(db, token, target),
    }
    return {name for name, attempt in tries.items() if await attempt}


def test_nobody_changes_an_account_that_is_not_theirs_to_manage(role_url, database_url):
    async def story(db, owner, known):
        for actor in ("our owner", "our staff", "their owner", "their staff"):
            token = known[actor].token
            for target, one in known.items():
                if (actor, target) in (
                    ("our owner", "our staff"),
                    ("their owner", "their staff"),
                ):
                    continue
                assert await changes_of(db, token, one.id) == set(), (actor, target)
        for token in ("", uuid4().hex, known["operator"].login):
            assert await changes_of(db, token, known["our staff"].id) == set()
        operator = known["operator"]
        assert await changes_of(db, operator.token, operator.id) == set()
        for one in known.values():
            assert await accounts.user_of_session(owner, one.token), one.login
        assert (await accounts.get(owner, known["our staff"].id)).role == "staff"

    run(story, role_url, database_url)


def test_owner_manages_staff_but_gives_no_role(role_url, database_url):
    async def story(db, owner, known):
        token, staff = known["our owner"].token, known["our staff"]
        assert await changes_of(db, token, staff.id) == {
            *("disable", "enable", "invite", "remove")
        }
        assert await accounts.get(owner, staff.id) is None

    run(story, role_url, database_url)


def test_who_is_added_stands_where_the_adder_may_add(role_url, database_url):
    async def story(db, owner, known):
        ours = known["our owner"].business_id
        theirs = known["their owner"].business_id

        async def added(actor, role, business_id):
            login = f"new-{uuid4().hex}"
            try:
                user_id = await user_care.add(
                    db, known[actor].token, login, "New", role, business_id
                )
            except NotAllowed:
                assert await accounts.find(owner, login) is None
                return None
            made = await accounts.get(owner, user_id)
            return made.role, made.business_id

        for role, business_id in (
            *(("operator", None), ("owner", ours), ("staff", theirs)),
        ):
            assert await added("operator", role, business_id) == (role, business_id)
            assert await added("our owner", role, business_id) is None
            assert await added("our staff", role, business_id) is None
        assert await added("our owner", "staff", ours) == ("staff", ours)
        assert await added("our owner", "staff", None) is None
        for role, business_id in (("operator", ours), ("owner", None)):
            assert await added("operator", role, business_id) is None

    run(story, role_url, database_url)


def test_a_login_name_in_use_or_malformed_is_refused(role_url, database_url):
    async def story(db, owner, known):
        token = known["operator"].token
        taken = known["our staff"].login.upper()
        with pytest.raises(LoginInUse):
            await user_care.add(db, token, taken, "New", "operator", None)
        with pytest.raises(AccountError, match="without spaces"):
            await user_care.add(db, token, "two words", "New", "operator", None)

    run(story, role_url, database_url)


def test_a_business_has_so_many_accounts_and_no_more(
    role_url, database_url, monkeypatch
):
    async def story(db, owner, known):
        ours, token = known["our owner"].business_id, known["our owner"].token
        monkeypatch.setattr(user_care, "USERS_MAX", 4)
        await user_care.add(db, token, uuid4().hex, "New", "staff", ours)
        with pytest.raises(TooManyUsers):
            await user_care.add(db, token, uuid4().hex, "New", "staff", ours)

    run(story, role_url, database_url)


def test_a_session_that_ended_manages_nobody(role_url, database_url):
    async def story(db, owner, known):
        operator, target = known["operator"], known["our staff"].id
        later = "now() + interval '1 day'"
        for seen_at, expires_at, lasts in (
            ("now() - interval '8 days'", later, False),
            ("now()", "now()", False),
            ("now() - interval '6 days'", later, True),
        ):
            async with owner.owner() as connection:
                await connection.execute(
                    f"update console_sessions set seen_at = {seen_at}, "
                    f"expires_at = {expires_at} where user_id = $1",
                    operator.id,
                )
            found = await user_care.get(db, operator.token, target)
            assert (found is not None) is lasts
            assert lasts or not await changes_of(db, operator.token, target)
        async with owner.owner() as connection:
            await connection.execute(
                "update users set disabled_at = now() where id = $1", operator.id
            )
        assert await changes_of(db, operator.token, target) == set()
        assert await user_care.listed(db, operator.token) == []

    run(story, role_url, database_url)


def test_the_id_of_an_operator_proves_nothing(role_url, database_url):
    async def story(db, owner, known):
        operator = known["operator"]
        async with db.account(operator.login, operator.id) as connection:
            rows = await connection.fetch(
                "select * from app.users_seen(null, null, '', 10)"
            )
            assert rows == []
            assert not await connection.fetchval(
                "select app.remove_user($1)", known["our staff"].id
            )
        async with db.tenant(known["our owner"].business_id) as connection:
            assert not await connection.fetchval(
                "select app.remove_user($1)", known["our staff"].id
            )

    run(story, role_url, database_url)


@pytest.mark.parametrize(
    "call",
    [
        "app.manager()",
        "app.may_change(null)",
        "app.note_care(null, 'x')",
        "app.end_sessions(null)",
        "app.begin_care(null)",
    ],
)
def test_the_parts_of_a_change_cannot_be_called_by_themselves(
    role_url, database_url, call
):
    async def story(db, owner, known):
        token = accounts.hash_token(known["operator"].token)
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with db.account(token) as connection:
                await connection.execute(f"select * from {call}")

    run(story, role_url, database_url)


def test_a_change_ends_the_sessions_and_is_written_down(role_url, database_url):
    async def story(db, owner, known):
        operator, staff = known["operator"], known["our staff"]
        assert await user_care.set_role(db, operator.token, staff.id, "owner")
        assert await accounts.user_of_session(db, staff.token) is None
        assert (await accounts.get(owner, staff.id)).role == "owner"
        await accounts.open_session(owner, staff.id, staff.token, "agent", "::1")
        assert await user_care.disable(db, operator.token, staff.id, is_off=True)
        assert await accounts.user_of_session(db, staff.token) is None
        assert not await user_care.invite(db, operator.token, staff.id, "x", 5)
        assert await user_care.remove(db, operator.token, staff.id)
        async with owner.owner() as connection:
            told = [
                row["action"]
                for row in await connection.fetch(
                    "select action from account_events where user_id = $1", operator.id
                )
            ]
        assert sorted(told) == [
            f"account disabled: {staff.login}",
            f"account removed: {staff.login}",
            f"role owner: {staff.login}",
        ]

    run(story, role_url, database_url)


def test_a_link_replaces_those_before_it(role_url, database_url):
    async def story(db, owner, known):
        token, staff = known["our owner"].token, known["our staff"]
        first, second = uuid4().hex, uuid4().hex
        assert await user_care.invite(db, token, staff.id, first, 5)
        assert await user_care.invite(db, token, staff.id, second, 5)
        assert await accounts.use_link(db, first) is None
        assert (await accounts.use_link(db, second)).id == staff.id

    run(story, role_url, database_url)


def test_two_operators_who_remove_each_other_leave_one(role_url, database_url):
    async def story(db, owner, known):
        one, two = known["operator"], known["second operator"]
        done = await asyncio.gather(
            user_care.remove(db, one.token, two.id),
            user_care.remove(db, two.token, one.id),
        )
        assert sorted(done) == [False, True]

    run(story, role_url, database_url)
