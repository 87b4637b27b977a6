"""Notices: what happened in a business, told to webhooks and e-mail addresses.

The database adds a notice in the transaction that writes the fact (migration 18). This
module has the endpoints and the log; `crm.notice_deliveries` has the deliveries.
"""

import secrets
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from crm.database import Database

TYPES = (
    "call.ended",
    "call.failed",
    "lead.created",
    "appointment.booked",
    "appointment.moved",
    "appointment.cancelled",
    "limit.reached",
    "person.wanted",
)
# What `test` sends.
TEST_TYPE = "test"
WEBHOOK, EMAIL = "webhook", "email"
ENDPOINTS_MAX = 20
# https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/
# standard-webhooks.md: a secret has 24 to 64 bytes.
_SECRET_BYTES = 32


class TooManyEndpoints(Exception):
    """The business has as many endpoints as one business may have."""

    def __init__(self) -> None:
        super().__init__(f"{ENDPOINTS_MAX} endpoints")


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook or an e-mail address, and the types of notices that it gets."""

    id: UUID
    kind: str
    target: str
    types: tuple[str, ...]
    created_at: datetime
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_why: str


class Made(NamedTuple):
    """A new endpoint, and the secret that is shown this once; '' for e-mail."""

    endpoint: Endpoint
    secret: str


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One notice to one endpoint, as the log shows it, with its last attempt."""

    notice_id: UUID
    endpoint_id: UUID
    type: str
    target: str
    state: str
    tries: int
    created_at: datetime
    due_at: datetime
    data: dict[str, Any]
    attempted_at: datetime | None
    status: int | None
    answer: str | None


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try to deliver; `status` is None if there was no answer."""

    at: datetime
    status: int | None
    answer: str
    duration_ms: float


_ENDPOINT = (
    "id, kind, target, types, created_at, failing_since, disabled_at, disabled_why"
)


async def add(
    db: Database, business_id: UUID, kind: str, target: str, types: Sequence[str]
) -> Made:
    """Add an endpoint, or change the types of the one with this target.

    The secret of a known endpoint stays as it is and is not shown again. Raises
    TooManyEndpoints. `bridge.notices.targets` checks the target first.
    """
    assert kind in (WEBHOOK, EMAIL), kind
    assert types and set(types) <= set(TYPES), types
    secret = new_secret() if kind == WEBHOOK else ""
    async with db.tenant(business_id) as connection:
        await connection.execute(
            "select pg_advisory_xact_lock(hashtextextended('endpoints:' || $1, 0))",
            str(business_id),
        )
        count = await connection.fetchval(
            "select count(*) from notice_endpoints where business_id = $1 "
            "and (kind, target) <> ($2, $3)",
            business_id,
            kind,
            target,
        )
        if count >= ENDPOINTS_MAX:
            raise TooManyEndpoints
        row = await connection.fetchrow(
            "insert into notice_endpoints (business_id, kind, target, secret, types) "
            "values ($1, $2, $3, $4, $5) on conflict (business_id, kind, target) "
            "do update set types = excluded.types, failing_since = null, "
            "disabled_at = null, disabled_why = '' "
            f"returning {_ENDPOINT}, secret = $4 as is_new",
            business_id,
            kind,
            target,
            secret,
            list(types),
        )
    is_new = row["is_new"]
    return Made(_endpoint(row), secret if is_new else "")


def new_secret() -> str:
    """Return a secret in the form of Standard Webhooks."""
    return f"whsec_{b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()}"


async def endpoints(db: Database, business_id: UUID) -> list[Endpoint]:
    """Return a business's endpoints, oldest first."""
    async with db.tenant(business_id) as connection:
        rows = await connection.fetch(
            f"select {_ENDPOINT} from notice_endpoints where business_id = $1 "
            "order by created_at, id",
            business_id,
        )
    return [_endpoint(row) for row in rows]


async def remove(db: Database, business_id: UUID, endpoint_id: UUID) -> bool:
    """Remove an endpoint with its log; False if there is none."""
    async with db.tenant(business_id) as connection:
        done = await connection.execute(
            "delete from notice_endpoints where business_id = $1 and id = $2",
            business_id,
            endpoint_id,
        )
        # A notice that goes to nobody is of no use.
        await connection.execute(
            "delete from notices n where business_id = $1 and not exists (select from "
            "notice_deliveries d where d.business_id = $1 and d.notice_id = n.id)",
            business_id,
        )
    return bool(done.endswith(" 1"))


async def enable(db: Database, business_id: UUID, endpoint_id: UUID) -> bool:
    """Enable an endpoint that was disabled; False if there is none.

    What it missed meanwhile was not kept for it; what it was given up on can be
    replayed.
    """
    async with db.tenant(business_id) as connection:
        done = await connection.execute(
            "update notice_endpoints set failing_since = null, disabled_at = null, "
            "disabled_why = '' where business_id = $1 and id = $2",
            business_id,
            endpoint_id,
        )
    return bool(done.endswith(" 1"))


async def log(
    db: Database,
    business_id: UUID,
    limit: int = 50,
    *,
    before: tuple[datetime, UUID] | None = None,
) -> list[Entry]:
    """Return deliveries, newest notice first; `before` is the notice of the last entry
    of the page before: its `created_at` and `notice_id`."""
    async with db.tenant(business_id) as connection:
        rows = await connection.fetch(
            "select n.id as notice_id, e.id as endpoint_id, n.type, e.target, "
            "d.state, d.tries, n.created_at, d.due_at, n.data, a.at as attempted_at, "
            "a.status, a.answer from (select * from notices where business_id = $1 "
            "and ($3::timestamptz is null or (created_at, id) < ($3, $4)) "
            "order by created_at desc, id desc limit $2) n "
            "join notice_deliveries d on d.business_id = $1 and d.notice_id = n.id "
            "join notice_endpoints e on e.business_id = $1 and e.id = d.endpoint_id "
            "left join lateral (select at, status, answer from notice_attempts "
            "where business_id = $1 and notice_id = n.id and endpoint_id = e.id "
            "order by at desc limit 1) a on true "
            "order by n.created_at desc, n.id desc, e.created_at",
            business_id,
            limit,
            *(before or (None, None)),
        )
    return [Entry(**dict(row)) for row in rows]


async def attempts(
    db: Database, business_id: UUID, notice_id: UUID, endpoint_id: UUID
) -> list[Attempt]:
    """Return the attempts of one delivery, oldest first."""
    async with db.tenant(business_id) as connection:
        rows = await connection.fetch(
            "select at, status, answer, duration_ms from notice_attempts "
            "where business_id = $1 and notice_id = $2 and endpoint_id = $3 "
            "order by at",
            business_id,
            notice_id,
            endpoint_id,
        )
    return [Attempt(**dict(row)) for row in rows]


async def replay(
    db: Database, business_id: UUID, notice_id: UUID, endpoint_id: UUID | None = None
) -> int:
    """Deliver a notice again, to one endpoint or to all that got it; return to how
    many. It keeps its id, and its tries begin anew."""
    async with db.tenant(business_id) as connection:
        done = await connection.execute(
            "update notice_deliveries set state = 'waiting', tries = 0, due_at = now() "
            "where business_id = $1 and notice_id = $2 "
            "and ($3::uuid is null or endpoint_id = $3)",
            business_id,
            notice_id,
            endpoint_id,
        )
    return int(done.split()[-1])


async def add_test(db: Database, business_id: UUID, endpoint_id: UUID) -> UUID | None:
    """Add a notice that says nothing, for one endpoint; None if there is none."""
    async with db.tenant(business_id) as connection:
        notice_id: UUID | None = await connection.fetchval(
            "insert into notices (business_id, type, data) select $1, $3, "
            '\'{"message": "This is a test."}\' where exists (select from '
            "notice_endpoints where business_id = $1 and id = $2) returning id",
            business_id,
            endpoint_id,
            TEST_TYPE,
        )
        if notice_id is not None:
            await connection.execute(
                "insert into notice_deliveries (business_id, notice_id, endpoint_id) "
                "values ($1, $2, $3)",
                business_id,
                notice_id,
                endpoint_id,
            )
    return notice_id


async def note_limit(connection: Any, business_id: UUID, name: str) -> None:
    """Add a notice of a limit that acted, at most one an hour for each limit."""
    await connection.execute("select app.notice_of_limit($1, $2)", business_id, name)


async def erase(
    connection: Any, business_id: UUID, lead_id: UUID | None, phone: str
) -> int:
    """Delete every notice about a person, in a transaction; return how many."""
    done = await connection.execute(
        "delete from notices where business_id = $1 "
        "and (lead_id = $2 or (phone = $3 and phone <> ''))",
        business_id,
        lead_id,
        phone,
    )
    return int(done.split()[-1])


def _endpoint(row: Any) -> Endpoint:
    values = {name: row[name] for name in Endpoint.__struct_fields__}
    return Endpoint(**{**values, "types": tuple(values["types"])})
