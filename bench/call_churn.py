"""Call churn: callers that ring, talk and hang up as Twilio's streams do.

The callers may ring at several bridges; the model's side of all calls is here, too.
Each caller speaks half of the time and hears a reply in the other half.
"""

import asyncio
import hmac
from base64 import b64encode
from collections import Counter, deque
from secrets import token_hex
from time import monotonic
from urllib.parse import urlencode
from xml.etree.ElementTree import Element, fromstring

import aiohttp

from bench.dialling import Headers, dial
from bench.ends import DELTA_FRAMES, PERIOD_FRAMES, QUIET, Run, Session, Shape, Stream
from bench.fast.ticker import Ticker
from bench.kernels import frames_of
from bench.load import ACCOUNT_SID, FRAME_S, NUMBER, SLOTS

SHAPE = Shape()
PLAN = SHAPE.plan()
HEARD_FRAMES = round(SHAPE.hears * PERIOD_FRAMES)
# Twilio gives up on a webhook after 15 s.
WEBHOOK_S = 15.0
CONNECTIONS = 32
LAGS_KEPT = 50_000
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}
_FORMAT = {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
_UPDATE = b'{"type":"session.update"'


class ChurnSession(Session):
    """The model's end of one call, which speaks once it is configured."""

    is_configured = False

    def receive(self, data: bytes, at: float) -> None:
        super().receive(data, at)
        self.is_configured = self.is_configured or data.startswith(_UPDATE)

    def closed(self) -> None:
        self.is_configured = False


class ChurnRun(Run):
    """The measurements of call churn; sessions are found by the name of the caller."""

    def __init__(self) -> None:
        super().__init__(0)
        self.by_name: dict[str, ChurnSession] = {}

    def session(self, headers: Headers) -> ChurnSession:
        """Return the model's side of a call that is opened."""
        name = headers.get("openai-safety-identifier", "")
        self.by_name[name] = session = ChurnSession(self)
        return session

    def forget(self) -> None:
        """Begin a new phase; only open sessions are kept."""
        super().forget()
        self.sessions.clear()


class Caller(Stream):
    """One caller and their stream."""

    def __init__(self, churn: "CallChurn", number: int) -> None:
        super().__init__(churn.run, number, churn.speech)
        self._churn = churn
        self.call_sid = f"CA{token_hex(16)}"
        # The model recognises the caller by this name.
        self.name = ""
        self.is_leaving = False
        # The other side has hung up.
        self.lost = asyncio.Event()

    def closed(self) -> None:
        if not self.is_leaving:
            self.lost.set()

    @property
    def is_lost(self) -> bool:
        """Whether the other side has hung up."""
        return self.lost.is_set()

    async def ring(self, url: str) -> bool:
        """Place the call; False if the webhook answers with the fallback sentence."""
        document = await self._post(f"{url}/twilio/voice")
        found = document.find(".//Stream")
        if found is None:
            assert document.find("Say") is not None, "neither a stream nor a word"
            return False
        parameters = {one.get("name"): one.get("value") for one in found}
        owner = f"{parameters['business']}:{parameters['from']}"
        self.name = hmac.digest(b"loopback", owner.encode(), "sha256").hex()
        await dial(self._churn.run.wires, self, found.get("url") or "")
        self.send({"event": "connected", "protocol": "Call", "version": "1.0.0"})
        start = {
            "streamSid": self.sid,
            "accountSid": ACCOUNT_SID,
            "callSid": self.call_sid,
            "tracks": ["inbound"],
            "mediaFormat": _FORMAT,
            "customParameters": parameters,
        }
        self.send({"event": "start", "sequenceNumber": "1", "start": start})
        return True

    def tick(self) -> None:
        """Send the next 20 ms, and let the model's end speak."""
        place = SHAPE.place(self.frames, self.number)
        self.send_frame(PLAN.speaking[place])
        session = self._churn.run.by_name.get(self.name)
        if place >= HEARD_FRAMES or place % DELTA_FRAMES or session is None:
            return
        if session.is_configured:
            is_last = place + DELTA_FRAMES >= HEARD_FRAMES
            session.speak(self.number, is_last)

    def hang_up(self) -> None:
        """Leave as a caller does: send `stop`, then close the socket."""
        self.is_leaving = True
        body = {"accountSid": ACCOUNT_SID, "callSid": self.call_sid}
        self.send({"event": "stop", "sequenceNumber": "9", "stop": body})
        if self.wire is not None:
            self.wire.say_goodbye()

    async def ask_what_next(self, url: str) -> str:
        """Return what the bridge answers after the stream: `Hangup`, or `Say` first."""
        return (await self._post(f"{url}/twilio/after-stream"))[0].tag

    async def _post(self, url: str) -> Element:
        form = {
            "CallSid": self.call_sid,
            "AccountSid": ACCOUNT_SID,
            "From": f"+1555{self.number:07}",
            "To": NUMBER,
        }
        http = self._churn.http
        async with http.post(url, data=urlencode(form), headers=_FORM) as answer:
            return fromstring(await answer.text())


class CallChurn:
    """The callers of one run, as a context that owns their connections."""

    def __init__(self, run: ChurnRun, first_number: int = 0) -> None:
        self.run = run
        # With a short pause at the end: no caller speaks without one.
        self.speech = [b64encode(frame) for frame in frames_of("human-en-reader-1")]
        self.speech += [QUIET] * 25
        self.callers: set[Caller] = set()
        self.outcomes: Counter[str] = Counter()
        # How late the load generator itself was, in ms, in every slot.
        self.own_lag_ms: deque[float] = deque(maxlen=LAGS_KEPT)
        self._next = first_number
        self._slots: list[list[Caller]] = [[] for _ in range(SLOTS)]

    async def __aenter__(self) -> "CallChurn":
        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
            timeout=aiohttp.ClientTimeout(total=WEBHOOK_S),
        )
        self._began = monotonic()
        self._ticker = Ticker(self._talk, FRAME_S / SLOTS)
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._ticker.stop()
        await self.http.close()

    async def join(self, url: str, caller: Caller | None = None) -> Caller | None:
        """Have one more caller ring and, if they are admitted, talk."""
        caller = caller or self.new_caller()
        try:
            is_in = await caller.ring(url)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self.outcomes[type(error).__name__] += 1
            return None
        self.outcomes["accepted" if is_in else "refused"] += 1
        if not is_in:
            return None
        self.callers.add(caller)
        min(self._slots, key=len).append(caller)
        return caller

    def new_caller(self, kind: type[Caller] = Caller) -> Caller:
        """Return a caller with a number that no other has."""
        self._next += 1
        return kind(self, self._next)

    def leave(self, caller: Caller) -> None:
        """Have a caller hang up, and forget them."""
        caller.hang_up()
        self.callers.discard(caller)
        for slot in self._slots:
            if caller in slot:
                slot.remove(caller)
        self.run.by_name.pop(caller.name, None)

    def _talk(self, number: int) -> None:
        """Send the frames of the callers of one slot."""
        late_s = monotonic() - self._began - (number + 1) * FRAME_S / SLOTS
        self.own_lag_ms.append(late_s * 1e3)
        for caller in self._slots[number % SLOTS]:
            caller.tick()
