"""Messages that the business's own people write, from the console, the API and the
command line: what may be written now, and why not.

What is written waits in the same queue as the assistant's answers, where it is judged
once more at the moment it is sent.
"""

from datetime import datetime
from uuid import UUID

from bridge.messaging import window
from bridge.messaging.window import Addressee, Way
from crm import conversations, messages
from crm.conversations import BODY_CHARS_MAX, WHATSAPP, Conversation
from crm.database import Database

# Why nothing may be written; `window.decide` has the last two.
EMPTY, TOO_LONG, UNKNOWN = "empty", "too_long", "unknown"
STOPPED, WINDOW = "stopped", "window"
TEXTS = {
    EMPTY: "expected a text",
    TOO_LONG: f"expected {BODY_CHARS_MAX} characters at most",
    UNKNOWN: "there is no such conversation",
    STOPPED: "the writer wants no messages",
    WINDOW: "the writer's last message is older than 24 hours: no text is delivered",
}


class NotSent(ValueError):
    """Nothing was written; `reason` says why, in a word."""

    def __init__(self, reason: str) -> None:
        super().__init__(TEXTS[reason])
        self.reason = reason


def closed_why(conversation: Conversation, now: datetime) -> str:
    """Return why no text may be sent in a conversation now; "" where it may."""
    if conversation.channel != WHATSAPP:
        return ""
    to = Addressee(conversation.last_inbound_at, conversation.stopped_at)
    found = window.decide(window.REPLY, to, now, has_text=True, has_template=False)
    return "" if found.way is Way.TEXT else found.why


async def write(
    db: Database,
    business_id: UUID,
    conversation_id: UUID,
    user: str,
    text: str,
    now: datetime,
    key: str = "",
) -> UUID:
    """Add a message of `user`, which is sent as soon as it can be; raises NotSent.

    `key` names what was typed: the same comes again where its answer was lost.
    """
    body = text.strip()
    if not body:
        raise NotSent(EMPTY)
    if len(body) > BODY_CHARS_MAX:
        raise NotSent(TOO_LONG)
    conversation = await conversations.get(db, business_id, conversation_id)
    if conversation is None:
        raise NotSent(UNKNOWN)
    why = closed_why(conversation, now)
    if why:
        raise NotSent(why)
    own = (db, business_id, conversation_id)
    written = await messages.write_by_hand(*own, user, body, key)
    if written is None:
        raise NotSent(UNKNOWN)
    return written
