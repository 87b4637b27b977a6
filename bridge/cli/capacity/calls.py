"""The calls of one load process: placed, paced frame by frame, and ended.

The calls of a process are divided into slots of 2 ms, which send one after another. A
late tick does not shift the clock: its frames are sent at once.
"""

import asyncio
import random
from collections.abc import Mapping
from secrets import token_hex
from time import monotonic
from typing import NamedTuple

import aiohttp
import picows

from bridge.cli.capacity.ends import FRAME_S, CallerEnd, ModelEnd, Tally
from bridge.sandbox import twiml
from bridge.sandbox.caller import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN
from bridge.sandbox.sign import signature

NUMBER = "+15550100300"
SLOTS = 10
# "Twilio waits about 15 seconds for TwiML"
_WEBHOOK_S = 15.0
# The callers do not begin to speak together.
_QUIET_S = (2.0, 12.0)
_STREAM_FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}


class CallError(Exception):
    """A call was not taken; the text says why."""


class Call(NamedTuple):
    """One call that runs."""

    sid: str
    fields: Mapping[str, str]
    end: CallerEnd


class Calls:
    """The calls of one process, and the sessions of the model that it has."""

    def __init__(self, url: str, first_number: int) -> None:
        self.tally = Tally()
        self.lags_ms: list[float] = []
        self._url = url
        self._number = first_number
        self._luck = random.Random(first_number)
        self._slots: list[list[Call]] = [[] for _ in range(SLOTS)]
        self._sessions: list[list[ModelEnd]] = [[] for _ in range(SLOTS)]
        self._opened = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tick_no = 0
        self._began = 0.0
        self._paused_at: float | None = None
        timeout = aiohttp.ClientTimeout(total=_WEBHOOK_S)
        self._http = aiohttp.ClientSession(timeout=timeout)

    def __len__(self) -> int:
        return sum(map(len, self._slots))

    def session(self, request: object) -> ModelEnd:
        """Return the model's end of a connection that opens."""
        self._opened += 1
        end = ModelEnd(self.tally, self._number + self._opened)
        min(self._sessions, key=len).append(end)
        return end

    # --- calls begin and end ---

    async def place(self) -> None:
        """Place one more call; raises CallError if it is not taken."""
        self._number += 1
        fields = {
            "CallSid": f"CA{token_hex(16)}",
            "AccountSid": SANDBOX_ACCOUNT_SID,
            "From": f"+1555{self._number:07}",
            "To": NUMBER,
            "CallStatus": "ringing",
        }
        try:
            document = await self._post("/twilio/voice", fields)
            stream = next(
                (one for one in document.verbs if isinstance(one, twiml.Stream)), None
            )
            if stream is None:
                raise CallError("the caller is given the fallback sentence")
            end = await self._connect(stream.url)
        except (aiohttp.ClientError, picows.WSError, OSError, TimeoutError) as error:
            raise CallError(str(error) or type(error).__name__) from None
        self._start(end, fields["CallSid"], stream.parameters)
        call = Call(fields["CallSid"], fields, end)
        min(self._slots, key=len).append(call)

    async def _connect(self, url: str) -> CallerEnd:
        end = CallerEnd(self.tally, self._number, self._luck.uniform(*_QUIET_S))
        headers = {"X-Twilio-Signature": signature(SANDBOX_AUTH_TOKEN, url)}
        await picows.ws_connect(lambda: end, url, extra_headers=headers)
        return end

    def _start(
        self, end: CallerEnd, call_sid: str, parameters: Mapping[str, str]
    ) -> None:
        end.send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        start = {
            "streamSid": end.stream_sid,
            "accountSid": SANDBOX_ACCOUNT_SID,
            "callSid": call_sid,
            "tracks": ["inbound"],
            "mediaFormat": _STREAM_FORMAT,
            "customParameters": dict(parameters),
        }
        end.send({"event": "start", "sequenceNumber": "1", "start": start})

    async def hang_up(self) -> None:
        """End one call, as the caller."""
        call = max(self._slots, key=len).pop()
        ids = {"accountSid": SANDBOX_ACCOUNT_SID, "callSid": call.sid}
        call.end.hang_up(ids)
        ended = {**call.fields, "CallStatus": "completed", "CallDuration": "1"}
        await self._post("/twilio/call-status", ended)

    async def _post(self, path: str, fields: Mapping[str, str]) -> twiml.Document:
        url = self._url + path
        headers = {"X-Twilio-Signature": signature(SANDBOX_AUTH_TOKEN, url, fields)}
        async with self._http.post(url, data=fields, headers=headers) as answer:
            body = await answer.read()
            if answer.status // 100 != 2:
                raise CallError(f"{path}: HTTP {answer.status}")
        if not body:
            return twiml.Document([], [])
        return twiml.parse(body, answer.headers.get("Content-Type", ""), allow_ws=True)

    async def close(self) -> None:
        """Stop; the sockets close with the process."""
        if self._timer is not None:
            self._timer.cancel()
        await self._http.close()

    # --- the clock ---

    def begin(self) -> None:
        """Send the frames of all calls from now on, each at its time."""
        if self._timer is not None:
            self._timer.cancel()
        now = monotonic()
        if self._paused_at is not None:
            for slot in self._slots:
                for call in slot:
                    call.end.pause(now - self._paused_at)
        self._paused_at = None
        self._began, self._tick_no = now, 0
        self._wait()

    def pause(self) -> None:
        """Send no frame until `begin`."""
        if self._timer is not None:
            self._timer.cancel()
        self._paused_at = monotonic()

    def _wait(self) -> None:
        due = self._began + (self._tick_no + 1) * FRAME_S / SLOTS
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(max(0.0, due - monotonic()), self._tick)

    def _tick(self) -> None:
        """Send what is due of every slot; at most one round at a time."""
        now = monotonic()
        for _ in range(SLOTS):
            due = self._began + (self._tick_no + 1) * FRAME_S / SLOTS
            if due > now:
                break
            self.lags_ms.append((now - due) * 1e3)
            self._send(self._tick_no % SLOTS)
            self._tick_no += 1
        self._wait()

    def _send(self, slot: int) -> None:
        for call in self._slots[slot]:
            call.end.tick()
        sessions = self._sessions[slot]
        for session in sessions:
            session.tick()
        if any(session.is_closed for session in sessions):
            self._sessions[slot] = [one for one in sessions if not one.is_closed]
