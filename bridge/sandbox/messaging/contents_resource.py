"""The Content API of the sandbox: make, read, list and delete; ask for an approval.

https://www.twilio.com/docs/content/content-api-resources. WhatsApp decides nothing
here: a request for an approval stays "received" until `Content.approval` is set.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from aiohttp import web

from bridge.sandbox.messaging import contents
from bridge.sandbox.messaging.contents import SESSION_ONLY, Content
from bridge.sandbox.messaging.message_records import answer, not_found, refuse
from bridge.sandbox.messaging.messaging_account import Account

_CONTENT = "/v1/Content/{sid}"
_CATEGORIES = frozenset(("UTILITY", "MARKETING", "AUTHENTICATION"))
_PAGE_SIZE_MAX = 1_000


class ContentsResource:
    """The requests about Content resources of one account."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self.made = 0
        self.deleted = 0

    def routes(self) -> list[web.RouteDef]:
        """Return the routes; each is named by the path that a fault names."""
        approval = f"{_CONTENT}/ApprovalRequests"
        return [
            web.post("/v1/Content", self._make, name="contents"),
            web.get("/v1/Content", self._list, name="contents-list"),
            web.get(_CONTENT, self._get, name="contents-get"),
            web.delete(_CONTENT, self._delete, name="contents-delete"),
            web.post(f"{approval}/whatsapp", self._ask, name="contents-ask"),
            web.get(approval, self._approval, name="contents-approval"),
        ]

    async def _make(self, request: web.Request) -> web.Response:
        body = await _json(request)
        found = contents.read(body, self._account.sid, self._account.clock.now())
        self._account.contents[found.sid] = found
        self.made += 1
        return answer(found.as_json(_base(request)), 201)

    async def _list(self, request: web.Request) -> web.Response:
        text = request.query.get("PageSize", "50")
        if set(request.query) - {"PageSize"} or not text.isdigit():
            refuse(20001, f"expected PageSize, got {request.query_string}")
        size = min(int(text), _PAGE_SIZE_MAX)
        found = list(self._account.contents.values())[:size]
        url = f"{_base(request)}/v1/Content?PageSize={size}&Page=0"
        meta = {
            "first_page_url": url,
            "key": "contents",
            "next_page_url": None,
            "page": 0,
            "page_size": size,
            "previous_page_url": None,
            "url": url,
        }
        shown = [content.as_json(_base(request)) for content in found]
        return answer({"contents": shown, "meta": meta})

    async def _get(self, request: web.Request) -> web.Response:
        return answer(self._find(request).as_json(_base(request)))

    async def _delete(self, request: web.Request) -> web.Response:
        del self._account.contents[self._find(request).sid]
        self.deleted += 1
        return web.Response(status=204)

    async def _ask(self, request: web.Request) -> web.Response:
        found, body = self._find(request), await _json(request)
        if not isinstance(body, dict) or set(body) != {"name", "category"}:
            refuse(20001, "expected name and category")
        if not re.fullmatch(r"[a-z0-9_]{1,512}", str(body["name"])):
            refuse(20001, f"expected a name of a-z, 0-9 and _, got {body['name']!r}")
        if body["category"] not in _CATEGORIES:
            refuse(20001, f"expected a category, got {body['category']!r}")
        if found.kind in SESSION_ONLY:
            refuse(20001, f"{found.kind} cannot be approved")
        found.approval = "received"
        found.approval_request = body
        return answer(_approval(found), 201)

    async def _approval(self, request: web.Request) -> web.Response:
        found = self._find(request)
        body = {
            "account_sid": found.account_sid,
            "sid": found.sid,
            "url": f"{_base(request)}{request.path}",
            "whatsapp": _approval(found) if found.approval else {},
        }
        return answer(body)

    def _find(self, request: web.Request) -> Content:
        found = self._account.contents.get(request.match_info["sid"])
        if found is None:
            not_found(request.path)
        return found


def _approval(content: Content) -> dict[str, Any]:
    return {
        "allow_category_change": True,
        "content_type": content.kind,
        "rejection_reason": "",
        "status": content.approval,
        "type": "whatsapp",
        "category": "",
        "name": "",
        **content.approval_request,
    }


async def _json(request: web.Request) -> object:
    if request.content_type != "application/json":
        refuse(20001, f"expected application/json, got {request.content_type}")
    try:
        found: object = msgspec.json.decode(await request.read())
    except (msgspec.DecodeError, UnicodeError) as error:
        refuse(20001, f"expected JSON: {error}")
    return found


def _base(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"
