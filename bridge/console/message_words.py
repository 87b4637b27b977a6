"""The words of pages about messages: who wrote, what became of it, what is attached."""

from collections.abc import Mapping
from typing import Any

from bridge.console.language import N_, gettext as _
from bridge.messaging import by_hand
from crm.conversation_pages import LOST, State
from crm.messages import Message

STATES: dict[State, str] = {
    "held": N_("held by people"),
    "waits": N_("waits for a person"),
    "unanswered": N_("not answered yet"),
    "failed": N_("something failed"),
    "stopped": N_("stopped by the writer"),
}
_AUTHORS = {
    "writer": N_("the writer"),
    "assistant": N_("the assistant"),
    "person": N_("a person"),
    "service": N_("the service"),
}
_SENDING = N_("is being sent")
# A message that came in, and one of a chat of the console, has no status to show.
_STATUSES = {
    "refused": N_("over the limit, not answered"),
    "waiting": N_("waits to be sent"),
    **dict.fromkeys(("trying", "accepted", "scheduled", "queued", "sending"), _SENDING),
    "sent": N_("sent"),
    "delivered": N_("was delivered"),
    "read": N_("was read"),
    "undelivered": N_("not delivered"),
    "failed": N_("failed"),
    "canceled": N_("was cancelled"),
    "dropped": N_("not sent"),
}
_PURPOSES = {
    "reminder": N_("reminder"),
    "missed_call": N_("after a missed call"),
}
_MEDIA = {
    "audio": N_("voice note"),
    "image": N_("picture"),
    "video": N_("video"),
}
# Why a message was dropped, as `window.decide` names it.
_DROPPED = {
    "stopped": N_("The writer wants no messages. Only they can undo that."),
    "window": N_("The writer's last message was older than 24 hours."),
    "do_not_contact": N_("This person is not to be contacted."),
    "held": N_("A person had taken the conversation over."),
    "outdated": N_("What it says was not so any more."),
}
# Why a message of a person is not sent.
NOT_SENT = {
    by_hand.EMPTY: N_("Write something."),
    by_hand.TOO_LONG: N_("Write at most 4,096 characters."),
    by_hand.STOPPED: N_("The writer wants no messages. Only they can undo that."),
    by_hand.WINDOW: N_(
        "The writer's last message is older than 24 hours. WhatsApp delivers no free "
        "text until they write again."
    ),
}


def author_words(author: str) -> str:
    """Return who wrote, in the viewer's language."""
    return _(_AUTHORS[author]) if author in _AUTHORS else author


def status_words(status: str) -> str:
    """Return what became of a message; "" where that goes without saying."""
    return _(_STATUSES[status]) if status in _STATUSES else ""


def why_words(message: Message) -> str:
    """Return why a message was not sent or not delivered; "" where nothing says so."""
    if message.status == "dropped" and message.error_text in _DROPPED:
        return _(_DROPPED[message.error_text])
    code = "" if message.error_code is None else str(message.error_code)
    return f"{code} {message.error_text}".strip()


def is_lost(status: str) -> bool:
    """Tell whether a message's reader will not see it."""
    return status in LOST


def purpose_words(purpose: str) -> str:
    """Return what a message that nobody asked for is; "" for any other."""
    return _(_PURPOSES[purpose]) if purpose in _PURPOSES else ""


def media_words(medium: Mapping[str, Any]) -> str:
    """Return what is attached."""
    kind = str(medium.get("content_type", ""))
    family = kind.partition("/")[0]
    return _(_MEDIA[family]) if family in _MEDIA else _("file")


def not_sent_words(reason: str) -> str:
    """Return why nothing was written; "" where something was."""
    return _(NOT_SENT[reason]) if reason in NOT_SENT else ""
