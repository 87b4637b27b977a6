"""Carrier: what Twilio's REST API says of a call, and how it is moved to a new stream.

https://www.twilio.com/docs/voice/api/call-resource: GET returns `status`; POST with
`Twiml` replaces the running document, which Twilio does within one or two seconds.
"""

import aiohttp

from bridge.settings.process import Settings
from bridge.settings.proxy import proxy_of

ANSWER_WAIT_S = 5.0
# The call is over for these statuses; for all others Twilio may still move it.
OVER = frozenset(("completed", "busy", "failed", "no-answer", "canceled"))


class CarrierError(Exception):
    """Twilio did not do what it was asked, and why."""


class Carrier:
    """Twilio's REST API with the settings' credentials; `close` ends it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._url = settings.twilio_api_url.rstrip("/")
        self._session: aiohttp.ClientSession | None = None

    def token_of(self, account_sid: str) -> str:
        """Return the token of an account; "" where the settings have none."""
        return self._settings.signing_secrets.token_of(account_sid)

    async def is_over(self, account_sid: str, call_sid: str) -> bool:
        """Tell whether a call has ended at Twilio; raises CarrierError."""
        status, found = await self._ask("GET", account_sid, call_sid)
        if status == 404:
            return True
        if status != 200:
            raise CarrierError(f"expected 200 for the call's status, got {status}")
        return found.get("status") in OVER

    async def move(self, account_sid: str, call_sid: str, document: bytes) -> None:
        """Have a running call run another document; raises CarrierError."""
        form = {"Twiml": document.decode()}
        status, _ = await self._ask("POST", account_sid, call_sid, form)
        if status != 200:
            raise CarrierError(f"expected 200 for the call's update, got {status}")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(
        self,
        method: str,
        account_sid: str,
        call_sid: str,
        form: dict[str, str] | None = None,
    ) -> tuple[int, dict[str, object]]:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=ANSWER_WAIT_S)
            self._session = aiohttp.ClientSession(timeout=timeout)
        token = self.token_of(account_sid)
        path = f"/2010-04-01/Accounts/{account_sid}/Calls/{call_sid}.json"
        headers = {"Authorization": aiohttp.encode_basic_auth(account_sid, token)}
        try:
            async with self._session.request(
                method,
                self._url + path,
                data=form,
                headers=headers,
                proxy=proxy_of(self._settings, self._url),
            ) as answer:
                if answer.status != 200:
                    return answer.status, {}
                return answer.status, await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise CarrierError(f"{type(error).__name__}: {error}") from None
