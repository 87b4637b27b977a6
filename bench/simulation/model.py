"""The model's side of a simulated call: as strict as the Realtime API, with its timing.

The model hears only the audio that it is sent, and detects turns in audio time. It
refuses what the API refuses. A refusal that the bridge could have avoided is a broken
invariant. Speech is generated faster than real time.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from msgspec import UNSET

from bench.simulation.invariant import check
from bridge.media.uplink import SILENCE
from bridge.realtime import openai
from bridge.realtime.openai_events import OutputItemAdded, StatusDetails
from dsp.g711 import frame_levels

if TYPE_CHECKING:
    from bench.simulation.world import Wire, World

# -45 dBFS, in the units of `frame_levels`.
LOUD = 127 - 45
COMMIT_MS_MIN = 100
SESSION_S = 3_600
_AUDIO = bytes((number * 31 + number // 7) % 251 for number in range(60_000))
_ARGUMENTS = ("{}", '{"name":"Dana"}', "no JSON", '{"reason":"goodbye"}')
_TOOLS = ("leads_upsert", "calendar_find_slots", "end_call", "no_such_tool")
_ERRORS = (
    "server_error",
    "response_cancel_not_active",
    "item_truncate_invalid_item_id",
    "invalid_value",
)
Step = tuple[float, openai.Inbound | None]


class Model:
    """One session; its events reach the bridge over its wire, in order."""

    def __init__(
        self, world: "World", number: int, *, to_bridge: "Wire", to_model: "Wire"
    ) -> None:
        self.to_bridge = to_bridge
        self.to_model = to_model
        self._world = world
        self._rng = world.scenario.rng
        self._number = number
        self._ids = 0
        self._options = world.plan.options
        self._is_ready = False
        self._appended_ms = 0
        self._uncommitted_ms = 0
        self._voiced = 0
        self._quiet_ms = 0
        self._is_speech = False
        self._wait_ms = 0
        self._part_ms: dict[tuple[str, int], float] = {}
        self._open_tools: set[str] = set()
        self._running: str | None = None
        self._open_part: tuple[str, int] | None = None
        self._steps: Iterator[Step] | None = None
        self._is_answer_owed = False
        self._answers_turns = True
        self._has_strayed = False
        self.is_closed = False
        self.is_breaking = False
        self.appended = 0

    def start(self) -> None:
        """Send `session.created`; in a scenario with faults, sometimes break later."""
        self._send(openai.SessionCreated(session=openai.Session()))
        if self._world.scenario.is_fault:
            self._world.after(self._rng.expovariate(1 / 5.0), self._misbehave)

    def close(self) -> None:
        """The socket is gone: the session says and hears no more."""
        self.is_closed = True

    @property
    def is_at_work(self) -> bool:
        """Tell whether the session hears a turn or answers one."""
        return self._is_speech or self._running is not None or self._is_answer_owed

    # --- what the bridge sends ---

    def receive(self, event: Any) -> None:
        """Take one client event."""
        if not self.is_closed:
            _RECEIVE[type(event)](self, event)

    def _on_update(self, event: openai.SessionUpdate) -> None:
        if self._world.scenario.is_fault and self._rng.random() < 0.02:
            self._refuse("unknown_parameter", event.event_id)
            return
        self._is_ready = True
        detection = event.session.audio.input.turn_detection
        self._answers_turns = detection is None or detection.create_response
        pcmu = b'{"format":{"type":"audio/pcmu"}}'
        text = (
            b'{"type":"session.updated","session":{"audio":{"input":%b,"output":%b}}}'
        )
        echoed = openai.decode(text % (pcmu, pcmu))
        assert echoed is not None
        self._send(echoed)

    def _on_append(self, event: openai.AppendAudio) -> None:
        check(self._is_ready, "no audio before the session is confirmed")
        check(len(event.audio) == 160, "audio goes out in frames", len(event.audio))
        self.appended += 1
        self._appended_ms += 20
        self._uncommitted_ms += 20
        is_loud = event.audio != SILENCE and frame_levels(event.audio)[0] > LOUD
        self._voiced = self._voiced + 1 if is_loud else 0
        self._quiet_ms = 0 if is_loud else self._quiet_ms + 20
        if self._options.turn_detection == "gate":
            return
        needed = self._world.scenario.server_hears_after
        if not self._is_speech and self._voiced >= needed:
            self._is_speech = True
            self._item = self._new_id("item")
            self._wait_ms = self._options.turn_silence_ms
            if self._options.turn_detection == "semantic_vad":
                self._wait_ms = self._rng.choice((200, 600, 2_000, 4_000))
            start_ms = max(0, self._appended_ms - 360)
            self._send(
                openai.SpeechStarted(item_id=self._item, audio_start_ms=start_ms)
            )
        elif self._is_speech and self._quiet_ms >= self._wait_ms:
            self._is_speech = False
            end_ms = self._appended_ms - self._quiet_ms
            self._send(openai.SpeechStopped(item_id=self._item, audio_end_ms=end_ms))
            self._commit(self._item)
            if not self._answers_turns:
                return
            if self._running is None:
                self._world.after(self._rng.uniform(0, 0.05), self._answer_turn)
            else:
                self._is_answer_owed = self._rng.random() < 0.3

    def _on_commit(self, event: openai.CommitAudio) -> None:
        enough = self._uncommitted_ms >= COMMIT_MS_MIN
        # In the VAD modes the server may have just made an item of it.
        is_race = self._options.turn_detection != "gate"
        check(enough or is_race, "nothing under 100 ms is committed")
        if not enough:
            self._refuse("input_audio_buffer_commit_empty", event.event_id)
            return
        item_id = self._item if self._is_speech else self._new_id("item")
        self._is_speech = False
        self._commit(item_id)

    def _on_clear(self, event: openai.ClearAudio) -> None:
        self._uncommitted_ms = 0

    def _on_item(self, event: openai.CreateItem) -> None:
        item = event.item
        check(self._is_ready, "no item before the session is confirmed")
        is_message = isinstance(item, openai.MessageItem)
        is_fault = is_message and self._world.scenario.is_fault
        if is_fault and self._rng.random() < 0.03:
            self._refuse("invalid_value", event.event_id)
            return
        self._send(openai.ItemAdded())
        if isinstance(item, openai.FunctionCall):
            self._open_tools.add(item.call_id)
        elif isinstance(item, openai.FunctionCallOutput):
            is_open = item.call_id in self._open_tools
            check(is_open, "a tool is answered once", item.call_id)
            self._open_tools.discard(item.call_id)

    def _on_truncate(self, event: openai.ConversationItemTruncate) -> None:
        known_ms = self._part_ms.get((event.item_id, event.content_index))
        check(known_ms is not None, "only known parts are truncated", event.item_id)
        is_inside = known_ms is not None and event.audio_end_ms <= known_ms
        check(is_inside, "truncate inside the audio", event.audio_end_ms, known_ms)
        if self._world.scenario.is_fault and self._rng.random() < 0.1:
            self._refuse("invalid_value", None)

    def _on_create(self, event: openai.ResponseCreate) -> None:
        if self._running is not None:
            # After the end of an unknown response the bridge may ask once more.
            is_race = self._options.turn_detection != "gate" or self._has_strayed
            check(is_race, "nobody but the bridge asks in gate mode")
            self._collide(event.event_id)
            return
        if self._world.scenario.is_fault and self._rng.random() < 0.01:
            self.is_breaking = True
            return  # no event answers the request
        params = event.response
        self._begin(has_tools=params is UNSET or params.tool_choice != "none")

    def _on_cancel(self, event: openai.ResponseCancel) -> None:
        if self._running is None:
            self._refuse("response_cancel_not_active", event.event_id)
            return
        response_id = self._running
        if self._open_part is not None:
            self._send(openai.AudioDone(response_id, *self._open_part))
        self._end(response_id, "cancelled")

    # --- what the model says ---

    def _commit(self, item_id: str) -> None:
        self._uncommitted_ms = 0
        self._send(openai.Committed(item_id=item_id))
        self._send(openai.ItemAdded())
        said = self._rng.choice(("Yes.", "On Tuesday, please.", ""))
        words = openai.TranscriptionCompleted(item_id=item_id, transcript=said)
        if self._rng.random() < 0.8:
            self._world.after(self._rng.uniform(0.0, 3.0), self._send, words)

    def _answer_turn(self) -> None:
        if self._running is None:
            self._begin(has_tools=True)

    def _begin(self, *, has_tools: bool) -> None:
        self._running = self._new_id("resp")
        self._steps = self._response(self._running, has_tools)
        self._step(self._running)

    def _step(self, response_id: str) -> None:
        """Send the next event of this response, if it still runs."""
        if self._running != response_id or self._steps is None or self.is_closed:
            return
        wait_s, event = next(self._steps, (0.0, None))
        if self._running != response_id:
            return
        if event is None:
            self._end(response_id, "completed")
            return
        self._send(event)
        if self._running == response_id:
            self._world.after(wait_s, self._step, response_id)

    def _response(self, response_id: str, has_tools: bool) -> Iterator[Step]:
        rng = self._rng
        begins: openai.Inbound = openai.ResponseCreated(openai.Response(response_id))
        if self._world.scenario.is_fault and rng.random() < 0.04:
            begins = openai.ItemAdded()  # `response.created` is never sent
        yield rng.uniform(0.02, 0.6), begins
        if self._world.scenario.is_fault and rng.random() < 0.1:
            self._end(response_id, rng.choice(("failed", "failed", "incomplete")))
            return
        if self._world.scenario.is_fault and rng.random() < 0.03:
            self._steps = None  # nothing follows, or only an error
            self.is_breaking = True
            if rng.random() < 0.5:
                self._refuse("server_error", None)
            item = openai.Item(id=self._new_id("item"), type="message")
            yield 0.0, OutputItemAdded(response_id=response_id, item=item)
        for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
            yield from self._message(response_id)
        for _ in range(rng.choice((0, 0, 0, 1, 2)) if has_tools else 0):
            call_id = self._new_id("call")
            self._open_tools.add(call_id)
            item = openai.Item(
                id=self._new_id("item"),
                type="function_call",
                name=rng.choice(_TOOLS),
                call_id=call_id,
                arguments=rng.choice(_ARGUMENTS),
            )
            yield 0.01, openai.OutputItemDone(response_id=response_id, item=item)

    def _message(self, response_id: str) -> Iterator[Step]:
        rng = self._rng
        item_id = self._new_id("item")
        item = openai.Item(id=item_id, type="message")
        yield 0.0, OutputItemAdded(response_id=response_id, item=item)
        for part in range(rng.choice((1, 1, 1, 1, 2))):
            yield from self._part(response_id, item_id, part)
        yield 0.0, openai.OutputItemDone(response_id=response_id, item=item)

    def _part(self, response_id: str, item_id: str, part: int) -> Iterator[Step]:
        rng = self._rng
        self._open_part = item_id, part
        self._part_ms[item_id, part] = 0.0
        left = 8 * rng.choice((90, 500, 1_500, 3_000, 6_000)) + rng.randrange(200)
        speed = rng.choice((1.5, 4.0, 20.0))
        at = rng.randrange(8_000)
        while left > 0:
            if self._world.scenario.is_fault and rng.random() < 0.002:
                self._end(response_id, "failed")  # without the part's `done`
                return
            size = min(left, rng.randrange(1, 4_000))
            left -= size
            delta = _AUDIO[at : at + size]
            at = (at + size) % 50_000
            self._part_ms[item_id, part] += len(delta) / 8
            yield (
                size / 8_000 / speed,
                openai.AudioDelta(response_id, item_id, part, delta),
            )
        self._open_part = None
        yield 0.0, openai.AudioDone(response_id, item_id, part)
        said = rng.choice(("Which day would suit you?", f"It is {at}.", "Yes."))
        yield 0.0, openai.TranscriptDone(response_id, item_id, said, part)

    def _end(self, response_id: str, status: str) -> None:
        self._running = self._steps = self._open_part = None
        details = None
        if status == "failed":
            code = self._rng.choice(("rate_limit_exceeded", "server_error"))
            details = StatusDetails(error=openai.ErrorBody(code=code))
        response = openai.Response(
            id=response_id, status=status, status_details=details
        )
        self._send(openai.ResponseDone(response=response))
        if self._is_answer_owed:
            self._is_answer_owed = False
            self._world.after(0.001, self._answer_turn)

    # --- faults ---

    def _misbehave(self) -> None:
        if self.is_closed:
            return
        rng, kind = self._rng, self._rng.random()
        if kind < 0.5:
            self._refuse(rng.choice(_ERRORS), rng.choice((None, "nobody")))
        elif kind < 0.6:
            self._send(openai.AudioDone(response_id="nobody", item_id="nobody"))
        elif kind < 0.7:
            self._world.give_unknown()
        elif kind < 0.8:
            done = openai.Response(id="nobody", status="completed")
            self._has_strayed = True
            self._send(openai.ResponseDone(response=done))
        elif kind < 0.9:
            self._world.lose_model(self)
        elif self._is_ready:
            self.is_breaking = True
            self._refuse("session_expired", None)
            self._world.hang_up_model(self)
        self._world.after(rng.expovariate(1 / 5.0), self._misbehave)

    def _collide(self, event_id: Any) -> None:
        """Refuse a second response; with faults late, or without saying which."""
        code, rng = "conversation_already_has_active_response", self._rng
        if not self._world.scenario.is_fault:
            self._refuse(code, event_id)
            return
        named = event_id if rng.random() < 0.7 else None
        self._world.after(rng.choice((0.0, 0.0, 1.0)), self._refuse, code, named)

    def _refuse(self, code: str, event_id: Any) -> None:
        named = event_id if isinstance(event_id, str) else None
        self._send(openai.Error(openai.ErrorBody(code=code, event_id=named)))

    def _send(self, event: openai.Inbound) -> None:
        self._world.from_model(self, event)

    def _new_id(self, kind: str) -> str:
        self._ids += 1
        return f"{kind}-{self._number}-{self._ids}"


_RECEIVE: dict[type, Any] = {
    openai.SessionUpdate: Model._on_update,
    openai.AppendAudio: Model._on_append,
    openai.CommitAudio: Model._on_commit,
    openai.ClearAudio: Model._on_clear,
    openai.CreateItem: Model._on_item,
    openai.ConversationItemTruncate: Model._on_truncate,
    openai.ResponseCreate: Model._on_create,
    openai.ResponseCancel: Model._on_cancel,
}
