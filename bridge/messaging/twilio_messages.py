"""Twilio's REST API for messages: send, find, look up, show typing, make contents.

https://www.twilio.com/docs/messaging/api/message-resource, and below /docs
content/content-api-resources and whatsapp/api/typing-indicators-resource. Each
request is made once, with a
deadline; an answer is read within a limit. What to do after an error is the caller's
decision, and three kinds of errors make it possible:

- `NotSent`: no connection was made. Nothing happened at Twilio.
- `Refused`: Twilio's answer says that nothing happened, and why: its code.
- `FateUnknown`: the request may have been done. Only a look at Twilio tells.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple, TypeVar

import aiohttp
import msgspec

from bridge.messaging.inbound import PREFIX
from bridge.settings.signing import SigningSecrets
from bridge.telemetry.metrics import Metrics
from bridge.wire.body import read_body

CONNECT_WAIT_S = 3.0
ANSWER_WAIT_S = 8.0
# A page of 200 messages of 1,600 characters has some 800 KB.
ANSWER_BYTES_MAX = 2_000_000
PAGE_SIZE = 200
PAGES_MAX = 5
ERROR_CHARS_MAX = 200
_SERVER_ERROR = 500
# No fault of what was asked for: a token that is not the account's any more, an account
# that is suspended (20003), and too many requests.
ABOUT_THE_ACCOUNT = frozenset((401, 403, 429))
_WRONG_TOKEN = " (check TWILIO_AUTH_TOKEN, or the account's in TWILIO_SUBACCOUNTS)"
# With these a request has not left, or no further than to the proxy.
NOT_LEFT = (
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
    aiohttp.ClientHttpProxyError,
)
_Kind = TypeVar("_Kind")


class TwilioError(Exception):
    """Twilio did not do what it was asked to; the text holds no number and no body."""


class NotSent(TwilioError):
    """The request has not reached Twilio."""


class FateUnknown(TwilioError):
    """The request may have been done: its answer is lost, or an error of the server."""


class Refused(TwilioError):
    """Twilio's answer is an error; `code` is Twilio's, 0 where it gives none.

    `retry_after_s` is set where there were too many requests.
    """

    def __init__(
        self, status: int, code: int, text: str, retry_after_s: float | None = None
    ) -> None:
        why = _WRONG_TOKEN if status == 401 else ""
        super().__init__(f"HTTP {status}, code {code}: {text[:ERROR_CHARS_MAX]}{why}")
        self.status = status
        self.code = code
        self.retry_after_s = retry_after_s

    @property
    def is_about_account(self) -> bool:
        """Whether Twilio would refuse any message now."""
        return self.status in ABOUT_THE_ACCOUNT


class Given(NamedTuple):
    """A message that Twilio has taken."""

    sid: str
    status: str


class Sent(msgspec.Struct, frozen=True, rename={"sender": "from"}):
    """A message as Twilio keeps it; `sender` and `to` have the channel's prefix."""

    sid: str
    status: str
    direction: str
    sender: str
    to: str
    body: str | None = None
    date_created: str | None = None
    error_code: int | None = None
    error_message: str | None = None

    @property
    def created_at(self) -> datetime | None:
        """The time of its creation, to the second; RFC 2822 on the wire."""
        try:
            found = parsedate_to_datetime(self.date_created or "")
        except ValueError:
            return None
        # "-0000" means UTC, and a place that is not told.
        return found if found.tzinfo else found.replace(tzinfo=UTC)


class _Page(msgspec.Struct, frozen=True):
    messages: list[Sent]
    next_page_uri: str | None = None


class _Sid(msgspec.Struct, frozen=True):
    sid: str
    status: str = ""


class _Error(msgspec.Struct, frozen=True):
    code: int | None = None
    message: str | None = None


class Hosts(NamedTuple):
    """Where Twilio's APIs are; a sandbox serves all three on one host."""

    api: str = "https://api.twilio.com"
    content: str = "https://content.twilio.com"
    messaging: str = "https://messaging.twilio.com"


class TwilioMessages:
    """The client of one process; used inside its loop, ended by `close`."""

    def __init__(
        self,
        secrets: SigningSecrets,
        hosts: Hosts,
        metrics: Metrics,
        proxy_of: Callable[[str], str | None] = lambda _: None,
    ) -> None:
        self._secrets = secrets
        self._proxy_of = proxy_of
        self.hosts = Hosts(*(host.rstrip("/") for host in hosts))
        self._metrics = metrics
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    # --- messages ---

    async def create(
        self, account_sid: str, writer: str, own_number: str, fields: dict[str, str]
    ) -> Given:
        """Send a message to a writer; `fields` are its text or content."""
        form = {"To": PREFIX + writer, "From": PREFIX + own_number, **fields}
        url = self._of_account(account_sid, "Messages.json")
        answer = await self._ask("create", account_sid, "POST", url, data=form)
        made = _decode(answer, _Sid)
        return Given(made.sid, made.status)

    async def fetch(self, account_sid: str, sid: str) -> Sent:
        """Return a message as it is at Twilio now."""
        url = self._of_account(account_sid, f"Messages/{sid}.json")
        return _decode(await self._ask("fetch", account_sid, "GET", url), Sent)

    async def find(
        self, account_sid: str, writer: str, own_number: str, since: datetime
    ) -> list[Sent]:
        """Return the messages to a writer that were made since then.

        No filter on DateSent: a message that waits at Twilio has none, and would not
        be found. Nor does an older message end the search: Twilio lists by DateSent,
        and does not say where one without it stands.
        """
        wanted = {"To": PREFIX + writer, "From": PREFIX + own_number}
        query: dict[str, str] | None = {**wanted, "PageSize": str(PAGE_SIZE)}
        url = self._of_account(account_sid, "Messages.json")
        found: list[Sent] = []
        for _ in range(PAGES_MAX):
            answer = await self._ask("find", account_sid, "GET", url, params=query)
            page = _decode(answer, _Page)
            found += [
                one
                for one in page.messages
                if one.created_at is not None and one.created_at >= since
            ]
            if page.next_page_uri is None:
                break
            url, query = self.hosts.api + page.next_page_uri, None
        return sorted(found, key=lambda one: one.created_at or since, reverse=True)

    # --- the other two APIs ---

    async def show_typing(self, account_sid: str, message_sid: str) -> bool:
        """Show the writer of a message that an answer is on its way, for 25 s at most;
        marks the message as read. Tell whether Twilio has taken it."""
        form = {"channel": "whatsapp", "messageId": message_sid}
        url = f"{self.hosts.messaging}/v2/Indicators/Typing.json"
        try:
            await self._ask("typing", account_sid, "POST", url, data=form)
        except TwilioError:
            return False
        return True

    async def create_content(self, account_sid: str, content: dict[str, Any]) -> str:
        """Make a Content resource; return its sid."""
        body = msgspec.json.encode(content)
        headers = {"Content-Type": "application/json"}
        url = f"{self.hosts.content}/v1/Content"
        answer = await self._ask(
            "create_content", account_sid, "POST", url, data=body, headers=headers
        )
        return _decode(answer, _Sid).sid

    # --- requests ---

    def authorization(self, account_sid: str) -> str:
        """Return the header that an account's requests carry."""
        token = self._secrets.token_of(account_sid)
        return aiohttp.encode_basic_auth(account_sid, token)

    def request(
        self, method: str, url: str, **how: Any
    ) -> AbstractAsyncContextManager[aiohttp.ClientResponse]:
        """Return a request that follows no redirect, through the proxy for its URL."""
        if self._session is None:
            timeout = aiohttp.ClientTimeout(
                total=ANSWER_WAIT_S, sock_connect=CONNECT_WAIT_S
            )
            self._session = aiohttp.ClientSession(timeout=timeout)
        proxy = self._proxy_of(url)
        return self._session.request(
            method, url, proxy=proxy, allow_redirects=False, **how
        )

    def _of_account(self, account_sid: str, path: str) -> str:
        return f"{self.hosts.api}/2010-04-01/Accounts/{account_sid}/{path}"

    async def _ask(
        self,
        what: str,
        account_sid: str,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        **how: Any,
    ) -> bytes:
        """Make a request; return the body of an answer that is none of an error."""
        sent = {"Authorization": self.authorization(account_sid), **(headers or {})}
        try:
            async with self.request(method, url, headers=sent, **how) as answer:
                body = await read_body(answer.content, ANSWER_BYTES_MAX)
                status, after = answer.status, answer.headers.get("Retry-After", "")
        except NOT_LEFT as error:
            self._note(what, "not_sent")
            raise NotSent(why_not_left(error)) from None
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._note(what, "no_answer")
            raise FateUnknown(type(error).__name__) from None
        if body is None:
            self._note(what, "no_answer")
            raise FateUnknown(f"more than {ANSWER_BYTES_MAX} bytes")
        if 200 <= status < 300:
            return body
        raise self._error_of(what, status, body, after)

    def _error_of(self, what: str, status: int, body: bytes, after: str) -> TwilioError:
        try:
            told = msgspec.json.decode(body, type=_Error)
        except (msgspec.DecodeError, UnicodeDecodeError):
            told = _Error()
        code = told.code or 0
        self._note(what, str(code or status))
        if status >= _SERVER_ERROR:
            return FateUnknown(f"HTTP {status}, code {code}")
        wait_s = float(after) if after.isascii() and after.isdecimal() else None
        return Refused(status, code, told.message or "", wait_s)

    def _note(self, what: str, code: str) -> None:
        self._metrics.count("message_api_errors", request=what, code=code)


def why_not_left(error: Exception) -> str:
    """Return which of NOT_LEFT an error is, and why: a certificate, a refused port."""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        # Its own text has the proxy's URL, which may hold a password.
        return f"the proxy answers {error.status} {error.message}"
    return f"{type(error).__name__}: {error}"[:ERROR_CHARS_MAX]


def _decode(body: bytes, kind: type[_Kind]) -> _Kind:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # The request has been done; what it did, the answer does not tell.
        text = f"an answer of another form: {error}"
        raise FateUnknown(text[:ERROR_CHARS_MAX]) from None
