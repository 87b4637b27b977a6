"""What Twilio refuses of a request for a message, and the code that it refuses with.

https://www.twilio.com/docs/messaging/api/message-resource, and the pages of the codes
below https://www.twilio.com/docs/api/errors. Read there: 21211, 21609 (a full URL of up
to 4,000 characters, no underscore in its host), 21617 (1,600 characters, of which some
count more than once), 21619, 21620, 21654 to 21656, 21658, 21701, 21705, 21910, 63007,
63031.

Stricter than Twilio: it leaves unknown parameters unread, and takes a list where one
value is expected; the sandbox refuses both with 20001, so that no misspelling passes.
Not verified: 20001 for a `Body` or `MediaUrl` beside a `ContentSid`, for a wrong value
of `ValidityPeriod`, `RiskCheck` and their like, and for a body that is no form; 21623
for the second file of a message; that a body of blanks counts as none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from aiohttp.web import FileField
from multidict import MultiDictProxy

from bridge.sandbox.messaging.contents import Content, length, read_variables
from bridge.sandbox.messaging.message_records import PREFIX, refuse

if TYPE_CHECKING:
    from bridge.sandbox.messaging.messaging_account import Account

BODY_CHARS_MAX = 1_600
_CALLBACK_CHARS_MAX = 4_000
_FORM = "application/x-www-form-urlencoded"
_NUMBER = re.compile(r"\+[1-9]\d{6,14}")
_BOOLEAN = re.compile("true|false")
_ONE_VALUE = frozenset(
    (
        *("To", "From", "MessagingServiceSid", "Body", "ContentSid"),
        *("ContentVariables", "StatusCallback"),
    )
)
_LISTS = frozenset(("MediaUrl", "PersistentAction"))
# Parameters that change nothing here, and what they may hold.
_CHECKED = {
    "ValidityPeriod": re.compile(r"[1-9]\d{0,3}|[12]\d{4}|3[0-5]\d{3}|36000"),
    "ContentRetention": re.compile("retain|discard"),
    "AddressRetention": re.compile("retain|obfuscate"),
    "RiskCheck": re.compile("enable|disable"),
    "MessageIntent": re.compile(r"\w+"),
    "SmartEncoded": _BOOLEAN,
    "ProvideFeedback": _BOOLEAN,
    "ForceDelivery": _BOOLEAN,
}
# Parameters of Twilio's that the sandbox does not serve.
_UNSERVED = frozenset(
    (
        *("ApplicationSid", "MaxPrice", "Attempt", "TrafficType", "ShortenUrls"),
        *("ScheduleType", "SendAt", "SendAsMms", "FallbackFrom"),
    )
)
_GEO = re.compile(r"geo:-?\d+(\.\d+)?,-?\d+(\.\d+)?(\|.+)?")

Form = MultiDictProxy[str | bytes | bytearray | FileField]


@dataclass
class Wish:
    """A request for a message, with nothing to refuse."""

    sender: str
    to: str
    body: str
    service_sid: str | None = None
    callback: str | None = None
    content: Content | None = None
    variables: dict[str, str] = field(default_factory=dict)
    media_urls: list[str] = field(default_factory=list)


def read(form: Form, content_type: str, account: Account) -> Wish:
    """Read a request for a message, or refuse it."""
    fields = single_values(form, content_type, _LISTS)
    _check_names(fields, set(form) & _LISTS)
    to = fields.get("To", "")
    if not to:
        refuse(21604, "A 'To' phone number is required.")
    service = fields.get("MessagingServiceSid")
    sender = _sender(fields, service, to, account)
    _check_pair(sender, to, account)
    wish = Wish(sender, to, fields.get("Body", ""), service)
    wish.media_urls = [str(url) for url in form.getall("MediaUrl", [])]
    _read_content(wish, fields, account)
    _check_body(wish)
    wish.callback = _callback(fields.get("StatusCallback"))
    for action in form.getall("PersistentAction", []):
        if not _GEO.fullmatch(str(action)):
            refuse(20001, f"expected geo:lat,long|label, got {action!r}")
    return wish


def single_values(
    form: Form, content_type: str, lists: frozenset[str] = frozenset()
) -> dict[str, str]:
    """Return the fields of a form that have one value, or refuse the form."""
    if content_type != _FORM:
        refuse(20001, f"expected {_FORM}, got {content_type}")
    fields: dict[str, str] = {}
    for name, value in form.items():
        if name in lists:
            continue
        if name in fields or not isinstance(value, str):
            refuse(20001, f"expected one value of {name}")
        fields[name] = value
    return fields


def _check_names(fields: Mapping[str, str], lists: set[str]) -> None:
    unserved = _UNSERVED & set(fields)
    if unserved:
        refuse(20001, f"the sandbox does not serve {', '.join(sorted(unserved))}")
    unknown = set(fields) - _ONE_VALUE - set(_CHECKED) - lists
    if unknown:
        refuse(20001, f"unknown parameters: {', '.join(sorted(unknown))}")
    for name, form in _CHECKED.items():
        if name in fields and not form.fullmatch(fields[name]):
            refuse(20001, f"expected {name} as {form.pattern}, got {fields[name]!r}")


def _sender(
    fields: Mapping[str, str], service: str | None, to: str, account: Account
) -> str:
    sender = fields.get("From", "")
    if service is not None:
        if not re.fullmatch("MG[0-9a-f]{32}", service):
            refuse(21705, f"The Messaging Service {service} is invalid")
        if service not in account.services:
            refuse(21701, f"The Messaging Service {service} does not exist")
        prefix = PREFIX if to.startswith(PREFIX) else ""
        sender = sender or prefix + account.services[service]
    if not sender:
        refuse(21603, "A 'From' phone number is required.")
    return sender


def _check_pair(sender: str, to: str, account: Account) -> None:
    if not _NUMBER.fullmatch(to.removeprefix(PREFIX)):
        refuse(21211, f"The 'To' number {to} is not a valid phone number.")
    if not _NUMBER.fullmatch(sender.removeprefix(PREFIX)):
        refuse(21212, f"The 'From' number {sender} is not a valid phone number.")
    if sender.startswith(PREFIX) != to.startswith(PREFIX):
        refuse(
            21910,
            "Invalid From and To pair. From and To should be of the same channel",
        )
    if not sender.startswith(PREFIX):
        refuse(21606, f"The 'From' phone number {sender} cannot send messages.")
    if sender.removeprefix(PREFIX) not in account.senders:
        refuse(
            63007,
            "Twilio could not find a Channel with the specified From address",
        )
    if sender == to:
        refuse(63031, "Message cannot have the same From and To")


def _read_content(wish: Wish, fields: Mapping[str, str], account: Account) -> None:
    sid, variables = fields.get("ContentSid"), fields.get("ContentVariables")
    if sid is None:
        if variables is not None:
            refuse(21654, "A ContentSid is required with ContentVariables")
        return
    if wish.body or wish.media_urls:
        refuse(20001, "expected neither Body nor MediaUrl beside a ContentSid")
    wish.content = account.contents.get(sid)
    if wish.content is None:
        refuse(21655, f"The ContentSid Parameter is invalid: {sid}")
    if variables is None:
        return
    try:
        found = msgspec.json.decode(variables)
    except (msgspec.DecodeError, UnicodeError):
        refuse(21656, "The ContentVariables Parameter is invalid: not JSON")
    wish.variables = read_variables(found)


def _check_body(wish: Wish) -> None:
    if wish.content is not None:
        return
    if not wish.body.strip() and not wish.media_urls:
        refuse(21619, "A text message body or media urls must be specified.")
    if length(wish.body) > BODY_CHARS_MAX:
        refuse(
            21617,
            "The concatenated message body exceeds the 1600 character limit",
        )
    if len(wish.media_urls) > 1:
        refuse(21623, "Number of media files exceeds allowed limit")
    for url in wish.media_urls:
        if not is_url(url):
            refuse(21620, f"Invalid media URL(s): {url}")


def _callback(url: str | None) -> str | None:
    if url is None:
        return None
    if not is_url(url) or length(url) > _CALLBACK_CHARS_MAX:
        refuse(21609, f"The 'StatusCallback' URL {url} is not a valid URL.")
    return url


def is_url(url: str) -> bool:
    """Return whether Twilio can take a URL: whole, and encoded."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    has_host = bool(parts.hostname) and "_" not in str(parts.hostname)
    is_encoded = re.fullmatch(r"[!#-;=?-\[\]_a-z~]+", url, re.IGNORECASE) is not None
    return parts.scheme in ("http", "https") and has_host and is_encoded
