"""The settings of a written conversation: the process's, overridden by the business.

A business's `settings` hold names of both kinds. `apart` divides them, so that each
kind is merged as `bridge.settings.options` does. This module owns what the templates
and the quiet hours look like.
"""

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Annotated, Any

from msgspec import Meta

from bridge.settings.options import (
    NEAR_RATIO,
    CallOptions,
    LimitCount,
    Name,
    Options,
    Switch,
    merge_valid,
)

# What a message outside the window may be for; each has a template of its own.
PURPOSES = ("reminder", "missed_call")
# A content template's name is HX and 32 hexadecimal digits.
_TEMPLATE = rf"({'|'.join(PURPOSES)})\.[a-z]{{2}}=HX[0-9a-fA-F]{{32}}"
_CLOCK = r"([01]\d|2[0-3]):[0-5]\d"

Templates = Annotated[
    str,
    Meta(
        pattern=rf"^({_TEMPLATE}(, ?{_TEMPLATE})*)?$",
        max_length=4_000,
        description=f"purpose.language=HX… with commas between, purposes "
        f"{', '.join(PURPOSES)}, as reminder.en=HX0123456789abcdef0123456789abcdef",
    ),
]
QuietHours = Annotated[
    str,
    Meta(
        pattern=rf"^({_CLOCK}-{_CLOCK}|off)$",
        description="two times of day such as 21:00-08:00, or off",
    ),
]


ModelOrNone = Annotated[
    str,
    Meta(max_length=64, pattern=r"^[\w.-]*$", description="a model's name, or nothing"),
]


class MessageOptions(Options, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The settings of written conversations that may differ by business."""

    whatsapp: Switch = False
    whatsapp_model: Name = "gpt-6-luna"
    whatsapp_transcription_model: ModelOrNone = ""
    whatsapp_templates: Templates = ""
    appointment_reminders: Switch = False
    missed_call_messages: Switch = False
    quiet_hours: QuietHours = "21:00-08:00"
    limit_messages_per_writer_per_minute: LimitCount = 20
    message_history_max: Annotated[
        int, Meta(ge=2, le=500, description="a whole number from 2 to 500")
    ] = 40
    message_history_tokens: Annotated[
        int,
        Meta(ge=500, le=100_000, description="a whole number from 500 to 100000"),
    ] = 8_000

    def template_of(self, purpose: str, language: str) -> str | None:
        """Return the template of a purpose in a language; None if there is none.

        A template in another language is never taken instead.
        """
        return dict(_templates(self.whatsapp_templates)).get((purpose, language))

    def contradictions(self) -> Iterator[str]:
        """Yield an error for a template that stands there twice, and for quiet hours
        that end as they begin."""
        seen = set()
        for (purpose, language), _ in _templates(self.whatsapp_templates):
            if (purpose, language) in seen:
                yield (
                    f"WHATSAPP_TEMPLATES={self.whatsapp_templates!r}: expected "
                    f"{purpose}.{language} once"
                )
            seen.add((purpose, language))
        begins, _, ends = self.quiet_hours.partition("-")
        if begins == ends:
            given = f"QUIET_HOURS={self.quiet_hours!r}"
            yield f"{given}: expected two different times, or off"


BOTH = (*CallOptions.__struct_fields__, *MessageOptions.__struct_fields__)
# What spends the service's money, and what bounds that: `kolbridge tenant` changes
# these, and no owner does.
_OF_SERVICE = frozenset(
    (
        *("openai_model", "openai_transcription_model"),
        *("whatsapp_model", "whatsapp_transcription_model"),
        *("message_history_max", "message_history_tokens"),
        *("limit_concurrent_calls", "limit_minutes_per_day", "limit_cost_per_day"),
        *("limit_calls_per_caller_per_hour", "limit_withheld_calls_per_hour"),
    )
)


def of_service(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of a business's settings that its own people do not change."""
    return {name: value for name, value in settings.items() if name in _OF_SERVICE}


def apart(
    settings: Mapping[str, object],
) -> tuple[dict[str, object], dict[str, object]]:
    """Divide a business's settings into those of calls and those of messages.

    A name that is no setting goes where the nearest name is, or to those of calls:
    either kind refuses it when it is merged.
    """
    of_messages = MessageOptions.__struct_fields__
    calls: dict[str, object] = {}
    messages: dict[str, object] = {}
    for name, value in settings.items():
        field = name.lower()
        if field not in BOTH:
            field = next(iter(get_close_matches(field, BOTH, 1, NEAR_RATIO)), field)
        (messages if field in of_messages else calls)[name] = value
    return calls, messages


def account_of(options: CallOptions, settings: Mapping[str, object]) -> str:
    """Return the Twilio account that has a business's numbers; "" if it may be any."""
    own, _ = merge_valid(options, apart(settings)[0])
    return own.number_account


def message_options(
    options: MessageOptions, settings: Mapping[str, object]
) -> tuple[MessageOptions, tuple[str, ...]]:
    """Apply a business's valid settings; return a line for each fault."""
    return merge_valid(options, apart(settings)[1])


def _templates(text: str) -> Iterator[tuple[tuple[str, str], str]]:
    for one in re.split(", ?", text) if text else ():
        name, _, sid = one.partition("=")
        purpose, _, language = name.partition(".")
        yield (purpose, language), sid
