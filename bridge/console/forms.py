"""Reads the form of a request within limits, and proves where the form came from.

A form counts only if it comes from a page of this console: browsers say in Origin or
Sec-Fetch-Site where a request comes from, and the form of a user who is logged in
carries a token that follows from the session.
"""

import asyncio
import hmac
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web
from multidict import MultiDict

from bridge.wire.body import read_body

# Before a login: a name, a password and a code.
BYTES_MAX_UNKNOWN = 8_192
# A prompt of 20,000 Hebrew letters has six bytes for each of them.
BYTES_MAX = 262_144
FIELDS_MAX = 512
BODY_WAIT_S = 10.0
CSRF_FIELD = "csrf"
CSRF_HEADER = "X-CSRF-Token"
_FORM_TYPES = ("application/x-www-form-urlencoded", "")


def csrf_of(token: str) -> str:
    """Return what a form of this session must carry."""
    return hmac.digest(token.encode(), b"csrf", "sha256").hex()


def is_from_here(request: web.Request, public_url: str) -> bool:
    """Tell whether a page of this console sent the request.

    A client that says nothing is no browser: no other site can make it send anything.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    try:
        host = urlsplit(origin).netloc
    except ValueError:
        return False
    return host in (request.host, urlsplit(public_url).netloc)


def has_token(request: web.Request, form: MultiDict[str], csrf: str) -> bool:
    """Tell whether a request carries the token of its session."""
    given = request.headers.get(CSRF_HEADER) or form.get(CSRF_FIELD) or ""
    return hmac.compare_digest(given.encode("utf-8", "replace"), csrf.encode())


async def read_form(request: web.Request, bytes_max: int) -> MultiDict[str]:
    """Return the fields of a form; raises web.HTTPException for one that is none."""
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise web.HTTPUnsupportedMediaType
    if (request.content_length or 0) > bytes_max:
        raise web.HTTPRequestEntityTooLarge(bytes_max, request.content_length or 0)
    try:
        async with asyncio.timeout(BODY_WAIT_S):
            body = await read_body(request.content, bytes_max)
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    if body is None:
        raise web.HTTPRequestEntityTooLarge(bytes_max, bytes_max + 1)
    if not body:
        return MultiDict()
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind not in _FORM_TYPES:
        raise web.HTTPUnsupportedMediaType
    try:
        # No surrogate, and no null character, which PostgreSQL refuses.
        text = body.decode()
        fields = parse_qsl(
            text, keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX
        )
    except ValueError:
        raise web.HTTPBadRequest from None
    if any("\0" in name or "\0" in value for name, value in fields):
        raise web.HTTPBadRequest
    return MultiDict(fields)
