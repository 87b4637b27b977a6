"""A caller behind Twilio: signed webhooks, TwiML, a stream, callbacks.

Written on `websockets` and aiohttp's client from Twilio's documentation; it shares no
code with the bridge, so that each checks the other.
"""

from __future__ import annotations

import asyncio
import datetime
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from urllib.parse import urljoin, urlsplit, urlunsplit

import aiohttp
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake, InvalidStatus

from bridge.sandbox import twiml
from bridge.sandbox.phone_stream import PERFECT_LINE, Line, PhoneStream
from bridge.sandbox.rest import RestApi
from bridge.sandbox.result import CallResult
from bridge.sandbox.sign import signature
from bridge.sandbox.timeline import Happening, Step, Timeline

SANDBOX_ACCOUNT_SID = "AC" + "0" * 32
SANDBOX_AUTH_TOKEN = "sandbox-auth-token"
# "Twilio waits about 15 seconds for TwiML"
_WEBHOOK_S = 15.0
_HANDSHAKE_S = 10.0
_DOCUMENTS_MAX = 8


@dataclass(frozen=True)
class Caller:
    """Places calls to a bridge; use one for any number of calls, also at once.

    Requests go to `bridge_url`. `public_url` is the bridge's public name, over which
    signatures are made, if it differs. After a lost stream the caller begins their
    steps anew; one who `goes_on` is where they were. `api` may move the calls.
    """

    bridge_url: str
    _: KW_ONLY
    account_sid: str = SANDBOX_ACCOUNT_SID
    auth_token: str = SANDBOX_AUTH_TOKEN
    from_number: str = "+15550100001"
    to_number: str = "+15550100002"
    stir_verstat: str = "TN-Validation-Passed-A"  # "": the network says nothing
    public_url: str | None = None
    signed: bool = True
    line: Line = PERFECT_LINE
    voice_path: str = "/twilio/voice"
    call_status_path: str | None = "/twilio/call-status"
    signs_with_slash: bool = False  # the form of the handshake with a trailing slash
    observe: Callable[[Happening], None] | None = None
    goes_on: bool = False
    api: RestApi | None = None

    async def call(self, steps: Sequence[Step], max_s: float = 120) -> CallResult:
        """Place one call; `max_s` limits its stream."""
        result = CallResult(
            call_sid=f"CA{secrets.token_hex(16)}",
            stream_sid=f"MZ{secrets.token_hex(16)}",
        )
        timeout = aiohttp.ClientTimeout(total=_WEBHOOK_S)
        async with aiohttp.ClientSession(timeout=timeout) as http:
            call = _Call(self, http, result, steps, max_s)
            if self.api is not None:
                self.api.add(result.call_sid, call)
            await call.run()
        return result

    @property
    def base_url(self) -> str:
        """The bridge's public URL."""
        return (self.public_url or self.bridge_url).rstrip("/")

    def signed_headers(
        self, url: str, fields: Mapping[str, str] | None = None
    ) -> dict[str, str]:
        """Return the headers of a request; an unsigned caller has none."""
        if not self.signed:
            return {}
        return {"X-Twilio-Signature": signature(self.auth_token, url, fields)}

    def local(self, url: str) -> str:
        """Return the local address of a URL of the bridge."""
        parts = urlsplit(url)
        if parts.netloc != urlsplit(self.base_url).netloc:
            return url
        here = urlsplit(self.bridge_url)
        scheme = here.scheme
        if parts.scheme in ("ws", "wss"):
            scheme = {"http": "ws", "https": "wss"}[scheme]
        return urlunsplit((scheme, here.netloc, parts.path, parts.query, ""))


class _Call:
    """One call: runs TwiML documents until there is nothing more to do."""

    def __init__(
        self,
        caller: Caller,
        http: aiohttp.ClientSession,
        result: CallResult,
        steps: Sequence[Step],
        max_s: float,
    ) -> None:
        self._caller = caller
        self._http = http
        self._result = result
        self._steps = steps
        self._max_s = max_s
        self._timeline = Timeline(steps)
        self.status = "ringing"
        # The document by which the REST API has replaced the one that runs.
        self._replacement: bytes | None = None
        self._replaced = asyncio.Event()
        self._callbacks: list[asyncio.Task[bytes | None]] = []
        self._callback_number = 0
        self._content_type = ""

    def replace(self, document: bytes) -> None:
        """Run this document in place of the one that runs; a call that is over does
        not."""
        self._replacement = document
        self._replaced.set()

    async def run(self) -> None:
        """Run the webhook's document and all that follow, then report the end."""
        began = time.monotonic()
        url: str | None = self._caller.base_url + self._caller.voice_path
        for _ in range(_DOCUMENTS_MAX):
            if url is None:
                break
            url = await self._run_document(url)
        else:
            self._result.problems.append("more documents than a call needs")
        self.status = "completed"
        duration = str(round(time.monotonic() - began))
        if self._caller.call_status_path is not None:
            await self._post(
                self._caller.base_url + self._caller.call_status_path,
                {"CallDuration": duration, "Duration": duration, **self._callback()},
            )
        await asyncio.gather(*self._callbacks)

    async def _run_document(self, url: str) -> str | None:
        """Run the document from `url`, and those that replace it; return the URL of the
        next document."""
        body = await self._post(url, {}, is_document=True)
        following: str | None = None
        while body is not None:
            self.status = "in-progress"
            if self._replacement is not None:
                body, self._replacement = self._replacement, None
                self._content_type = "text/xml"
                self._result.documents.append(body)
            self._replaced.clear()
            following = await self._run_verbs(url, body)
            body = self._replacement
        return following

    async def _run_verbs(self, url: str, body: bytes) -> str | None:
        document = twiml.parse(body, self._content_type, allow_ws=True)
        self._result.problems += document.problems
        for verb in document.verbs:
            if isinstance(verb, twiml.Stream):
                after = await self._connect(verb)
                if self._result.ended_by == "caller" or self._replacement is not None:
                    return None
                if after is not None:
                    return urljoin(url, after)
            elif verb.name == "Say":
                self._result.spoken.append(verb.text)
            elif verb.name == "Redirect":
                return urljoin(url, verb.text)
            elif verb.name in ("Hangup", "Reject"):
                return None
        return None

    # --- the stream ---

    async def _connect(self, stream: twiml.Stream) -> str | None:
        """Run the stream; return the next URL for Twilio, None for the next verb."""
        self._result.parameters = dict(stream.parameters)
        signed_url = stream.url + ("/" if self._caller.signs_with_slash else "")
        try:
            socket = await connect(
                self._caller.local(stream.url),
                additional_headers=self._caller.signed_headers(signed_url),
                compression=None,
                open_timeout=_HANDSHAKE_S,
                max_size=None,
                proxy=None,
            )
        except InvalidStatus as error:
            status = error.response.status_code
            self._result.handshake_status = status
            self._report_stream(stream, "stream-error", f"31920 HTTP {status}")
            return None
        except (OSError, InvalidHandshake, TimeoutError) as error:
            self._report_stream(stream, "stream-error", f"31901 {error}")
            return None
        self._result.handshake_status = 101
        self._report_stream(stream, "stream-started")
        async with socket:
            caller = self._caller
            phone = PhoneStream(
                socket,
                self._result,
                caller.account_sid,
                self._timeline if caller.goes_on else Timeline(self._steps),
                caller.line,
                caller.observe,
                self._replaced,
            )
            self._timeline.begin_stream()
            await phone.run(stream.parameters, self._max_s)
            if self._replacement is not None:
                # Twilio does not wait for the far side's close.
                socket.transport.abort()
        if self._result.ended_by == "network":
            self._report_stream(stream, "stream-error", "31903 connection lost")
        else:
            self._report_stream(stream, "stream-stopped")
        return stream.action

    def _report_stream(self, stream: twiml.Stream, event: str, error: str = "") -> None:
        if error:
            self._result.problems.append(error)
        if stream.status_callback is None:
            return
        fields = {
            "StreamSid": self._result.stream_sid,
            "StreamName": self._result.stream_sid,
            "StreamEvent": event,
            "Timestamp": _now(),
        }
        if error:
            fields["StreamError"] = error
        url = urljoin(self._caller.base_url, stream.status_callback)
        self._callbacks.append(asyncio.create_task(self._post(url, fields)))

    # --- webhooks ---

    def _callback(self) -> dict[str, str]:
        self._callback_number += 1
        return {
            "SequenceNumber": str(self._callback_number - 1),
            "CallbackSource": "call-progress-events",
            "Timestamp": _now(),
        }

    def _fields(self) -> dict[str, str]:
        """Return the fields of every webhook of a call; empty fields count."""
        caller = self._caller
        fields = {
            "CallSid": self._result.call_sid,
            "AccountSid": caller.account_sid,
            "ApiVersion": "2010-04-01",
            "CallStatus": self.status,
            "Direction": "inbound",
        }
        if caller.stir_verstat:
            fields["StirVerstat"] = caller.stir_verstat
        for name, phone in (("From", caller.from_number), ("To", caller.to_number)):
            other = {"From": "Caller", "To": "Called"}[name]
            for prefix in (name, other):
                fields[prefix] = phone
                for part in ("City", "State", "Zip", "Country"):
                    fields[prefix + part] = "US" if part == "Country" else ""
        return fields

    async def _post(
        self, url: str, more: Mapping[str, str], is_document: bool = False
    ) -> bytes | None:
        """POST a webhook, signed; return the body of a 2xx answer."""
        fields = self._fields() | dict(more)
        headers = self._caller.signed_headers(url, fields)
        try:
            async with self._http.post(
                self._caller.local(url), data=fields, headers=headers
            ) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            why = str(error) or type(error).__name__
            self._result.problems.append(f"11200 {urlsplit(url).path}: {why}")
            return None
        if is_document:
            self._result.documents.append(body)
            self._content_type = response.headers.get("Content-Type", "")
            if self._result.webhook_status is None:
                self._result.webhook_status = response.status
        if response.status // 100 != 2:
            path = urlsplit(url).path
            self._result.problems.append(f"11200 {path}: HTTP {response.status}")
            return None
        return body


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
