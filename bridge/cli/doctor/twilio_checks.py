"""`kolbridge doctor`: whether Twilio sends the calls of each number here.

Asks Twilio's REST API, https://www.twilio.com/docs/phone-numbers/api: reads only.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import aiohttp

from bridge.cli.doctor.check import Check, warning
from bridge.settings.message_options import account_of
from bridge.settings.process import Settings
from bridge.settings.proxy import proxy_of
from bridge.telemetry.log import mask_phone
from crm import businesses
from crm.database import Database

ANSWER_WAIT_S = 10.0
_FIELDS = (
    ("voice_url", "/twilio/voice", "voice webhook"),
    ("status_callback", "/twilio/call-status", "status callback"),
)


class _Refused(Exception):
    """Twilio did not give the requested resource; the text says why."""


async def check_numbers(settings: Settings, database: Database) -> list[Check]:
    """Ask where Twilio sends each business's calls, if there are credentials."""
    accounts = _accounts(settings)
    if settings.public_url is None:
        return []
    if not accounts:
        text = "not asked where it sends the calls: TWILIO_ACCOUNT_SID is not set"
        return [warning("Twilio", text)]
    numbers = [
        (number, account_of(settings.call, business.settings))
        for business_id, _ in await businesses.list_all(database)
        if (business := await businesses.get(database, business_id)) is not None
        for number in business.numbers
    ]
    checks: list[Check] = []
    async with aiohttp.ClientSession(
        timeout=aiohttp.ClientTimeout(ANSWER_WAIT_S)
    ) as session:
        asking = _Asking(session, settings)
        try:
            for number, own in numbers:
                checks += await _check_number(asking, accounts, number, own)
        except _Refused as refused:
            checks.append(Check("Twilio", False, str(refused)))
    if checks or not numbers:
        return checks
    return [Check("Twilio", True, f"sends the calls of {len(numbers)} numbers here")]


def _accounts(settings: Settings) -> dict[str, str]:
    """Return the token of each account that may have numbers."""
    secrets = settings.signing_secrets
    found = {}
    if settings.twilio_account_sid and secrets.auth_tokens:
        found[settings.twilio_account_sid] = secrets.auth_tokens[0]
    return {**found, **{sid: tokens[0] for sid, tokens in secrets.subaccounts.items()}}


async def _check_number(
    asking: "_Asking", accounts: Mapping[str, str], number: str, own: str
) -> list[Check]:
    """Check one number; `own` is its business's NUMBER_ACCOUNT, or empty."""
    name = f"Twilio {mask_phone(number)}"
    for account, token in accounts.items():
        found = await asking.get(
            account, token, "IncomingPhoneNumbers", PhoneNumber=number
        )
        for record in found.get("incoming_phone_numbers", ()):
            if record.get("voice_application_sid"):
                application = record["voice_application_sid"]
                record = await asking.get(account, token, f"Applications/{application}")
            wrong = [*_wrong(record, asking.settings.public_url or "")]
            checks = [Check(name, False, text) for text in wrong]
            return [*checks, *_of_account(name, account, own, len(accounts))]
    text = "no account of these credentials has it: is it another account's?"
    return [warning(name, text)]


def _of_account(name: str, account: str, own: str, accounts: int) -> Iterator[Check]:
    if own and own != account:
        text = f"is {account}'s, and its calls are refused: NUMBER_ACCOUNT is {own}"
        yield Check(name, False, text)
    elif not own and accounts > 1:
        yield warning(
            name,
            "whoever has a token of another account can sign for it: set its "
            f"business's NUMBER_ACCOUNT to {account}",
        )


def _wrong(record: Mapping[str, Any], public_url: str) -> Iterator[str]:
    """Yield each setting of a number, or of its application, that is wrong."""
    if record.get("trunk_sid"):
        yield "its calls go to a SIP trunk, and no webhook is asked"
        return
    for field, path, what in _FIELDS:
        url, wanted = record.get(field) or "", public_url.rstrip("/") + path
        method = record.get(field.replace("_url", "") + "_method") or "POST"
        if url.rstrip("/") != wanted:
            yield f"its {what} is {url or 'not set'}: set it to {wanted}"
        elif method != "POST":
            yield f"its {what} is asked with {method}: set it to POST"


class _Asking:
    """A client of Twilio's REST API."""

    def __init__(self, session: aiohttp.ClientSession, settings: Settings) -> None:
        self.settings = settings
        self._session = session

    async def get(
        self, account: str, token: str, path: str, **params: str
    ) -> dict[str, Any]:
        """Return a resource of an account; raises _Refused."""
        base = self.settings.twilio_api_url.rstrip("/")
        url = f"{base}/2010-04-01/Accounts/{account}/{path}.json"
        try:
            async with self._session.get(
                url,
                params=params,
                headers={"Authorization": aiohttp.encode_basic_auth(account, token)},
                proxy=proxy_of(self.settings, url),
            ) as response:
                if response.status == 401:
                    raise _Refused(
                        f"refuses the credentials of {account[:6]}…: check "
                        "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"
                    )
                if response.status != 200:
                    raise _Refused(f"answers {response.status} where {path} is asked")
                found: dict[str, Any] = await response.json()
                return found
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            why = str(error) or type(error).__name__
            raise _Refused(f"its REST API cannot be asked: {why}") from None
