"""Twilio's REST API for the sandbox's calls: a call's status, and its update.

https://www.twilio.com/docs/voice/api/call-resource. A request needs the account's
credentials. An update with `Twiml` replaces the document that a running call runs; the
call runs the new document one or two seconds later. A call that is over is not updated.
"""

from __future__ import annotations

import asyncio
import random
from typing import Protocol

from aiohttp import encode_basic_auth, web

from bridge.sandbox import twiml

_PATH = "/2010-04-01/Accounts/{account}/Calls/{call}.json"
# "max 4000 characters"
_TWIML_CHARS_MAX = 4_000
# How long a call takes to run another document.
_UPDATE_S = (1.0, 2.0)
_OVER = "completed"


class Running(Protocol):
    """A call of the sandbox."""

    @property
    def status(self) -> str:
        """CallStatus, as a webhook has it."""

    def replace(self, document: bytes) -> None:
        """End what the call runs, and run this document."""


class RestApi:
    """A server on loopback for the calls of one account; `updates` counts them."""

    def __init__(self, account_sid: str, auth_token: str, seed: int = 1) -> None:
        self._account_sid = account_sid
        self._credentials = encode_basic_auth(account_sid, auth_token)
        self._rng = random.Random(seed)
        self._calls: dict[str, Running] = {}
        self._timers: set[asyncio.TimerHandle] = set()
        self._runner: web.AppRunner | None = None
        self.url = ""
        self.updates = 0

    def add(self, call_sid: str, call: Running) -> None:
        """Let a call be asked for and updated, now and after its end."""
        self._calls[call_sid] = call

    async def start(self) -> None:
        """Listen on a free port."""
        app = web.Application()
        app.router.add_get(_PATH, self._get)
        app.router.add_post(_PATH, self._post)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{port}"

    async def close(self) -> None:
        """Stop listening; an update that is due is not made."""
        for timer in self._timers:
            timer.cancel()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> RestApi:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _get(self, request: web.Request) -> web.Response:
        return _answer(request, self._find(request).status)

    async def _post(self, request: web.Request) -> web.Response:
        call = self._find(request)
        if call.status == _OVER:
            return _refusal(400, 21220, "Call is not in-progress. Cannot redirect.")
        text = (await request.post()).get("Twiml")
        if not isinstance(text, str):
            return _refusal(400, 20001, "expected Twiml")
        if len(text) > _TWIML_CHARS_MAX:
            return _refusal(400, 32018, "Twiml size exceeds 4000 characters")
        problems = twiml.parse(text.encode(), "text/xml", allow_ws=True).problems
        if problems:
            return _refusal(400, 21218, "; ".join(problems))
        self.updates += 1
        self._timers.add(
            asyncio.get_running_loop().call_later(
                self._rng.uniform(*_UPDATE_S), call.replace, text.encode()
            )
        )
        return _answer(request, call.status)

    def _find(self, request: web.Request) -> Running:
        if request.headers.get("Authorization") != self._credentials:
            raise web.HTTPUnauthorized
        found = self._calls.get(request.match_info["call"])
        if found is None or request.match_info["account"] != self._account_sid:
            raise web.HTTPNotFound
        return found


def _answer(request: web.Request, status: str) -> web.Response:
    return web.json_response({"sid": request.match_info["call"], "status": status})


def _refusal(status: int, code: int, message: str) -> web.Response:
    return web.json_response({"code": code, "message": message}, status=status)
