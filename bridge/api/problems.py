"""Problems: errors as application/problem+json (RFC 9457) that name the field."""

import re
from http import HTTPStatus

import msgspec
from aiohttp import web

CONTENT_TYPE = "application/problem+json"
# The name before what was expected: `services: 'Cut': minutes=1`, `language='xx'`.
_FIELD = re.compile(r"([a-z_]+)(?:[.:=])")


class FieldProblem(msgspec.Struct, frozen=True):
    """A field that is wrong; its name is that of the request's field or parameter."""

    field: str
    message: str


class ProblemDocument(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is wrong with a request."""

    title: str
    status: int
    detail: str = ""
    errors: tuple[FieldProblem, ...] = ()


class Problem(Exception):
    """A request that is not carried out."""

    def __init__(
        self,
        status: HTTPStatus,
        detail: str = "",
        *errors: FieldProblem,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(detail or status.phrase)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers or {}

    @property
    def body(self) -> bytes:
        """The document."""
        return msgspec.json.encode(
            ProblemDocument(
                title=self.status.phrase,
                status=self.status.value,
                detail=self.detail,
                errors=self.errors,
            )
        )


def not_found(what: str) -> Problem:
    """Return the problem of an id that this business does not have."""
    return Problem(HTTPStatus.NOT_FOUND, f"there is no {what} with this id")


def wrong_field(field: str, message: str) -> Problem:
    """Return the problem of one wrong field."""
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "", FieldProblem(field, message))


def of_type(error: msgspec.ValidationError) -> Problem:
    """Return the problem of a value that does not fit its type."""
    what, _, where = str(error).partition(" - at `$")
    field = where.rstrip("`").lstrip(".")
    if not field and (named := re.search(r"field `(\w+)`", what)):
        field = named[1]
    return wrong_field(field or "body", what[:1].lower() + what[1:])


def of_text(error: ValueError) -> Problem:
    """Return the problem of an error whose text begins with the field's name."""
    named = _FIELD.match(str(error))
    return wrong_field(named[1] if named else "body", str(error))


def response_of(problem: Problem, request: web.Request) -> web.Response:
    """Return the answer; it closes a connection whose body is still to come."""
    response = web.Response(
        body=problem.body,
        status=problem.status,
        content_type=CONTENT_TYPE,
        headers=problem.headers,
    )
    if not request.content.is_eof():
        response.force_close()
    return response
