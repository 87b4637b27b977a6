"""Notices: their endpoints, the log, and a replay."""

from http import HTTPStatus
from typing import Literal

import msgspec

from bridge.api.calls import Limit
from bridge.api.cursors import LIMIT_DEFAULT, Page, page, read
from bridge.api.problems import Problem, not_found, wrong_field
from bridge.api.routes import Asked, Route, id_of
from bridge.notices.targets import TargetError, allowed_hosts, check_target
from crm import notices
from crm.notices import Endpoint, Entry

Type = Literal[
    "call.ended",
    "call.failed",
    "lead.created",
    "appointment.booked",
    "appointment.moved",
    "appointment.cancelled",
    "limit.reached",
    "person.wanted",
]


class NewEndpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An endpoint to add; without `types` it gets every type."""

    kind: Literal["webhook", "email"]
    target: str
    types: tuple[Type, ...] = notices.TYPES  # type: ignore[assignment]


class MadeEndpoint(Endpoint, frozen=True, kw_only=True):
    """A new endpoint; `secret` signs a webhook and is shown this once."""

    secret: str


class LogQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A page of the log."""

    limit: Limit = LIMIT_DEFAULT
    cursor: str | None = None


class Replayed(msgspec.Struct, frozen=True):
    """To how many endpoints the notice goes again."""

    endpoints: int


async def endpoints(asked: Asked) -> list[Endpoint]:
    return await notices.endpoints(asked.database, asked.business.id)


async def add(asked: Asked) -> MadeEndpoint:
    body: NewEndpoint = asked.body
    if not body.types:
        raise wrong_field("types", "expected at least one type")
    allowed = allowed_hosts(asked.settings.notice_allow_hosts)
    try:
        target = check_target(body.kind, body.target, allowed)
        made = await notices.add(
            asked.database, asked.business.id, body.kind, target, body.types
        )
    except TargetError as error:
        raise wrong_field("target", str(error)) from None
    except notices.TooManyEndpoints as error:
        raise Problem(
            HTTPStatus.CONFLICT, f"the business has {error} already"
        ) from None
    fields = msgspec.structs.asdict(made.endpoint)
    return MadeEndpoint(**fields, secret=made.secret)


async def remove(asked: Asked) -> None:
    endpoint_id = id_of(asked)
    if endpoint_id is None or not await notices.remove(
        asked.database, asked.business.id, endpoint_id
    ):
        raise not_found("endpoint")


async def enable(asked: Asked) -> None:
    endpoint_id = id_of(asked)
    if endpoint_id is None or not await notices.enable(
        asked.database, asked.business.id, endpoint_id
    ):
        raise not_found("endpoint")


async def log(asked: Asked) -> Page[Entry]:
    query: LogQuery = asked.query
    rows = await notices.log(
        asked.database,
        asked.business.id,
        query.limit + 1,
        before=read(query.cursor, is_uuid=True),
    )
    # A notice to several endpoints stands on one page, whole.
    ids = list(dict.fromkeys(one.notice_id for one in rows))
    kept = [one for one in rows if one.notice_id in ids[: query.limit]]
    if len(ids) <= query.limit:
        return Page(kept, None)
    return Page(kept, page([kept[-1], kept[-1]], 1, "created_at", "notice_id").next)


async def replay(asked: Asked) -> Replayed:
    notice_id = id_of(asked)
    count = 0
    if notice_id is not None:
        count = await notices.replay(asked.database, asked.business.id, notice_id)
    if not count:
        raise not_found("notice")
    return Replayed(count)


ROUTES = (
    Route("GET", "/notices/endpoints", "List endpoints", endpoints, list[Endpoint]),
    Route(
        "POST",
        "/notices/endpoints",
        "Add an endpoint",
        add,
        MadeEndpoint,
        body=NewEndpoint,
        status=HTTPStatus.CREATED,
    ),
    Route(
        "DELETE",
        "/notices/endpoints/{id}",
        "Remove an endpoint and its log",
        remove,
        None,
        status=HTTPStatus.NO_CONTENT,
    ),
    Route(
        "POST",
        "/notices/endpoints/{id}/enable",
        "Enable an endpoint that was disabled",
        enable,
        None,
        status=HTTPStatus.NO_CONTENT,
    ),
    Route("GET", "/notices/log", "List deliveries", log, Page[Entry], LogQuery),
    Route(
        "POST", "/notices/log/{id}/replay", "Deliver a notice again", replay, Replayed
    ),
)
