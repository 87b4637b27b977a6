"""One session of the Realtime API: what a client's events do.

`Session` keeps everything it received and sent, for the tests that own it. `errors`
holds the events that the API answers with an error. `violations` also holds what a
client must never do, even where the API accepts it silently.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Callable
from typing import Any

import msgspec

from bridge.sandbox import client_events, defaults
from bridge.sandbox.conversation import Conversation, Item, with_audio
from bridge.sandbox.hearing import Hearing
from bridge.sandbox.options import RACES, Options, Timed, TimedAudio
from bridge.sandbox.response import Response
from bridge.sandbox.rules import Refused
from bridge.sandbox.script import Faults, Script

Choice = Script | Callable[["Session"], Script]


class Session:
    """One connection; the server's reader calls `receive` for every frame."""

    def __init__(
        self, choice: Choice, options: Options, model: str, index: int
    ) -> None:
        self.options = options
        self.index = index
        self.rng = random.Random(options.seed * 1000 + index)
        self._ids = 0
        self._choice = choice
        self._script = choice if isinstance(choice, Script) else None
        self.id = self.new_id("sess")
        self.conversation_id = self.new_id("conv")
        self.opened_at = time.monotonic()
        self.closed_at: float | None = None
        expires_at = int(time.time() + options.expires_after_s)
        self.config = defaults.default_session(self.id, model, expires_at)
        self.is_configured = False
        self.conversation = Conversation()
        self.hearing = Hearing(self)
        self.received: list[Timed] = []
        self.sent: list[Timed] = []
        self.audio: list[TimedAudio] = []
        self.heard_bytes = 0
        self.errors: list[dict[str, Any]] = []
        self.violations: list[str] = []
        self.responses: list[Response] = []
        self.active: Response | None = None
        self.unanswered_turns = 0
        self.turns_taken = 0
        self.has_greeted = False
        self.has_spoken = False
        self._tasks: dict[Response, asyncio.Task[None]] = {}
        self._timers: list[asyncio.TimerHandle] = []
        self.outbox: asyncio.Queue[dict[str, Any] | int | None] = asyncio.Queue()
        self._on: dict[str, Callable[[dict[str, Any]], None]] = {
            "session.update": self._on_session_update,
            "input_audio_buffer.append": self._on_append,
            "input_audio_buffer.commit": self._on_commit,
            "input_audio_buffer.clear": self._on_clear,
            "conversation.item.create": self._on_item_create,
            "conversation.item.retrieve": self._on_item_retrieve,
            "conversation.item.truncate": self._on_item_truncate,
            "conversation.item.delete": self._on_item_delete,
            "response.create": self._on_response_create,
            "response.cancel": self._on_response_cancel,
            "output_audio_buffer.clear": self._on_output_clear,
        }

    # --- what a test reads ---

    @property
    def script(self) -> Script:
        """The script, chosen when it is first needed."""
        if self._script is None:
            assert not isinstance(self._choice, Script), "it is chosen already"
            self._script = self._choice(self)
        return self._script

    @property
    def faults(self) -> Faults:
        """The faults of this session; none until its script is chosen."""
        return Faults() if self._script is None else self._script.faults

    @property
    def instructions(self) -> str:
        """The instructions of the session."""
        instructions: str = self.config["instructions"]
        return instructions

    @property
    def language(self) -> str:
        """The caller's language, from the transcription, else from the instructions."""
        transcription = self.config["audio"]["input"]["transcription"] or {}
        given: str | None = transcription.get("language")
        if given:
            return given
        return "he" if re.search("[\u05d0-\u05ea]", self.instructions) else "en"

    @property
    def heard(self) -> bytes:
        """All audio written to the session, in order."""
        return b"".join(piece.audio for piece in self.audio)

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Return the client events of one type."""
        return [event for _, event in self.received if event.get("type") == kind]

    def sent_events(self, kind: str) -> list[dict[str, Any]]:
        """Return the server events of one type."""
        return [event for _, event in self.sent if event["type"] == kind]

    # --- used by the parts of a session ---

    def new_id(self, prefix: str) -> str:
        """Return an id that is unique in this server's sessions."""
        self._ids += 1
        return f"{prefix}_{self.index:03d}{self._ids:09d}"

    def send(self, kind: str, **fields: Any) -> None:
        """Queue one server event."""
        event = {"type": kind, "event_id": self.new_id("event"), **fields}
        if self.faults.unknown_events:
            self.outbox.put_nowait(
                {"type": "response.weather.updated", "event_id": self.new_id("event")}
            )
            event["x_not_yet_known"] = {"value": 1}
        if self.options.keeps_events:
            self.sent.append(Timed(time.monotonic(), event))
        self.outbox.put_nowait(event)

    def later(self, delay_s: float, call: Callable[[], None]) -> asyncio.TimerHandle:
        """Call after a delay, unless the session has closed."""
        timer = asyncio.get_running_loop().call_later(delay_s, call)
        self._timers.append(timer)
        return timer

    def drop(self, code: int | None) -> None:
        """End the connection after what is queued: close with `code`, or cut it."""
        self.outbox.put_nowait(code)

    def start(self) -> None:
        """Greet the client, unless the script's faults prevent it."""
        self.later(self.options.expires_after_s, self._expire)
        if self.faults.fatal_error:
            code = self.faults.fatal_error
            self.refuse(Refused(code, "Refused by the sandbox."), None)
            self.drop(1000)
        elif not self.faults.no_session_created:
            self.send("session.created", session=self.config)

    def stop(self) -> None:
        """Stop everything that still runs: the connection is closed."""
        self.closed_at = time.monotonic()
        self.hearing.disarm_idle()
        for timer in self._timers:
            timer.cancel()
        for task in self._tasks.values():
            task.cancel()
        self.outbox.put_nowait(None)

    def receive(self, frame: str | bytes) -> None:
        """Take one frame from the client."""
        event_id: Any = None
        try:
            event = self._decode(frame)
            if isinstance(event, dict):
                event_id = event.get("event_id")
                if self.options.keeps_events:
                    self.received.append(Timed(time.monotonic(), event))
            self._on[client_events.check(event)](event)
        except Refused as refused:
            self.refuse(refused, event_id)

    def _decode(self, frame: str | bytes) -> Any:
        if isinstance(frame, bytes):
            raise Refused("invalid_event", "The event must be a text frame.")
        try:
            return msgspec.json.decode(frame)
        except (msgspec.DecodeError, RecursionError):
            raise Refused("invalid_event", "The event is not valid JSON.") from None

    def refuse(self, refused: Refused, event_id: Any) -> None:
        """Answer a client event with an error."""
        error = {
            "type": "invalid_request_error",
            "code": refused.code,
            "message": refused.message,
            "param": refused.param,
            "event_id": event_id if isinstance(event_id, str) else None,
        }
        self.errors.append(error)
        if refused.code not in RACES:
            self.violations.append(f"{refused.code}: {refused.message}")
        self.send("error", error=error)

    def _expire(self) -> None:
        self.refuse(
            Refused(
                "session_expired",
                "Your session hit the maximum duration of 60 minutes.",
            ),
            None,
        )
        self.drop(1001)

    # --- the session and its items ---

    def _on_session_update(self, event: dict[str, Any]) -> None:
        update = event["session"]
        if self.faults.ignore_update:
            return
        if self.faults.refuse_update:
            code = self.faults.refuse_update
            raise Refused(code, "Refused by the sandbox.", "session")
        defaults.merge(self.config, update, self.has_spoken)
        self.later(
            self.options.configure_ms / 1000,
            lambda: self._apply(update, event.get("event_id")),
        )

    def _apply(self, update: dict[str, Any], event_id: str | None) -> None:
        try:
            self.config = defaults.merge(self.config, update, self.has_spoken)
        except Refused as refused:
            self.refuse(refused, event_id)
            return
        self.is_configured = True
        self.hearing.configure()
        self.send("session.updated", session=self.config)

    def _on_item_create(self, event: dict[str, Any]) -> None:
        fields = {"id": self.new_id("item"), "object": "realtime.item"}
        fields |= {"status": "completed", **event["item"]}
        for at, part in enumerate(event["item"].get("content", ())):
            if part["type"] == "input_audio":
                path = f"item.content[{at}].audio"
                client_events.decode_audio(part["audio"], path)
        if fields["type"] == "function_call_output":
            calls = self.conversation.called_tools()
            if fields["call_id"] not in calls:
                raise Refused(
                    "invalid_value",
                    f"No function call with call_id '{fields['call_id']}'.",
                    "item.call_id",
                )
            if calls[fields["call_id"]]:
                self.violations.append(f"{fields['call_id']} is answered twice")
        self._add_item(Item(fields), event.get("previous_item_id"))

    def _add_item(self, item: Item, after: str | None = None) -> None:
        previous = self.conversation.add(item, after)
        for kind in ("conversation.item.added", "conversation.item.done"):
            self.send(kind, previous_item_id=previous, item=item.wire())

    def _on_item_retrieve(self, event: dict[str, Any]) -> None:
        item = self.conversation.find(event["item_id"], "retrieve")
        self.send("conversation.item.retrieved", item=with_audio(item))

    def _on_item_truncate(self, event: dict[str, Any]) -> None:
        wanted = {
            name: event[name] for name in ("item_id", "content_index", "audio_end_ms")
        }
        self.conversation.truncate(**wanted)
        self.send("conversation.item.truncated", **wanted)

    def _on_item_delete(self, event: dict[str, Any]) -> None:
        self.conversation.remove(event["item_id"])
        self.send("conversation.item.deleted", item_id=event["item_id"])

    # --- audio ---

    def _on_append(self, event: dict[str, Any]) -> None:
        audio = client_events.decode_audio(event["audio"], "audio")
        if not self.is_configured and not self.heard_bytes:
            self.violations.append("audio was sent before session.updated")
        self.heard_bytes += len(audio)
        if self.options.keeps_events:
            self.audio.append(TimedAudio(time.monotonic(), audio))
        self.hearing.write(audio)

    def _on_commit(self, event: dict[str, Any]) -> None:
        self.hearing.commit()

    def _on_clear(self, event: dict[str, Any]) -> None:
        self.hearing.clear()
        self.send("input_audio_buffer.cleared")

    def _on_output_clear(self, event: dict[str, Any]) -> None:
        raise Refused(
            "invalid_value",
            "'output_audio_buffer.clear' is only available over WebRTC and SIP.",
            "type",
        )

    def add_heard(self, item: Item) -> None:
        """Commit what the caller said as an item, and report it."""
        last = list(self.conversation)[-1:]
        previous = last[0].id if last else None
        self.send(
            "input_audio_buffer.committed", previous_item_id=previous, item_id=item.id
        )
        self._add_item(item)

    # --- responses ---

    def _on_response_create(self, event: dict[str, Any]) -> None:
        if not self.is_configured:
            self.violations.append("response.create was sent before session.updated")
        request = dict(event.get("response", {}))
        if request.get("instructions", "") is None:
            del request["instructions"]
        defaults.check_voice(self.config, request, self.has_spoken, "response")
        defaults.check_reasoning(self.config["model"], request, "response")
        for index, item in enumerate(request.get("input", ())):
            if item["type"] == "item_reference":
                self.conversation.find(
                    item["id"], "reference", f"response.input[{index}].id"
                )
        if self.active is not None and request.get("conversation") != "none":
            raise Refused(
                "conversation_already_has_active_response",
                f"Conversation already has an active response in progress: "
                f"{self.active.id}. Wait until the response is finished before "
                "creating a new one.",
            )
        self.respond(request)

    def respond(self, request: dict[str, Any]) -> None:
        """Start a response; no other may run in the conversation."""
        if self.script.faults.ignore_responses:
            return
        response = Response(self, request, self.script.choose(self, request))
        self.responses.append(response)
        if response.is_default:
            self.active = response
            self.hearing.disarm_idle()
        task = asyncio.create_task(response.run())
        task.add_done_callback(self._note_task)
        self._tasks[response] = task

    def _note_task(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self.violations.append(f"the sandbox itself failed: {task.exception()!r}")

    def note_response_done(self, response: Response) -> None:
        """Let the next response begin; the idle timeout counts from here."""
        self._tasks.pop(response, None)
        if self.active is response:
            self.active = None
            self.hearing.arm_idle(response.audio_ms)

    def cancel(self, response: Response, reason: str) -> None:
        """Stop a response that runs."""
        self._tasks[response].cancel()
        response.cancel(reason)

    def _on_response_cancel(self, event: dict[str, Any]) -> None:
        wanted = event.get("response_id")
        running = [
            response
            for response in self._tasks
            if (response is self.active if wanted is None else response.id == wanted)
        ]
        if not running:
            raise Refused(
                "response_cancel_not_active",
                "Cancellation failed: no active response found",
            )
        self.cancel(running[0], "client_cancelled")

    # --- figures ---

    def rate_limits(self) -> list[dict[str, Any]]:
        """Return the rate limits at the start of a response."""
        left = 50_000 - 100 * len(self.responses)
        return [
            {"name": "tokens", "limit": 50_000, "remaining": left, "reset_seconds": 60}
        ]

    def input_tokens(self) -> tuple[int, int]:
        """Return audio and text tokens of the whole conversation."""
        heard = 0.0
        words = len(self.instructions.split())
        for item in self.conversation:
            is_user = item.fields.get("role") == "user"
            heard += item.audio_ms / (100 if is_user else 50)
            words += len(item.text.split())
        return round(heard), words
