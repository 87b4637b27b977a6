"""Routes: what the API can do, as a table that the server and OpenAPI both read."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from bridge.settings.process import Settings
from crm.access_tokens import READ, WRITE, Token
from crm.authors import By
from crm.businesses import Business
from crm.database import Database


class Asked(NamedTuple):
    """A request that was let in: its token, and its values, checked by their types."""

    database: Database
    settings: Settings
    token: Token
    business: Business
    path: dict[str, str]
    query: Any
    body: Any

    @property
    def by(self) -> By:
        """Who changes something: the token, by its name."""
        return By("hand", f"API: {self.token.name}")


Answer = Callable[[Asked], Awaitable[Any]]


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


class Route(NamedTuple):
    """One operation; `returns` is None for an answer without a body."""

    method: str
    path: str
    summary: str
    answer: Answer
    returns: Any
    query: type[msgspec.Struct] = NoQuery
    body: Any = None
    status: HTTPStatus = HTTPStatus.OK
    tag: str = ""

    @property
    def scope(self) -> str:
        """The scope that a token needs."""
        return READ if self.method == "GET" else WRITE


def id_of(asked: Asked, name: str = "id") -> UUID | None:
    """Return the id in the path; None if it is none."""
    try:
        return UUID(asked.path[name])
    except ValueError:
        return None
