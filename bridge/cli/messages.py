"""`kolbridge messages`: what people and a business write to each other.

Lists conversations, shows one whole, and does what a person of the business does in it:
write, hold it in the assistant's place, hand it back.
"""

import argparse
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, get_args
from uuid import UUID

import msgspec

from bridge.business.opening_hours import TenantError
from bridge.cli.calls import add_listing_arguments, chosen_businesses
from bridge.cli.database import run_with_database
from bridge.cli.listing import local_time, money
from bridge.messaging import by_hand
from bridge.messaging.by_hand import NotSent
from bridge.settings.process import Settings
from bridge.telemetry.masking import one_line
from crm import businesses, conversation_pages, conversations
from crm.conversation_pages import Listed, State, ToolRow, Wish
from crm.conversations import Conversation
from crm.database import Database
from crm.messages import Message

EXAMPLES = """examples:
  kolbridge messages --business "Dana's Salon"
  kolbridge messages --state waits
  kolbridge messages --business "Dana's Salon" +12025550123 --tools
  kolbridge messages --business "Dana's Salon" +12025550123 --hold
  kolbridge messages --business "Dana's Salon" +12025550123 --send "We will call you."
  kolbridge messages --business "Dana's Salon" +12025550123 --hand-back
  kolbridge messages --json | jq -r '[.writer, .last_author, .last_body] | @tsv'
"""
STATES = tuple(filter(None, get_args(State)))
# Who wrote, where the writer is shown by their number.
PERSON = "the command line"
_BODY_SHOWN = 60


class _Place(NamedTuple):
    """The business of a conversation, and how its lines are shown."""

    business_id: UUID
    business: str
    zone: str
    currency: str


def add_parser(subparsers: Any) -> None:
    """Add `messages` to the command line."""
    parser = subparsers.add_parser(
        "messages",
        description="List conversations in writing, those written in last first, or "
        "show one conversation with its last messages, oldest first.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(run=run)
    parser.add_argument(
        "conversation", nargs="?", help="number or id of the conversation to show"
    )
    add_listing_arguments(parser)
    parser.add_argument(
        "--state",
        choices=STATES,
        default="",
        help="only conversations that people hold, that wait for a person, that nobody "
        "has answered, where something failed, or that the writer has stopped",
    )
    parser.add_argument("--words", default="", help="only with these words in it")
    parser.add_argument(
        "--tools", action="store_true", help="show the tools of each answer, too"
    )
    acts = parser.add_mutually_exclusive_group()
    acts.add_argument(
        "--hold",
        action="store_true",
        help="leave the conversation to people: the assistant says nothing in it",
    )
    acts.add_argument(
        "--hand-back", action="store_true", help="let the assistant answer again"
    )
    acts.add_argument("--send", metavar="TEXT", help="write a message as a person")


def run(args: argparse.Namespace) -> int:
    """List or show; return 0, or print one line that says what is wrong."""
    return run_with_database("messages", partial(_messages, args))


async def _messages(args: argparse.Namespace, db: Database, settings: Settings) -> None:
    zones = await businesses.time_zones(db)
    places = [
        _Place(one, name, zones.get(one, "UTC"), settings.openai_prices_currency)
        for one, name in await chosen_businesses(args, db)
    ]
    if args.conversation is None:
        for option in ("hold", "hand_back", "send", "tools"):
            if getattr(args, option):
                name = option.replace("_", "-")
                raise TenantError(f"--{name}: expected the number of a conversation")
        await _list(args, db, places)
        return
    place, conversation = await _found(args, db, places)
    if args.hold or args.hand_back or args.send is not None:
        await _act(args, db, place, conversation)
    else:
        await _show(args, db, place, conversation)


# --- the list ---


async def _list(args: argparse.Namespace, db: Database, places: list[_Place]) -> None:
    wish = Wish(words=args.words, state=args.state)
    rows = [
        (place, one)
        for place in places
        for one in await conversation_pages.listed(
            db, place.business_id, wish, args.limit
        )
    ]
    rows.sort(key=lambda row: row[1].position, reverse=True)
    for place, one in rows:
        if args.json:
            row = {"business": place.business, **msgspec.structs.asdict(one)}
            print(msgspec.json.encode(row).decode())
        else:
            print(_line(place, one))


def _line(place: _Place, one: Listed) -> str:
    name = one.name or one.profile_name or "-"
    said = _words(one.last_body) or "-"
    if len(said) > _BODY_SHOWN:
        said = f"{said[:_BODY_SHOWN]}…"
    return one_line(
        f"{local_time(one.last_at, place.zone)}  {place.business}  {one.writer}  "
        f"{name}  {_state(one)}  {one.last_author}: {said}  [{one.last_status}]"
    )


def _words(body: str) -> str:
    """Return a message on one line."""
    return " ".join(body.split())


def _state(one: Listed | Conversation) -> str:
    if one.stopped_at is not None:
        return "stopped by the writer"
    if one.held_since is not None:
        return "held by people" + (f" ({one.held_why})" if one.held_why else "")
    return "answered by the assistant"


# --- one conversation ---


async def _found(
    args: argparse.Namespace, db: Database, places: list[_Place]
) -> tuple[_Place, Conversation]:
    every = []
    for place in places:
        own = await _id_of(db, place.business_id, args.conversation)
        found = own and await conversations.get(db, place.business_id, own)
        if found:
            every.append((place, found))
    if len(every) > 1:
        names = ", ".join(place.business for place, _ in every)
        raise TenantError(
            f"{args.conversation!r}: expected --business, several have it: {names}"
        )
    if every:
        return every[0]
    raise TenantError(f"{args.conversation!r}: there is no such conversation")


async def _id_of(db: Database, business_id: UUID, wanted: str) -> UUID | None:
    try:
        return UUID(wanted)
    except ValueError:
        return await conversation_pages.find(db, business_id, wanted)


async def _show(
    args: argparse.Namespace, db: Database, place: _Place, conversation: Conversation
) -> None:
    own = (db, place.business_id, conversation.id)
    shown = await conversation_pages.messages_of(*own, args.limit)
    turns, tools = await conversation_pages.turns_of(*own, shown)
    cost = await conversation_pages.cost_of(*own)
    if args.json:
        whole = {
            "business": place.business,
            **msgspec.structs.asdict(conversation),
            "cost": cost,
            "messages": shown,
            "turns": turns,
            "tools": tools,
        }
        print(msgspec.json.encode(whole).decode())
        return
    name = conversation.profile_name or "-"
    print(
        one_line(
            f"{place.business}  {conversation.writer}  {name}  {_state(conversation)}  "
            f"{money(cost, place.currency)}  {conversation.id}"
        )
    )
    print()
    lines = [(one.created_at, _message(one)) for one in shown]
    if args.tools:
        lines += [(one.at, _tool(one)) for one in tools]
    for at, text in sorted(lines, key=lambda line: line[0]):
        print(f"{local_time(at, place.zone)}  {text}")


def _message(one: Message) -> str:
    who = f"{one.author} ({one.made_by})" if one.made_by else one.author
    parts = [_words(one.body)] if one.body else []
    parts += [f"<{medium.get('content_type', 'file')}>" for medium in one.media]
    content = one.content or {}
    if offered := content.get("choices"):
        parts.append(f"<{' | '.join(choice['title'] for choice in offered)}>")
    if template := content.get("sid"):
        parts.append(f"<template {template}>")
    if one.choice:
        parts.append(f"<chose {one.choice}>")
    why = " ".join(filter(None, (str(one.error_code or ""), one.error_text)))
    status = f"{one.status}: {why}" if why else one.status
    return one_line(f"{who}: {' '.join(parts)}  [{status}]")


def _tool(one: ToolRow) -> str:
    output = "(runs)" if one.output is None else one.output
    return one_line(f"[{one.name}] {one.arguments} -> {output}")


# --- what is done in it ---


async def _act(
    args: argparse.Namespace, db: Database, place: _Place, conversation: Conversation
) -> None:
    own = (place.business_id, conversation.id)
    if args.hold:
        async with db.tenant(place.business_id) as connection:
            done = await conversations.hold(connection, *own, "")
        print("held by people" if done else "people held it already")
    elif args.hand_back:
        done = await conversations.hand_back(db, *own)
        print("answered by the assistant" if done else "nobody held it")
    else:
        try:
            await by_hand.write(db, *own, PERSON, args.send, datetime.now(UTC))
        except NotSent as error:
            raise TenantError(f"--send: {error}") from None
        print("it is sent as soon as it can be")
