"""One response of the model: its events in documented order, and its early ends.

Speech is made faster than real time, in deltas of changing length. A response that is
cancelled closes what is open as incomplete and sends no further delta.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec

from bridge.sandbox.conversation import Item, Part
from bridge.sandbox.formats import FORMATS
from bridge.sandbox.script import (
    Drop,
    ErrorOnly,
    Fail,
    Incomplete,
    Output,
    Reply,
    Stall,
    ToolUse,
)

if TYPE_CHECKING:
    from bridge.sandbox.session import Session

# "assistant audio = 1 token per 50 ms"; words count as one token each.
_AUDIO_MS_PER_TOKEN = 50
# Words arrive a little before their sound.
_WORDS_AHEAD = 0.15


class _Ended(Exception):
    """The response ended before its script."""


class Response:
    """One run of the model; `run` is awaited by a task of the session."""

    def __init__(
        self, session: Session, request: dict[str, Any], outputs: list[Output]
    ) -> None:
        self._session = session
        self._outputs = outputs
        self.id = session.new_id("resp")
        self.is_default = request.get("conversation") != "none"
        config = session.config
        output = config["audio"]["output"] | request.get("audio", {}).get("output", {})
        self._format = output["format"]
        self._voice = output["voice"]
        self._modalities = request.get("output_modalities", config["output_modalities"])
        self._tokens_max = request.get("max_output_tokens", config["max_output_tokens"])
        self._tools = {
            tool.get("name") for tool in request.get("tools", config["tools"])
        }
        self._tool_choice = request.get("tool_choice", config["tool_choice"])
        self._metadata = request.get("metadata")
        self.status = "in_progress"
        self.items: list[Item] = []
        self.audio_ms = 0.0
        self._words = 0
        self._open: Item | None = None
        self._emit: dict[type, Callable[[Any], Awaitable[None]]] = {
            Reply: self._speak,
            ToolUse: self._call_tool,
            Fail: self._fail,
            Incomplete: self._break_off,
            ErrorOnly: self._err,
            Stall: self._stall,
            Drop: self._drop,
        }

    async def run(self) -> None:
        """Generate everything the script says, at the pace of the session."""
        session = self._session
        if not session.faults.no_response_created:
            session.send("response.created", response=self._fields(None))
        session.send("rate_limits.updated", rate_limits=session.rate_limits())
        await asyncio.sleep(session.options.thinking_ms / 1000)
        try:
            for output in self._outputs:
                await self._emit[type(output)](output)
        except _Ended:
            return
        self._finish("completed")

    def cancel(self, reason: str) -> None:
        """Close what is open and end as cancelled; the caller stops the task."""
        self._close_open("incomplete")
        self._finish("cancelled", {"type": "cancelled", "reason": reason})

    # --- outputs ---

    async def _speak(self, reply: Reply) -> None:
        item = self._begin(
            {
                "type": "message",
                "role": "assistant",
                "content": [],
            }
        )
        for part in (reply, *reply.more):
            await self._speak_part(item, part)
        self._close_open("completed")

    async def _speak_part(self, item: Item, reply: Reply) -> None:
        """Make one content of a message; the one before it is complete."""
        if item.parts:
            self._close_part(item)
        is_spoken = self._modalities == ["audio"] and not reply.is_text
        part: dict[str, Any] = (
            {"type": "audio", "transcript": ""}
            if is_spoken
            else {"type": "text", "text": ""}
        )
        item.parts.append(Part())
        self._send_part("content_part.added", item, part=part)
        kind = "output_audio" if is_spoken else "output_text"
        words_key = "transcript" if is_spoken else "text"
        item.fields["content"].append({"type": kind, words_key: ""})
        if is_spoken:
            await self._speak_audio(item, reply)
        else:
            for word in reply.transcript.split():
                self._say_words(item, f"{word} ")
                await asyncio.sleep(0)

    async def _speak_audio(self, item: Item, reply: Reply) -> None:
        session = self._session
        made = FORMATS[self._format["type"]]
        audio = made.from_mulaw(reply.audio)
        words = reply.transcript.split(" ")
        loop = asyncio.get_running_loop()
        started = loop.time()
        sent = said = 0
        while sent < len(audio):
            size_ms = session.rng.uniform(*session.options.delta_ms)
            size = int(size_ms * made.bytes_per_ms) // 2 * 2
            piece = audio[sent : sent + size]
            sent += len(piece)
            self._check_tokens(len(piece) / made.bytes_per_ms)
            session.has_spoken = True
            item.parts[-1].audio += piece
            item.parts[-1].audio_ms += len(piece) / made.bytes_per_ms
            self.audio_ms += len(piece) / made.bytes_per_ms
            encoded = base64.b64encode(piece).decode()
            self._send_part("output_audio.delta", item, delta=encoded)
            due = round(len(words) * min(1.0, sent / len(audio) + _WORDS_AHEAD))
            if due > said:
                lead = " " if said else ""
                self._say_words(item, lead + " ".join(words[said:due]))
                said = due
            played_s = sent / made.bytes_per_ms / 1000
            await asyncio.sleep(
                max(0.0, started + played_s / session.options.speed - loop.time())
            )

    def _say_words(self, item: Item, words: str) -> None:
        part = item.fields["content"][-1]
        is_spoken = part["type"] == "output_audio"
        key = "transcript" if is_spoken else "text"
        if item.parts[-1].truncated_ms is None:
            part[key] += words
        item.parts[-1].log.append(words)
        self._words += len(words.split())
        event = "output_audio_transcript.delta" if is_spoken else "output_text.delta"
        self._send_part(event, item, delta=words)

    def _check_tokens(self, more_ms: float) -> None:
        tokens = (self.audio_ms + more_ms) / _AUDIO_MS_PER_TOKEN
        if self._tokens_max != "inf" and tokens > self._tokens_max:
            self._close_open("incomplete")
            reason = {"type": "incomplete", "reason": "max_output_tokens"}
            self._finish("incomplete", reason)
            raise _Ended

    async def _call_tool(self, use: ToolUse) -> None:
        if self._tool_choice == "none":
            return
        if use.name is not None and use.name not in self._tools:
            self._session.violations.append(f"tool {use.name} was not offered")
            return
        arguments = msgspec.json.encode(use.arguments).decode()
        name = {} if use.name is None else {"name": use.name}
        item = self._begin(
            {
                "type": "function_call",
                **name,
                "call_id": self._session.new_id("call"),
                "arguments": "",
            }
        )
        call_id = item.fields["call_id"]
        size = max(1, self._session.rng.randrange(4, 16))
        for start in range(0, len(arguments), size):
            delta = arguments[start : start + size]
            self._send(
                "function_call_arguments.delta", item, call_id=call_id, delta=delta
            )
            item.fields["arguments"] += delta
            await asyncio.sleep(0)
        self._send(
            "function_call_arguments.done",
            item,
            call_id=call_id,
            arguments=arguments,
            **name,
        )
        self._close_open("completed")

    async def _fail(self, fail: Fail) -> None:
        error = {"type": fail.kind, "code": fail.code, "message": fail.message}
        self._finish("failed", {"type": "failed", "error": error})
        raise _Ended

    async def _break_off(self, early: Incomplete) -> None:
        self._close_open("incomplete")
        self._finish("incomplete", {"type": "incomplete", "reason": early.reason})
        raise _Ended

    async def _err(self, error: ErrorOnly) -> None:
        names = {"type": error.kind, "code": error.code}
        nothing = {"param": None, "event_id": None}
        body = {**names, "message": "The server had an error.", **nothing}
        self._session.send("error", error=body)
        self._session.note_response_done(self)
        raise _Ended

    async def _stall(self, stall: Stall) -> None:
        if stall.seconds is None:
            await asyncio.Event().wait()
        else:
            await asyncio.sleep(stall.seconds)

    async def _drop(self, drop: Drop) -> None:
        self._session.drop(drop.code)
        raise _Ended

    # --- events ---

    def _begin(self, fields: dict[str, Any]) -> Item:
        item = Item(
            {
                "id": self._session.new_id("item"),
                "object": "realtime.item",
                "status": "in_progress",
                **fields,
            }
        )
        self.items.append(item)
        self._open = item
        self._send("output_item.added", None, item=item.wire())
        if self.is_default:
            previous = self._session.conversation.add(item)
            self._session.send(
                "conversation.item.added",
                previous_item_id=previous,
                item=item.wire(),
            )
        return item

    def _close_open(self, status: str) -> None:
        item, self._open = self._open, None
        if item is None:
            return
        item.fields["status"] = status
        if item.fields["type"] == "message":
            self._close_part(item)
        self._send("output_item.done", None, item=item.wire())
        if self.is_default and item.id in self._session.conversation:
            self._session.send(
                "conversation.item.done",
                previous_item_id=self._session.conversation.previous_id(item),
                item=item.wire(),
            )

    def _close_part(self, item: Item) -> None:
        words = "".join(item.parts[-1].log)
        if item.fields["content"][-1]["type"] == "output_audio":
            self._send_part("output_audio.done", item)
            self._send_part("output_audio_transcript.done", item, transcript=words)
            part = {"type": "audio", "transcript": words}
        else:
            self._send_part("output_text.done", item, text=words)
            part = {"type": "text", "text": words}
        self._send_part("content_part.done", item, part=part)

    def _send_part(self, event: str, item: Item, **fields: Any) -> None:
        self._send(event, item, content_index=len(item.parts) - 1, **fields)

    def _send(self, event: str, about: Item | None, **fields: Any) -> None:
        if about is not None:
            fields["item_id"] = about.id
        self._session.send(
            f"response.{event}",
            response_id=self.id,
            output_index=max(0, len(self.items) - 1),
            **fields,
        )

    def _finish(self, status: str, details: dict[str, Any] | None = None) -> None:
        self.status = status
        self._session.note_response_done(self)
        self._session.send("response.done", response=self._fields(details))

    def _fields(self, details: dict[str, Any] | None) -> dict[str, Any]:
        voice = self._voice if isinstance(self._voice, str) else self._voice["id"]
        return {
            "object": "realtime.response",
            "id": self.id,
            "status": self.status,
            "status_details": details,
            "output": [item.wire() for item in self.items],
            "output_modalities": self._modalities,
            "max_output_tokens": self._tokens_max,
            "audio": {"output": {"format": self._format, "voice": voice}},
            "usage": None if self.status == "in_progress" else self._usage(),
            "metadata": self._metadata,
            "conversation_id": (
                self._session.conversation_id if self.is_default else None
            ),
        }

    def _usage(self) -> dict[str, Any] | None:
        if self._session.faults.no_usage:
            return None
        audio = round(self.audio_ms / _AUDIO_MS_PER_TOKEN)
        heard, read = self._session.input_tokens()
        return {
            "total_tokens": heard + read + audio + self._words,
            "input_tokens": heard + read,
            "output_tokens": audio + self._words,
            "input_token_details": {
                "text_tokens": read,
                "audio_tokens": heard,
                "image_tokens": 0,
                "cached_tokens": 0,
                "cached_tokens_details": {
                    "text_tokens": 0,
                    "audio_tokens": 0,
                    "image_tokens": 0,
                },
            },
            "output_token_details": {"text_tokens": self._words, "audio_tokens": audio},
        }
