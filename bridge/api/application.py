"""The API as an application of its own, below /api/v1 on the service's port.

A request without a token that looks like one costs no query. A body is read only after
its token was accepted, within BODY_BYTES_MAX and BODY_WAIT_S.
"""

import asyncio
import hashlib
from functools import partial
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from time import monotonic
from typing import Any, NamedTuple

import msgspec
from aiohttp import web

from bridge.api import appointments, business, calls, conversations, leads, notices
from bridge.api.openapi import document
from bridge.api.problems import Problem, of_type, response_of, wrong_field
from bridge.api.rates import Known, Rate, Rates
from bridge.api.routes import Asked, Route
from bridge.settings.process import Settings
from bridge.telemetry.log import server_logger
from bridge.telemetry.metrics import Metrics
from bridge.wire.body import read_body
from bridge.wire.client import address_of, counted_as
from crm import access_tokens, audit, businesses
from crm.access_tokens import Token
from crm.database import Database
from crm.transient import DATABASE_ERRORS, is_about_the_row

ROOT = "/api/v1"
ROUTES: tuple[Route, ...] = (
    *calls.ROUTES,
    *leads.ROUTES,
    *conversations.ROUTES,
    *appointments.ROUTES,
    *business.ROUTES,
    *notices.ROUTES,
)
BODY_BYTES_MAX = 65_536
BODY_WAIT_S = 5.0
KEY_CHARS_MAX = 128
# Of one token, and of wrong tokens from one address.
TOKEN_RATE = Rate(burst=60, per_s=10)
STRANGER_RATE = Rate(burst=30, per_s=0.5)
_BEARER = "bearer"
_UNWRITABLE = "a value has a character or a size that the database cannot hold"


class _Done(NamedTuple):
    asked: Asked
    status: int
    body: bytes


class Api:
    """The API of one process."""

    def __init__(
        self, settings: Settings, database: Database, metrics: Metrics, url: str
    ) -> None:
        self._settings = settings
        self._database = database
        self._metrics = metrics
        self._document = msgspec.json.encode(
            document(ROUTES, f"{url}{ROOT}", _version())
        )
        self._rates = Rates(TOKEN_RATE)
        self._strangers = Rates(STRANGER_RATE)
        self._known = Known()

    def application(self) -> web.Application:
        """Return the routes, to be added at ROOT."""
        app = web.Application()
        for route in ROUTES:
            app.router.add_route(
                route.method,
                route.path,
                partial(self._answer, route),
                expect_handler=_refuse_expectation,
            )
        app.router.add_get("/openapi.json", self._openapi)
        app.router.add_route(
            "*", "/{rest:.*}", self._nowhere, expect_handler=_refuse_expectation
        )
        return app

    async def _openapi(self, request: web.Request) -> web.Response:
        return web.Response(body=self._document, content_type="application/json")

    async def _nowhere(self, request: web.Request) -> web.Response:
        methods = [route.method for route in ROUTES if _fits(route.path, request.path)]
        if methods:
            allowed = ", ".join(methods)
            status = HTTPStatus.METHOD_NOT_ALLOWED
            problem = Problem(status, f"expected {allowed}", headers={"Allow": allowed})
        else:
            detail = f"{ROOT}/openapi.json lists what there is"
            problem = Problem(HTTPStatus.NOT_FOUND, detail)
        return self._refused(request, problem)

    async def _answer(self, route: Route, request: web.Request) -> web.Response:
        try:
            token = await self._token(request)
            if route.scope not in token.scopes:
                scope = f"the token has no scope {route.scope!r}"
                raise Problem(HTTPStatus.FORBIDDEN, scope)
            response = await self._carry_out(route, request, token)
        except Problem as problem:
            return self._refused(request, problem)
        except (TimeoutError, *DATABASE_ERRORS) as error:
            if is_about_the_row(error):
                return self._refused(request, wrong_field("body", _UNWRITABLE))
            server_logger().error("API: the database: %s", type(error).__name__)
            return self._refused(request, Problem(HTTPStatus.SERVICE_UNAVAILABLE))
        self._metrics.count("api_requests", status=str(response.status))
        return response

    async def _token(self, request: web.Request) -> Token:
        given = request.headers.get("Authorization", "")
        scheme, _, rest = given.partition(" ")
        secret = rest.strip()
        token, now = None, monotonic()
        client = counted_as(address_of(request))
        if scheme.lower() == _BEARER and secret.startswith(_PREFIX):
            if secret not in self._known:
                _check_rate(self._strangers.peek_s(client, now))
            token = await access_tokens.find(self._database, access_tokens.API, secret)
            self._known.note(secret, has_opened=token is not None)
        if token is None:
            _check_rate(self._strangers.wait_s(client, now))
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "expected the header Authorization: Bearer and a token of the API",
                headers={"WWW-Authenticate": "Bearer"},
            )
        _check_rate(self._rates.wait_s(str(token.id), now))
        return token

    async def _carry_out(
        self, route: Route, request: web.Request, token: Token
    ) -> web.Response:
        data = await _body(request)
        key = request.headers.get("Idempotency-Key")
        if key is None or route.method != "POST":
            done = await self._do(route, request, token, data)
            await self._note(route, done)
            return _response(done.status, done.body)
        if not 1 <= len(key) <= KEY_CHARS_MAX or not key.isprintable():
            detail = f"Idempotency-Key: expected 1 to {KEY_CHARS_MAX} characters"
            raise Problem(HTTPStatus.BAD_REQUEST, detail)
        return await self._once(route, request, token, key, data)

    async def _once(
        self, route: Route, request: web.Request, token: Token, key: str, data: bytes
    ) -> web.Response:
        """Carry out a request unless its key was answered before."""
        database = self._database
        asked = f"{request.method} {request.path_qs}\n".encode() + data
        digest = hashlib.sha256(asked).hexdigest()
        try:
            before = await access_tokens.begin(database, token, key, digest)
        except access_tokens.OtherRequest:
            detail = "Idempotency-Key: this key came with another request"
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail) from None
        if before is not None:
            if before.status is None:
                detail = (
                    "Idempotency-Key: the first request still runs, or ended without "
                    "an answer: see what it did before you send it with another key"
                )
                raise Problem(HTTPStatus.CONFLICT, detail)
            return _response(before.status, before.body)
        try:
            done = await self._do(route, request, token, data)
        except Exception:
            await access_tokens.forget(database, token, key)
            raise
        # It is done: whatever fails from here on, the key must not do it again.
        await self._note(route, done)
        await access_tokens.finish(database, token, key, done.status, done.body)
        return _response(done.status, done.body)

    async def _do(
        self, route: Route, request: web.Request, token: Token, data: bytes
    ) -> _Done:
        found = await businesses.get(self._database, token.business_id)
        if found is None:
            raise Problem(HTTPStatus.UNAUTHORIZED, "the business was deleted")
        try:
            query = msgspec.convert(dict(request.query), route.query, strict=False)
            body = None
            if route.body is not None:
                body = msgspec.json.decode(data, type=route.body)
        except msgspec.ValidationError as error:
            raise of_type(error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(
                HTTPStatus.BAD_REQUEST, f"the body is no JSON: {error}"
            ) from None
        asked = Asked(
            self._database,
            self._settings,
            token,
            found,
            dict(request.match_info),
            query,
            body,
        )
        answer: Any = await route.answer(asked)
        encoded = b"" if route.returns is None else msgspec.json.encode(answer)
        return _Done(asked, route.status, encoded)

    async def _note(self, route: Route, done: _Done) -> None:
        """Write a change into the audit log."""
        if route.scope != access_tokens.WRITE:
            return
        asked = done.asked
        subject = next(iter(asked.path.values()), "")
        action = f"{route.method} {ROOT}{route.path}"
        entry = asked.business.id, None, asked.by.who, action, subject
        try:
            await audit.write(self._database, *entry)
        except (TimeoutError, *DATABASE_ERRORS):
            where, who = asked.business.id, asked.by.who
            text = "API: not in the audit log of %s, though done by %r: %s %s"
            server_logger().error(text, where, who, action, subject)
            raise

    def _refused(self, request: web.Request, problem: Problem) -> web.Response:
        self._metrics.count("api_requests", status=str(problem.status.value))
        return response_of(problem, request)


_PREFIX = access_tokens.PREFIXES[access_tokens.API]


def _check_rate(wait_s: float) -> None:
    if wait_s > 0:
        raise Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            headers={"Retry-After": str(max(1, round(wait_s)))},
        )


async def _body(request: web.Request) -> bytes:
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise Problem(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "expected an uncompressed body"
        )
    if (request.content_length or 0) > BODY_BYTES_MAX:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    try:
        async with asyncio.timeout(BODY_WAIT_S):
            found = await read_body(request.content, BODY_BYTES_MAX)
    except TimeoutError:
        raise Problem(HTTPStatus.REQUEST_TIMEOUT) from None
    if found is None:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return found


def _response(status: int, body: bytes) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    if not body:
        return web.Response(status=status, headers=headers)
    return web.Response(
        body=body, status=status, content_type="application/json", headers=headers
    )


def _fits(pattern: str, path: str) -> bool:
    given = path.removeprefix(ROOT).split("/")
    wanted = pattern.split("/")
    return len(given) == len(wanted) and all(
        want in ("", have) or want.startswith("{")
        for want, have in zip(wanted, given, strict=True)
    )


async def _refuse_expectation(request: web.Request) -> web.StreamResponse:
    return response_of(Problem(HTTPStatus.EXPECTATION_FAILED), request)


def _version() -> str:
    try:
        return version("kolbridge")
    except PackageNotFoundError:
        return "0"
