"""Content resources: what a list picker, quick replies and a template may hold.

https://www.twilio.com/docs/content, and the page of each type below it. Read there:
a list picker has 1 to 10 items, `item` up to 24 characters, `id` up to 200,
`description` up to 72; it cannot start a conversation and cannot be approved. Quick
replies have 1 to 10 buttons, but 3 where they go to a session without an approval. A
body has up to 1,024 characters, the body of `twilio/text` and `twilio/media` 1,600.
Codes 21654 to 21656 and 21658 are those of the error pages; 63021 is what WhatsApp
rejects, as a template that its variables make longer than 1,024 characters, and 63028
(WhatsApp's 2000) a number of variables that is not the template's.

Not verified: the 20 characters of `button` and of a button's title are WhatsApp's; that
`description` may be left away; the code 21658 of a refused resource.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from bridge.sandbox.messaging.message_records import RefusalError, new_sid, refuse

ITEMS_MAX = 10
BUTTONS_MAX = 10
SESSION_BUTTONS_MAX = 3
VARIABLE_CHARS_MAX = 1_600
TEMPLATE_CHARS_MAX = 1_024
_PLACEHOLDER = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_NAME_CHARS_MAX = 64


class Field(NamedTuple):
    """A text of a content type: its limit, and whether it must be there."""

    chars_max: int
    is_required: bool = True


# https://www.twilio.com/docs/content/content-types-overview
_TEXTS: dict[str, dict[str, Field]] = {
    "twilio/text": {"body": Field(1_600)},
    "twilio/media": {"body": Field(1_600, False)},
    "twilio/quick-reply": {"body": Field(1_024)},
    "twilio/list-picker": {"body": Field(1_024), "button": Field(20)},
}
# The list that a type holds, and the texts of its parts.
_PARTS: dict[str, tuple[str, int, dict[str, Field]]] = {
    "twilio/quick-reply": (
        "actions",
        BUTTONS_MAX,
        {"title": Field(20), "id": Field(200, False), "type": Field(20, False)},
    ),
    "twilio/list-picker": (
        "items",
        ITEMS_MAX,
        {"item": Field(24), "id": Field(200), "description": Field(72, False)},
    ),
}
# Types that go to a session only, whatever was approved.
SESSION_ONLY = frozenset(("twilio/list-picker",))


class Choice(NamedTuple):
    """A row of a list, or a button: what comes back is `id` and `title`."""

    id: str
    title: str
    description: str = ""


@dataclass(frozen=True)
class Shown:
    """What the writer sees of a Content with its variables filled in."""

    kind: str  # "twilio/list-picker" and so on
    body: str
    button: str = ""
    choices: tuple[Choice, ...] = ()
    media_urls: tuple[str, ...] = ()


@dataclass
class Content:
    """A Content resource; `approval` is None, "received", "approved" or "rejected"."""

    sid: str
    account_sid: str
    friendly_name: str | None
    language: str
    variables: dict[str, str]
    types: dict[str, dict[str, Any]]
    created_at: datetime
    approval: str | None = None
    approval_request: dict[str, Any] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Return the type that WhatsApp is given: the most complex one."""
        return max(self.types, key=list(_TEXTS).index)

    @property
    def names(self) -> set[str]:
        """Return the variables that the resource has places for."""
        texts = _texts(self.types[self.kind])
        return {name for text in texts for name in _PLACEHOLDER.findall(text)}

    def show(self, variables: Mapping[str, str], in_session: bool) -> Shown:
        """Fill in the variables, or refuse with the code that the message fails with.

        The values of the resource stand in for those that are not given.
        """
        values = self.variables | dict(variables)
        if set(variables) - self.names or self.names - set(values):
            want, got = sorted(self.names), sorted(values)
            refuse(63028, f"expected values of {want}, got {got}")
        kind = self.kind
        filled = _fill(self.types[kind], values)
        try:
            check(kind, filled)
        except RefusalError as error:
            refuse(63021, error.message)
        shown = _shown(kind, filled)
        if self.approval == "approved" and length(shown.body) > TEMPLATE_CHARS_MAX:
            refuse(63021, f"a template exceeds {TEMPLATE_CHARS_MAX} characters")
        _check_choices(shown)
        buttons = len(shown.choices) if kind == "twilio/quick-reply" else 0
        if in_session and self.approval != "approved" and buttons > SESSION_BUTTONS_MAX:
            refuse(63021, f"{buttons} buttons; a session takes {SESSION_BUTTONS_MAX}")
        return shown

    def text(self, variables: Mapping[str, str]) -> str:
        """Return the text with the variables filled in."""
        found: str = _fill(self.types[self.kind], self.variables | dict(variables)).get(
            "body", ""
        )
        return found

    def as_json(self, base_url: str) -> dict[str, Any]:
        """Return the Content resource."""
        url = f"{base_url}/v1/Content/{self.sid}"
        created = f"{self.created_at:%Y-%m-%dT%H:%M:%SZ}"
        return {
            "account_sid": self.account_sid,
            "date_created": created,
            "date_updated": created,
            "friendly_name": self.friendly_name,
            "language": self.language,
            "links": {
                "approval_create": f"{url}/ApprovalRequests/whatsapp",
                "approval_fetch": f"{url}/ApprovalRequests",
            },
            "sid": self.sid,
            "types": self.types,
            "url": url,
            "variables": self.variables,
        }


def read(body: object, account_sid: str, now: datetime) -> Content:
    """Make a resource of a request's JSON, or refuse it."""
    if not isinstance(body, dict):
        refuse(20001, f"expected a JSON object, got {type(body).__name__}")
    unknown = set(body) - {"friendly_name", "language", "variables", "types"}
    if unknown:
        refuse(20001, f"unknown fields: {', '.join(sorted(unknown))}")
    language = body.get("language")
    if not isinstance(language, str) or not re.fullmatch(r"[a-z]{2}(_\w+)?", language):
        refuse(20001, f"expected a language code, got {language!r}")
    types = body.get("types")
    if not isinstance(types, dict) or not types:
        refuse(20001, "Invalid types. At least one content type definition is required")
    name = body.get("friendly_name")
    if name is not None and (not isinstance(name, str) or len(name) > _NAME_CHARS_MAX):
        refuse(20001, f"expected a friendly_name of up to {_NAME_CHARS_MAX} characters")
    if any(
        re.search(r"\{\{|\}\}", _PLACEHOLDER.sub("", text)) for text in _texts(types)
    ):
        refuse(21656, "a placeholder is {{name}}, with letters, digits and _")
    variables = read_variables(body.get("variables") or {})
    for kind, fields in types.items():
        check(kind, _fill(fields, variables))
    return Content(
        new_sid("HX"), account_sid, name, language, variables, dict(types), now
    )


def read_variables(found: object) -> dict[str, str]:
    """Return the variables of a request: texts by name, none of them empty."""
    if not isinstance(found, dict):
        refuse(21656, "The ContentVariables Parameter is invalid")
    for name, value in found.items():
        is_text = isinstance(value, str) and value != ""
        if not re.fullmatch(r"\w+", name) or not is_text:
            refuse(21656, f"The ContentVariables Parameter is invalid: {name}={value}")
        if len(value) > VARIABLE_CHARS_MAX:
            refuse(21658, f"variable {name} exceeds {VARIABLE_CHARS_MAX} characters")
    return found


def check(kind: str, fields: object) -> None:
    """Refuse a type that does not keep its limits; texts have their variables in."""
    if kind not in _TEXTS:
        refuse(20001, f"the sandbox has no content type {kind!r}")
    if not isinstance(fields, dict):
        refuse(20001, f"expected an object for {kind}")
    parts = _PARTS.get(kind)
    more = {parts[0]} if parts else {"media"} if kind == "twilio/media" else set()
    _check_texts(kind, fields, _TEXTS[kind], more)
    if kind == "twilio/media":
        urls = fields.get("media")
        if not isinstance(urls, list) or len(urls) != 1:
            refuse(20001, "expected one URL in media")
        if not str(urls[0]).startswith(("http://", "https://", "{{")):
            refuse(21620, f"Invalid media URL(s): {urls[0]}")
    if parts is None:
        return
    name, parts_max, texts = parts
    found = fields.get(name)
    if not isinstance(found, list) or not 1 <= len(found) <= parts_max:
        count = len(found) if isinstance(found, list) else 0
        refuse(20001, f"expected 1 to {parts_max} {name}, got {count}")
    for part in found:
        if not isinstance(part, dict):
            refuse(20001, f"expected objects in {name}")
        _check_texts(f"{kind} {name}", part, texts, set())
        if part.get("type", "QUICK_REPLY") != "QUICK_REPLY":
            refuse(20001, f"expected type QUICK_REPLY, got {part['type']!r}")


def _check_texts(
    where: str, found: Mapping[str, Any], texts: Mapping[str, Field], more: set[str]
) -> None:
    unknown = set(found) - set(texts) - more
    if unknown:
        refuse(20001, f"unknown in {where}: {', '.join(sorted(unknown))}")
    for name, (chars_max, is_required) in texts.items():
        text = found.get(name)
        if text is None and not is_required:
            continue
        if not isinstance(text, str) or (is_required and not text.strip()):
            refuse(20001, f"{where} needs the text {name!r}")
        if length(text) > chars_max:
            refuse(21658, f"{where}: {name} exceeds {chars_max} characters: {text!r}")


def _check_choices(shown: Shown) -> None:
    """Refuse what WhatsApp cannot tell apart: two rows of one id, or of one title."""
    ids = [choice.id for choice in shown.choices]
    titles = [choice.title for choice in shown.choices]
    for found in (ids, titles):
        if len(set(found)) != len(found):
            refuse(63021, f"expected each once, got {found}")


def _shown(kind: str, fields: Mapping[str, Any]) -> Shown:
    body, button = fields.get("body") or "", fields.get("button", "")
    media = tuple(fields.get("media", ()))
    return Shown(kind, body, button, tuple(_choices(fields)), media)


def _choices(fields: Mapping[str, Any]) -> Sequence[Choice]:
    rows = [
        Choice(row["id"], row["item"], row.get("description") or "")
        for row in fields.get("items", ())
    ]
    # A button without an id comes back with its title.
    buttons = [
        Choice(button.get("id") or button["title"], button["title"])
        for button in fields.get("actions", ())
    ]
    return rows + buttons


def _fill(value: Any, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda place: values.get(place[1], place[0]), value)
    if isinstance(value, list):
        return [_fill(one, values) for one in value]
    if isinstance(value, dict):
        return {name: _fill(one, values) for name, one in value.items()}
    return value


def _texts(value: Any) -> list[str]:
    """Return every text in a JSON value."""
    if isinstance(value, str):
        return [value]
    inside = value.values() if isinstance(value, dict) else value
    if not isinstance(value, dict | list):
        return []
    return [text for one in inside for text in _texts(one)]


def length(text: str) -> int:
    """Return the length in UTF-16 units, the longest way in which a text is counted.

    The page of 21617: some characters "will be counted as multiple characters".
    """
    return len(text.encode("utf-16-le", "surrogatepass")) // 2
