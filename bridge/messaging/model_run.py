"""The model that writes, asked through openai-agents on the Responses API.

The only module that imports openai-agents, which takes 1.1 s and 100 MB: it is imported
by the process that answers, when it answers first. The vendor keeps nothing of what it
is sent (`store` is off), nothing is traced, and nothing is sent but to OPENAI_API_URL.
What the model says is given to `Steps.said` before any of its tools runs.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, cast

import httpx2
import openai
from agents import (
    Agent,
    AgentsException,
    FunctionTool,
    FunctionToolResult,
    MaxTurnsExceeded,
    ModelResponse,
    ModelSettings,
    RunConfig,
    RunContextWrapper,
    Runner,
    ToolsToFinalOutputResult,
    set_tracing_disabled,
)
from agents.models.interface import Model
from agents.models.openai_responses import OpenAIResponsesModel
from agents.tool_context import ToolContext
from openai.types.responses import Response
from openai.types.shared import Reasoning
from pydantic import BaseModel

from bridge.agent.tools import Tool
from bridge.messaging.model_failure import Failure, ModelFailed
from bridge.messaging.writing_tools import reply_of, strict_parameters
from bridge.settings.prices import TRANSCRIPTION
from bridge.settings.process import Settings
from bridge.settings.proxy import proxy_of

# One request; a late answer is asked for again.
REQUEST_WAIT_S = 40.0
_CONNECT_WAIT_S = 5.0
TRANSCRIPTION_WAIT_S = 20.0
# What a recording used, by models that count time and models that count tokens.
_HEARD = (
    "seconds",
    "input_tokens",
    "input_token_details.audio_tokens",
    "output_tokens",
)
_ENDINGS = {
    "audio/amr": "amr",
    "audio/mp4": "m4a",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
}
# Of one answer, with what the model thinks.
OUTPUT_TOKENS_MAX = 4_000
# Conversations that one process answers at once, and some to spare.
_CONNECTIONS_MAX = 300
# Models that think before they answer take how hard, but not their chat variants, as
# gpt-5.2-chat-latest; a writer waits for them.
_THINKING = ("gpt-5", "gpt-6")

# Nothing was sent: their texts name a certificate, a proxy or a host.
_NOT_CONNECTED = (httpx2.ConnectError, httpx2.ProxyError)

# The library logs each failure with a traceback; who asked logs it once, in a line.
logging.getLogger("openai.agents").setLevel(logging.CRITICAL)
set_tracing_disabled(True)


class Steps(Protocol):
    """What a turn does while the model is asked."""

    async def said(
        self, items: Sequence[Mapping[str, Any]], usage: Mapping[str, float]
    ) -> None:
        """Store what the model has said; no tool runs before this returns."""

    async def run(self, call_id: str) -> str:
        """Run a tool that the model has called, and return its result."""


class Asked(NamedTuple):
    """What the model is asked."""

    model: str
    instructions: str
    items: Sequence[Mapping[str, Any]]
    tools: Mapping[str, Tool]
    # The model's answers that this turn may still have.
    answers_max: int
    # For the vendor: requests with a common beginning, and who writes.
    cache_key: str
    writer_key: str


class Client:
    """The API of one process, from its first request to `close`."""

    def __init__(self, settings: Settings, request_wait_s: float) -> None:
        url = settings.openai_api_url
        timeout = httpx2.Timeout(request_wait_s, connect=_CONNECT_WAIT_S)
        limits = httpx2.Limits(
            max_connections=_CONNECTIONS_MAX, max_keepalive_connections=20
        )
        self._http = httpx2.AsyncClient(
            proxy=proxy_of(settings, url),
            trust_env=False,
            timeout=timeout,
            limits=limits,
        )
        # Retries are the turn's: it tells the writer, and it counts.
        self._api = _Api(
            api_key=settings.openai_api_key or "none",
            base_url=url,
            organization="",
            project="",
            max_retries=0,
            timeout=timeout,
            http_client=self._http,
        )
        self._request_wait_s = request_wait_s

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def ask(self, asked: Asked, steps: Steps) -> None:
        """Ask the model until it has answered the writer; raises ModelFailed.

        What `steps` raises comes out as it was raised.
        """
        guarded = _Guarded(steps)
        agent = Agent[None](
            name="writer",
            instructions=asked.instructions,
            model=_StoredFirst(
                OpenAIResponsesModel(asked.model, self._api),
                guarded,
                self._request_wait_s,
            ),
            model_settings=_settings(asked),
            tools=[_tool(name, one, guarded) for name, one in asked.tools.items()],
            tool_use_behavior=_ends_with,
        )
        try:
            await Runner.run(
                agent,
                cast("Any", list(asked.items)),
                max_turns=asked.answers_max,
                run_config=RunConfig(
                    tracing_disabled=True,
                    trace_include_sensitive_data=False,
                    tool_not_found_behavior="return_error_to_model",
                ),
            )
        except (openai.OpenAIError, AgentsException, httpx2.HTTPError, ValueError) as e:
            if guarded.broken is not None:
                raise guarded.broken from None
            raise _failed(e) from e

    async def transcribe(
        self, model: str, content_type: str, data: bytes
    ) -> tuple[str, dict[str, float]]:
        """Return what a recording says, and what that used; raises ModelFailed."""
        kind = _ENDINGS.get(content_type.partition(";")[0], "ogg")
        try:
            made = await self._api.audio.transcriptions.create(
                model=model,
                file=(f"note.{kind}", data, content_type),
                response_format="json",
                timeout=TRANSCRIPTION_WAIT_S,
            )
        except (openai.OpenAIError, httpx2.HTTPError, ValueError) as error:
            raise _failed(error) from error
        if not isinstance(made.text, str):
            raise ModelFailed(Failure.ODD, "a transcription without a text")
        used = made.usage.model_dump() if made.usage is not None else {}
        details = used.get("input_token_details") or {}
        used["input_token_details.audio_tokens"] = details.get("audio_tokens")
        return made.text.strip(), {
            f"{TRANSCRIPTION}{name}": used[name] for name in _HEARD if used.get(name)
        }


class _Api(openai.AsyncOpenAI):
    """The API, whose Responses are asked for as they stand."""

    @property
    def responses(self) -> Any:
        """The one request that is made."""
        return _Responses(self)


class _Responses:
    """Sends a request without reading it against the vendor's types, which takes 6 ms:
    what the library has made of a turn is of these types already."""

    def __init__(self, api: openai.AsyncOpenAI) -> None:
        self._api = api

    async def create(
        self,
        *,
        extra_headers: Mapping[str, str] | None = None,
        extra_query: Mapping[str, object] | None = None,
        extra_body: Mapping[str, object] | None = None,
        **fields: Any,
    ) -> Response:
        body = {
            name: value.model_dump(exclude_unset=True)
            if isinstance(value, BaseModel)
            else value
            for name, value in {**fields, **(extra_body or {})}.items()
            if not isinstance(value, openai.Omit | openai.NotGiven)
        }
        return await self._api.post(
            "/responses",
            cast_to=Response,
            body=body,
            options={"headers": dict(extra_headers or {}), "params": extra_query or {}},
        )


class _Guarded:
    """Steps whose first failure is kept: the library puts its own around it."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.broken: Exception | None = None

    async def said(
        self, items: Sequence[Mapping[str, Any]], usage: Mapping[str, float]
    ) -> None:
        try:
            await self._steps.said(items, usage)
        except Exception as error:
            self.broken = self.broken or error
            raise

    async def run(self, call_id: str) -> str:
        try:
            return await self._steps.run(call_id)
        except Exception as error:
            self.broken = self.broken or error
            raise


class _StoredFirst(Model):
    """A model whose answers are stored before the library acts on them."""

    def __init__(self, inner: Model, steps: Steps, wait_s: float) -> None:
        self._inner = inner
        self._steps = steps
        self._wait_s = wait_s

    async def get_response(self, *given: Any, **named: Any) -> ModelResponse:
        waiting = asyncio.timeout(self._wait_s)
        try:
            async with waiting:
                answer = await self._inner.get_response(*given, **named)
            items = [cast("Mapping[str, Any]", one) for one in answer.to_input_items()]
            used = _usage(answer)
        except TimeoutError:
            if not waiting.expired():
                raise
            text = f"no answer within {self._wait_s:g} s"
            raise ModelFailed(Failure.LATE, text) from None
        except (ArithmeticError, AttributeError, LookupError, TypeError) as error:
            # The library takes a body that is no response, and fails on its fields.
            raise _failed(error) from error
        await self._steps.said(items, used)
        return answer

    def stream_response(self, *given: Any, **named: Any) -> AsyncIterator[Any]:
        raise TypeError("a turn is not streamed")


def _settings(asked: Asked) -> ModelSettings:
    thinks = asked.model.startswith(_THINKING) and "-chat" not in asked.model
    return ModelSettings(
        store=False,
        parallel_tool_calls=True,
        max_tokens=OUTPUT_TOKENS_MAX,
        reasoning=Reasoning(effort="low") if thinks else None,
        response_include=["reasoning.encrypted_content"] if thinks else None,
        extra_args={
            "prompt_cache_key": asked.cache_key,
            "safety_identifier": asked.writer_key,
        },
    )


def _tool(name: str, tool: Tool, steps: Steps) -> FunctionTool:
    async def invoke(context: ToolContext[Any], _: str) -> str:
        return await steps.run(context.tool_call_id)

    return FunctionTool(
        name=name,
        description=tool.description,
        params_json_schema=strict_parameters(name, tool),
        on_invoke_tool=invoke,
        strict_json_schema=True,
    )


def _ends_with(
    _: RunContextWrapper[Any], results: list[FunctionToolResult]
) -> ToolsToFinalOutputResult:
    """End the run where a tool has written to the writer."""
    is_final = any(reply_of(one.tool.name, str(one.output)) for one in results)
    return ToolsToFinalOutputResult(is_final, "" if is_final else None)


def _usage(answer: ModelResponse) -> dict[str, float]:
    """Return what an answer used, under the names of the price table."""
    used = answer.usage
    cached = used.input_tokens_details.cached_tokens
    written = getattr(used.input_tokens_details, "cache_write_tokens", 0)
    return {
        "requests": 1,
        "input_tokens": used.input_tokens,
        "input_token_details.cached_tokens_details.text_tokens": cached,
        "input_token_details.cache_write_tokens": written or 0,
        "output_tokens": used.output_tokens,
    }


def _failed(error: Exception) -> ModelFailed:
    """Return a failure in the words of a turn: none of what was written, or answered,
    which the texts of other errors quote."""
    detail = type(error).__name__
    if isinstance(error, openai.APIStatusError):
        named = (error.code or error.type, error.param)
        detail += f": HTTP {error.status_code} {' '.join(filter(None, named))}"
    elif isinstance(error.__cause__, _NOT_CONNECTED):
        detail += f": {error.__cause__}"
    match error:
        case MaxTurnsExceeded():
            return ModelFailed(Failure.STEPS, detail)
        case openai.APITimeoutError() | httpx2.TimeoutException():
            return ModelFailed(Failure.LATE, detail)
        case openai.RateLimitError():
            wait_s = _seconds(error.response.headers.get("retry-after"))
            return ModelFailed(Failure.BUSY, detail, wait_s)
        case openai.APIStatusError(status_code=status):
            return ModelFailed(
                Failure.ERROR if status >= 500 else Failure.REFUSED, detail
            )
        case openai.APIConnectionError() | httpx2.HTTPError():
            return ModelFailed(Failure.UNREACHABLE, detail)
    return ModelFailed(Failure.ODD, detail)


def _seconds(text: str | None) -> float:
    try:
        return max(0.0, float(text or 0))
    except ValueError:
        return 0.0
