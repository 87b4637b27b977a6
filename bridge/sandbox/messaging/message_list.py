"""The list of messages: filters, pages, the last that was sent first.

https://www.twilio.com/docs/messaging/api/message-resource#read-multiple-message-resources:
`To`, `From`, `DateSent` (that day), `DateSent<` and `DateSent>` (on and before, on and
after), `PageSize` up to 1,000, `Page` and `PageToken`. Times instead of days are what
Twilio's libraries send. Not verified: that a wrong or unknown parameter is refused,
with 20001; that a message which is not sent yet is in no filter on `DateSent`. Where it
stands in the order by `DateSent` is not known: by its creation, or `unsent_last`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode

from bridge.sandbox.messaging.message_records import Message, refuse

_PAGE_SIZE = 50
_PAGE_SIZE_MAX = 1_000
_NAMES = frozenset(
    (
        "To",
        "From",
        "DateSent",
        "DateSent<",
        "DateSent>",
        "PageSize",
        "Page",
        "PageToken",
    )
)


def page(
    path: str,
    query: Mapping[str, str],
    found: Iterable[Message],
    unsent_last: bool = False,
) -> dict[str, Any]:
    """Return one page of the messages that the query asks for."""
    unknown = set(query) - _NAMES
    if unknown:
        refuse(20001, f"unknown parameters: {', '.join(sorted(unknown))}")
    size = _number(query, "PageSize", _PAGE_SIZE, 1, _PAGE_SIZE_MAX)
    number = _number(query, "Page", 0, 0, 1_000_000)
    bounds = _bounds(query)
    chosen = [message for message in found if _matches(message, query, bounds)]
    chosen.sort(
        key=lambda message: (
            message.sent_at is not None or not unsent_last,
            message.sent_at or message.created_at,
            message.number,
        ),
        reverse=True,
    )
    start = number * size
    shown = chosen[start : start + size]

    def uri(other: int) -> str:
        kept = {key: query[key] for key in query if not key.startswith("Page")}
        token = {"PageToken": f"PA{other}"} if other else {}
        sized = {"PageSize": str(size), "Page": str(other)}
        return f"{path}?{urlencode(kept | sized | token)}"

    return {
        "messages": [message.as_json() for message in shown],
        "page": number,
        "page_size": size,
        "start": start,
        "end": start + max(0, len(shown) - 1),
        "uri": uri(number),
        "first_page_uri": uri(0),
        "next_page_uri": uri(number + 1) if len(chosen) > start + size else None,
        "previous_page_uri": uri(number - 1) if number else None,
    }


def _number(
    query: Mapping[str, str], name: str, default: int, low: int, high: int
) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not low <= int(text) <= high:
        refuse(20001, f"expected {name} from {low} to {high}, got {text!r}")
    return int(text)


def _bounds(query: Mapping[str, str]) -> tuple[datetime, datetime] | None:
    """Return from when (included) until when (not included) a message was sent."""
    names = [name for name in query if name.startswith("DateSent")]
    if not names:
        return None
    low, high = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    for name in names:
        first, last = _moments(name, query[name])
        if name != "DateSent<":
            low = max(low, first)
        if name != "DateSent>":
            high = min(high, last)
    return low, high


def _moments(name: str, text: str) -> tuple[datetime, datetime]:
    """Return the first moment of a day or second, and the first after it."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        pass
    else:
        first = datetime.combine(day, time(), UTC)
        return first, first + timedelta(days=1)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        refuse(20001, f"expected {name} as YYYY-MM-DD or a time in GMT, got {text!r}")
    moment = moment.replace(tzinfo=moment.tzinfo or UTC, microsecond=0)
    return moment, moment + timedelta(seconds=1)


def _matches(
    message: Message,
    query: Mapping[str, str],
    bounds: tuple[datetime, datetime] | None,
) -> bool:
    if query.get("To", message.to) != message.to:
        return False
    if query.get("From", message.sender) != message.sender:
        return False
    if bounds is None:
        return True
    sent = message.sent_at
    return sent is not None and bounds[0] <= sent < bounds[1]
