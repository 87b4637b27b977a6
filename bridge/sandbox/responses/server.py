"""A Responses API server for tests and the demo, as strict as the real one.

It transcribes, too: every recording says `words`, or what `spoken` has next.

It refuses what the API refuses, and notes each refusal in `problems`. It answers as a
model that serves a business's writers (`bridge.sandbox.responses.model`), or as it is
told: late, with an error, with a broken body, with arguments that do not fit. It shares
no code with the bridge.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

from bridge.sandbox.responses import requests, transcriptions
from bridge.sandbox.responses.model import Say, Use, answer
from bridge.sandbox.rules import Refused

PATH = "/v1/responses"
_BODY_BYTES_MAX = 32 * 1024 * 1024
# What a token has of characters, for figures that look like the API's.
_CHARS_A_TOKEN = 4

Output = Say | Use
Model = Callable[[Mapping[str, Any]], Sequence[Output]]


@dataclass(frozen=True)
class Fault:
    """What one request gets in the place of an answer.

    `status` 0 cuts the connection. `body` is sent as it is. `hangs`: no answer at all,
    until the client goes.
    """

    status: int = 500
    retry_after_s: float | None = None
    body: bytes | None = None
    hangs: bool = False


@dataclass(frozen=True)
class Ended:
    """An answer that did not end well: `failed`, or `incomplete` with its reason."""

    status: str = "incomplete"
    reason: str = "max_output_tokens"


class ResponsesServer:
    """A server on loopback; `requests` holds every body that it has taken.

    `planned` are the answers to the next requests; the model answers after the last.
    `latency_s` is the time that each answer takes.
    """

    def __init__(
        self,
        planned: Iterable[Fault | Ended | Sequence[Output]] = (),
        *,
        model: Model = answer,
        api_key: str = "sk-sandbox",
        latency_s: float = 0.0,
        host: str = "127.0.0.1",
        port: int = 0,
        keeps_requests: bool = True,
        words: str = "I want an appointment",
        spoken: Iterable[str | Fault] = (),
    ) -> None:
        self.planned = deque(planned)
        self.latency_s = latency_s
        self.asked = 0
        self.answered = 0
        self.requests: list[dict[str, Any]] = []
        self.problems: list[str] = []
        self.transcribed = 0
        self.words = words
        self.spoken = deque(spoken)
        # What a recording used, in tokens; None: its seconds.
        self.heard: dict[str, Any] | None = None
        # The form of every recording that was transcribed, or failed as planned.
        self.recordings: list[dict[str, Any]] = []
        self._model = model
        self._api_key = api_key
        self._host = host
        self._port = port
        self._keeps_requests = keeps_requests
        self._runner: web.AppRunner | None = None
        self._made = 0
        self._reasoning: set[str] = set()

    @property
    def url(self) -> str:
        """The base URL, as a client of the API is given it."""
        return f"http://{self._host}:{self._port}/v1"

    @property
    def api_key(self) -> str:
        """The key that a client must send."""
        return self._api_key

    async def start(self) -> None:
        """Listen; port 0 takes a free one."""
        app = web.Application(client_max_size=_BODY_BYTES_MAX)
        app.router.add_post(PATH, self._post)
        app.router.add_post(transcriptions.PATH, self._transcribe)
        # A client that gives up ends its request.
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self._host, self._port).start()
        self._port = self._runner.addresses[0][1]

    async def close(self) -> None:
        """Stop listening."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> ResponsesServer:
        await self.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _post(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        if (refusal := self._unknown(request)) is not None:
            return refusal
        try:
            body = self._read(await request.read(), request.content_type)
        except Refused as refused:
            self.problems.append(str(refused))
            return _refusal(400, refused)
        if not body.get("instructions"):
            self.problems.append("a request without instructions")
        if self._keeps_requests:
            self.requests.append(body)
        planned = self.planned.popleft() if self.planned else None
        await asyncio.sleep(self.latency_s)
        if isinstance(planned, Fault):
            return await _fail(request, planned)
        made = self._answer(body, planned)
        self.answered += 1
        return web.Response(
            body=msgspec.json.encode(made), content_type="application/json"
        )

    def _unknown(self, request: web.Request) -> web.Response | None:
        if request.headers.get("Authorization") == f"Bearer {self._api_key}":
            return None
        self.problems.append("wrong API key")
        refused = Refused("invalid_api_key", "Incorrect API key provided.")
        return _refusal(401, refused)

    async def _transcribe(self, request: web.Request) -> web.StreamResponse:
        self.transcribed += 1
        if (refusal := self._unknown(request)) is not None:
            return refusal
        try:
            found = await transcriptions.read(request)
        except Refused as refused:
            self.problems.append(str(refused))
            return _refusal(400, refused)
        if self._keeps_requests:
            self.recordings.append(found)
        words = self.spoken.popleft() if self.spoken else self.words
        await asyncio.sleep(self.latency_s)
        if isinstance(words, Fault):
            return await _fail(request, words)
        usage = self.heard or {"type": "duration", "seconds": found["seconds"]}
        return web.json_response({"text": words, "usage": usage})

    def _read(self, data: bytes, content_type: str) -> dict[str, Any]:
        if content_type != "application/json":
            raise Refused(
                "unsupported_content_type",
                f"Unsupported content type: '{content_type}'. This API method only "
                "accepts 'application/json' requests.",
            )
        try:
            body = msgspec.json.decode(data)
        except msgspec.DecodeError:
            raise Refused(
                "invalid_json", "We could not parse the JSON body of your request."
            ) from None
        requests.check(body)
        self._check_thoughts(body)
        assert isinstance(body, dict), "checked above"
        return body

    def _check_thoughts(self, body: Mapping[str, Any]) -> None:
        """Refuse reasoning that this server has not made: it keeps none itself."""
        for item in body["input"] if isinstance(body["input"], list) else ():
            if item.get("type") != "reasoning":
                continue
            hidden = item.get("encrypted_content")
            if not hidden:
                raise Refused(
                    "invalid_value",
                    f"Item with id '{item['id']}' not found. Items are not persisted "
                    "when `store` is set to false.",
                    "input",
                )
            if f"{item['id']} {hidden}" not in self._reasoning:
                raise Refused(
                    "invalid_encrypted_content",
                    f"The encrypted content for item {item['id']} could not be "
                    "verified.",
                )

    def _answer(
        self, body: Mapping[str, Any], planned: Ended | Sequence[Output] | None
    ) -> dict[str, Any]:
        """Return the response object, as the API has it."""
        ended = planned if isinstance(planned, Ended) else Ended("completed", "")
        outputs = self._model(body) if planned is None else planned
        items = [] if isinstance(outputs, Ended) else self._items(body, outputs)
        is_failed = ended.status == "failed"
        return {
            "id": self._new_id("resp"),
            "object": "response",
            "created_at": 1_764_000_000 + self._made,
            "status": ended.status,
            "error": {"code": "server_error", "message": "The server had an error."}
            if is_failed
            else None,
            "incomplete_details": {"reason": ended.reason}
            if ended.status == "incomplete"
            else None,
            "instructions": body.get("instructions"),
            "max_output_tokens": body.get("max_output_tokens"),
            "metadata": body.get("metadata") or {},
            "model": body["model"],
            "output": items,
            "parallel_tool_calls": body.get("parallel_tool_calls", True),
            "previous_response_id": None,
            "reasoning": body.get("reasoning") or {"effort": None, "summary": None},
            "store": body.get("store", True),
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": body.get("tool_choice", "auto"),
            "tools": body.get("tools", []),
            "top_p": 1.0,
            "truncation": body.get("truncation") or "disabled",
            "usage": _usage(body, items),
        }

    def _items(
        self, body: Mapping[str, Any], outputs: Sequence[Output]
    ) -> list[dict[str, Any]]:
        made: list[dict[str, Any]] = []
        if "reasoning.encrypted_content" in (body.get("include") or ()):
            made.append(self._thought())
        for output in outputs:
            if isinstance(output, Say):
                made.append(
                    {
                        "id": self._new_id("msg"),
                        "type": "message",
                        "status": "completed",
                        "role": "assistant",
                        "content": [
                            {
                                "type": "output_text",
                                "text": output.text,
                                "annotations": [],
                                "logprobs": [],
                            }
                        ],
                    }
                )
            else:
                made.append(
                    {
                        "id": self._new_id("fc"),
                        "type": "function_call",
                        "status": "completed",
                        "call_id": output.call_id or self._new_id("call"),
                        "name": output.name,
                        "arguments": output.encoded(),
                    }
                )
        return made

    def _thought(self) -> dict[str, Any]:
        thought_id = self._new_id("rs")
        hidden = hashlib.sha256(thought_id.encode()).hexdigest()
        self._reasoning.add(f"{thought_id} {hidden}")
        return {
            "id": thought_id,
            "type": "reasoning",
            "summary": [],
            "encrypted_content": hidden,
        }

    def _new_id(self, prefix: str) -> str:
        self._made += 1
        return f"{prefix}_{id(self):x}{self._made:08x}"


def _usage(
    body: Mapping[str, Any], items: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    read = len(msgspec.json.encode([body["input"], body.get("instructions")]))
    stable = len(body.get("instructions") or "") // _CHARS_A_TOKEN
    came, went = read // _CHARS_A_TOKEN + 1, len(msgspec.json.encode(items)) // 8 + 1
    return {
        "input_tokens": came,
        # The API caches from 1,024 tokens on, in steps of 128.
        "input_tokens_details": {
            "cached_tokens": min(stable, came) // 128 * 128 if came >= 1024 else 0,
            "cache_write_tokens": 0,
        },
        "output_tokens": went,
        "output_tokens_details": {"reasoning_tokens": went // 4},
        "total_tokens": came + went,
    }


def _refusal(status: int, refused: Refused) -> web.Response:
    return _error(
        status,
        {
            "message": refused.message,
            "type": "invalid_request_error",
            "param": refused.param,
            "code": refused.code,
        },
    )


def _error(
    status: int, error: Mapping[str, Any], headers: Mapping[str, str] | None = None
) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode({"error": error}),
        content_type="application/json",
        headers=headers,
    )


async def _fail(request: web.Request, fault: Fault) -> web.StreamResponse:
    if fault.hangs:
        await asyncio.Event().wait()
    if fault.status == 0:
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=500)
    if fault.body is not None:
        return web.Response(
            status=fault.status, body=fault.body, content_type="application/json"
        )
    is_busy = fault.status == 429
    error = {
        "message": "Rate limit reached."
        if is_busy
        else "The server had an error while processing your request.",
        "type": "tokens" if is_busy else "server_error",
        "param": None,
        "code": "rate_limit_exceeded" if is_busy else None,
    }
    waits = fault.retry_after_s
    headers = {} if waits is None else {"retry-after": f"{waits:g}"}
    return _error(fault.status, error, headers)
