"""What the model reads of a conversation: stored messages and items as its input.

`items` is pure. What was written before the turn is bounded in messages and tokens, and
the newest is kept. The turn's own messages come next, within the same bounds, then what
the model has said in the turn with the results of its tools, in the order in which the
API wants them. What the service adds to a person's words stands in square brackets,
which nobody else can write.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from msgspec import structs

from bridge.agent.prompt_length import token_bound
from bridge.messaging.inbound import may_answer
from bridge.messaging.writing_tools import REPLIES
from crm.message_turns import ASKED, Turn
from crm.messages import Message

Item = dict[str, Any]

# What never reached its reader is no part of a conversation.
_LOST = frozenset(("failed", "undelivered", "canceled", "dropped", "refused"))
# What the model cannot hear or see, by its type.
_KINDS = {
    "audio": "a voice note, which cannot be heard here",
    "image": "a picture, which could not be loaded",
    "video": "a video, which cannot be seen here",
}
# Square brackets, and what a model may read as such.
_OPENING = "[\uff3b\u3010\u3014\u3016\u301a\u27e6\u2045\u298b\u298d\u298f\u2772"
_CLOSING = "]\uff3d\u3011\u3015\u3017\u301b\u27e7\u2046\u298c\u298e\u2990\u2773"
_ROUND = str.maketrans(_OPENING + _CLOSING, "(" * len(_OPENING) + ")" * len(_CLOSING))
_MAY_STOP = (
    "[this word can also mean: no more messages; if the writer may mean that, say that "
    "they get none once they write STOP]"
)
_FILE = "a file, which cannot be read here"
_UNSENT = (
    "[the answer above was late and is not sent, since the writer has written again: "
    "answer anew, with all of it that they must know]"
)


class Bounds(NamedTuple):
    """How much of what was written before a turn the model is given."""

    messages_max: int
    tokens_max: int


class Chosen(NamedTuple):
    """A choice that was offered: its title, and the time that it stands for, if any."""

    title: str
    starts_at: str


def items(
    before: Sequence[Message],
    turn: Turn,
    outputs: Mapping[str, str],
    pictures: Mapping[tuple[UUID, int], str],
    bounds: Bounds,
    zone: ZoneInfo,
) -> list[Item]:
    """Return the model's input: history, the turn's messages, then its items.

    `before` are messages in order; those of the turn are left out. `outputs` are the
    results of tools by `call_id`. `pictures` are data URLs by message and place in it.
    """
    offered = offers(before)
    past = [one for one in before if one.turn_id != turn.id and one.status not in _LOST]
    asked = {one.id: one for one in _bounded(turn.asked, bounds, offered, least=1)}
    later = {one for item in turn.items if ASKED in item for one in item[ASKED]}
    today = turn.asked[-1].created_at.astimezone(zone).date() if turn.asked else None

    def written(message: Message) -> Item:
        return _user(message, offered, pictures)

    made = [
        _past(one, offered, one.created_at.astimezone(zone), today)
        for one in _bounded(past, bounds, offered)
    ]
    left = len(turn.asked) - len(asked)
    if left:
        text = f"[{left} messages before these are left out: too much at once]"
        made.append({"role": "user", "content": text})
    made += [written(one) for one in asked.values() if str(one.id) not in later]
    is_answered = False
    for item in _with_outputs(turn.items, outputs):
        if ASKED in item:
            if is_answered:
                made.append({"role": "user", "content": _UNSENT})
            is_answered = False
            found = (asked.get(UUID(one)) for one in item[ASKED])
            made += [written(one) for one in found if one is not None]
        else:
            made.append(item)
            is_answered |= _is_answer(item)
    return made


def offers(messages: Iterable[Message]) -> dict[str, Chosen]:
    """Return every choice that was offered in a conversation, by its id."""
    return {
        choice["id"]: Chosen(
            choice["title"].translate(_ROUND), choice.get("starts_at", "")
        )
        for message in messages
        if message.direction == "out"
        for choice in (message.content or {}).get("choices", ())
    }


def _bounded(
    past: Sequence[Message],
    bounds: Bounds,
    offered: Mapping[str, Chosen],
    least: int = 0,
) -> list[Message]:
    """Return the newest messages that fit, in order, and at least so many."""
    kept: list[Message] = []
    left = bounds.tokens_max
    for message in reversed(past[-bounds.messages_max :]):
        left -= token_bound(_words(message, offered))
        if left < 0 and len(kept) >= least:
            break
        kept.append(message)
    return kept[::-1]


def _past(
    message: Message, offered: Mapping[str, Chosen], at: datetime, today: Any
) -> Item:
    words = _words(message, offered)
    if at.date() != today:
        words = f"[{at:%a %Y-%m-%d %H:%M}] {words}"
    role = "user" if message.direction == "in" else "assistant"
    return {"role": role, "content": words}


def _words(message: Message, offered: Mapping[str, Chosen]) -> str:
    """Return a message as text, with what the service knows of it."""
    parts = [message.body.translate(_ROUND)] if message.body else []
    if message.direction == "out":
        if message.author == "person":
            parts.insert(0, "[written by a person of the business]")
        choices = (message.content or {}).get("choices", ())
        parts += [f"- {_choice(one)}" for one in choices]
    else:
        parts += map(_medium, message.media)
        if (chosen := offered.get(message.choice)) is not None:
            of = f" starts_at={chosen.starts_at}" if chosen.starts_at else ""
            parts.append(f"[chosen from what was offered: {chosen.title}{of}]")
        elif message.status == "received" and may_answer(message.body):
            parts.append(_MAY_STOP)
    return "\n".join(parts) or "[an empty message]"


def _choice(choice: Mapping[str, Any]) -> str:
    at = choice.get("starts_at", "")
    title = str(choice["title"]).translate(_ROUND)
    return f"{title} [starts_at={at}]" if at else title


def _medium(medium: Mapping[str, Any]) -> str:
    """Return a medium's words, or name it."""
    if heard := medium.get("heard"):
        return f"[a voice note, as it was heard:] {str(heard).translate(_ROUND)}"
    kind = str(medium.get("content_type", "")).partition("/")[0]
    return f"[{_KINDS.get(kind, _FILE)}]"


def _user(
    message: Message,
    offered: Mapping[str, Chosen],
    pictures: Mapping[tuple[UUID, int], str],
) -> Item:
    """Return a message of the turn, with the pictures that the model can see."""
    seen = {
        at: pictures[message.id, at]
        for at in range(len(message.media))
        if (message.id, at) in pictures
    }
    if not seen:
        return {"role": "user", "content": _words(message, offered)}
    unseen = [one for at, one in enumerate(message.media) if at not in seen]
    words = _words(_without(message, unseen), offered) if message.body or unseen else ""
    parts: list[Item] = [{"type": "input_text", "text": words}] if words else []
    parts += [
        {"type": "input_image", "image_url": url, "detail": "auto"}
        for url in seen.values()
    ]
    return {"role": "user", "content": parts}


def _without(message: Message, media: list[dict[str, Any]]) -> Message:
    return structs.replace(message, media=media)


def _is_answer(item: Item) -> bool:
    """Tell whether the model took what it said here for sent."""
    return item.get("type") == "message" or item.get("name") in REPLIES


def _with_outputs(stored: Sequence[Item], outputs: Mapping[str, str]) -> Iterator[Item]:
    """Yield items, each run of calls followed by its results."""
    open_calls: list[str] = []
    for item in stored:
        if item.get("type") != "function_call":
            yield from _results(open_calls, outputs)
            open_calls = []
        else:
            open_calls.append(item["call_id"])
        yield item
    yield from _results(open_calls, outputs)


def _results(calls: Iterable[str], outputs: Mapping[str, str]) -> Iterator[Item]:
    for call_id in calls:
        yield {
            "type": "function_call_output",
            "call_id": call_id,
            "output": outputs[call_id],
        }
