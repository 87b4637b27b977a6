"""Lists, buttons and templates: what goes with a message's text, and how Twilio has it.

Twilio sends choices as a Content resource only. One resource is made for each shape,
with a variable in each place, and is kept in the database; a message fills the places
in. Resources of this kind need no approval, and go out within the window of 24 hours.

A choice that comes back is one only if its conversation has offered it; the database
decides that when the message is written (`crm.conversations.receive`).
"""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec

from bridge.messaging.splitting import units_of
from bridge.messaging.twilio_messages import TwilioMessages
from crm import message_sending
from crm.database import Database

# twilio.com/docs/content/twiliolist-picker and twilio-quick-reply; a session's buttons
# without an approval are three, and WhatsApp's titles have 20 characters.
BODY_CHARS_MAX = 1_024
ROWS_MAX, ROW_CHARS_MAX, ROW_MORE_CHARS_MAX = 10, 24, 72
BUTTONS_MAX, BUTTON_CHARS_MAX = 3, 20
ID_CHARS_MAX = 200
# Sample values; every place of every message is filled in.
_SAMPLES = {"body": "Text", "button": "Choose", "title": "Title", "id": "id"}


class ContentError(ValueError):
    """What goes with a message cannot be sent; says what was expected."""


class Choice(msgspec.Struct, frozen=True):
    """A row of a list, or a button."""

    id: str
    title: str
    description: str = ""


class ListOf(msgspec.Struct, frozen=True, tag_field="kind", tag="list"):
    """A list that opens at a button, up to ten rows."""

    button: str
    choices: tuple[Choice, ...]


class Buttons(msgspec.Struct, frozen=True, tag_field="kind", tag="buttons"):
    """Up to three buttons below the text."""

    choices: tuple[Choice, ...]


class Template(msgspec.Struct, frozen=True, tag_field="kind", tag="template"):
    """An approved template, which takes the place of the text where text may not go."""

    sid: str
    variables: dict[str, str] = {}


Content = ListOf | Buttons | Template


def read_content(found: Mapping[str, Any] | None) -> Content | None:
    """Return what goes with a message; None where it is text alone. Raises
    ContentError."""
    if found is None:
        return None
    try:
        content: Content = msgspec.convert(found, Content)
    except msgspec.ValidationError as error:
        raise ContentError(f"content: {error}") from None
    return content


def as_text(body: str, content: ListOf | Buttons) -> str:
    """Return choices as numbered lines, for where Twilio takes none."""
    lines = [
        f"{number}. {choice.title}"
        + (f" ({choice.description})" if choice.description else "")
        for number, choice in enumerate(content.choices, start=1)
    ]
    return "\n".join((body, "", *lines))


def check_choices(body: str, content: ListOf | Buttons) -> None:
    """Raise ContentError for choices that Twilio or WhatsApp would refuse."""
    is_list = isinstance(content, ListOf)
    most = ROWS_MAX if is_list else BUTTONS_MAX
    if not 1 <= len(content.choices) <= most:
        raise ContentError(f"choices: expected 1 to {most}, got {len(content.choices)}")
    title_max = ROW_CHARS_MAX if is_list else BUTTON_CHARS_MAX
    _check("body", body, BODY_CHARS_MAX)
    if isinstance(content, ListOf):
        _check("button", content.button, BUTTON_CHARS_MAX)
    for choice in content.choices:
        _check("id", choice.id, ID_CHARS_MAX)
        _check("title", choice.title, title_max)
        if choice.description:
            _check("description", choice.description, ROW_MORE_CHARS_MAX)
    for name in ("id", "title"):
        seen = {getattr(choice, name) for choice in content.choices}
        if len(seen) != len(content.choices):
            raise ContentError(f"choices: expected each {name} once")


def shape_of(content: ListOf | Buttons) -> str:
    """Return the name of all choices that one Content resource serves."""
    if isinstance(content, Buttons):
        return f"buttons_{len(content.choices)}"
    described = "".join("d" if one.description else "p" for one in content.choices)
    return f"list_{described}"


def resource_of(content: ListOf | Buttons) -> dict[str, Any]:
    """Return the Content resource of a shape, its places numbered as `values_of` has
    them."""
    samples: dict[str, str] = {}

    def place(name: str) -> str:
        number = str(len(samples) + 1)
        samples[number] = _SAMPLES[name] + (number if name in ("title", "id") else "")
        return "{{" + number + "}}"

    fields: dict[str, Any] = {"body": place("body")}
    if isinstance(content, ListOf):
        kind = "twilio/list-picker"
        fields["button"] = place("button")
        fields["items"] = [
            {
                "item": place("title"),
                "id": place("id"),
                **({"description": place("body")} if choice.description else {}),
            }
            for choice in content.choices
        ]
    else:
        kind = "twilio/quick-reply"
        fields["actions"] = [
            {"type": "QUICK_REPLY", "title": place("title"), "id": place("id")}
            for _ in content.choices
        ]
    return {
        "friendly_name": f"kolbridge_{shape_of(content)}",
        # It is of the places; the texts may be in any language.
        "language": "en",
        "variables": samples,
        "types": {kind: fields},
    }


def values_of(body: str, content: ListOf | Buttons) -> dict[str, str]:
    """Return what a message puts into the places."""
    values = [body]
    if isinstance(content, ListOf):
        values.append(content.button)
    for choice in content.choices:
        values += [choice.title, choice.id]
        if isinstance(content, ListOf) and choice.description:
            values.append(choice.description)
    return {str(number): value for number, value in enumerate(values, start=1)}


class Contents:
    """The Content resources of all businesses."""

    def __init__(self, database: Database, twilio: TwilioMessages) -> None:
        self._database = database
        self._twilio = twilio

    async def fields(
        self, business_id: UUID, account_sid: str, body: str, content: Content
    ) -> dict[str, str]:
        """Return the fields of a request that sends the content; makes its resource
        where there is none. Raises ContentError and TwilioError."""
        if isinstance(content, Template):
            return _fields(content.sid, content.variables)
        check_choices(body, content)
        shape = shape_of(content)
        own = (self._database, business_id, account_sid)
        sid = await message_sending.content_sid(*own, shape)
        if sid is None:
            made = await self._twilio.create_content(account_sid, resource_of(content))
            # Where two processes make one, both use the first that is kept.
            sid = await message_sending.keep_content_sid(*own, shape, made)
        return _fields(sid, values_of(body, content))

    async def forget(self, business_id: UUID, account_sid: str, sid: str) -> None:
        """Forget a resource that Twilio does not know any more."""
        await message_sending.forget_content_sid(
            self._database, business_id, account_sid, sid
        )


def _fields(sid: str, variables: Mapping[str, str]) -> dict[str, str]:
    fields = {"ContentSid": sid}
    if variables:
        # "cannot be an empty string or null": error 21656.
        filled = {name: value or "-" for name, value in variables.items()}
        fields["ContentVariables"] = msgspec.json.encode(filled).decode()
    return fields


def _check(name: str, text: str, most: int) -> None:
    if not text.strip() or units_of(text) > most:
        raise ContentError(
            f"{name}: expected 1 to {most} characters, got {units_of(text)}"
        )
