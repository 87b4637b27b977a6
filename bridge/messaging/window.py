"""What may be sent to a writer now: as text, as a template, later, or not at all.

`decide` is pure: facts and the time in, a decision out. Six rules, the strongest
first:

- A writer who has stopped the conversation gets the confirmation of that, and nothing
  else.
- Where a person has taken the conversation over, the assistant says nothing more.
- What nobody asked for goes to nobody who is not to be contacted.
- What is not so any more, as a reminder that has waited past its day, is not said.
- What nobody asked for waits for the end of the quiet hours.
- Text goes out within 24 hours of the writer's last message. Later, WhatsApp delivers a
  template only, and Twilio refuses text with 63016, after it has accepted it.
"""

from datetime import UTC, datetime, time, timedelta
from enum import Enum
from typing import NamedTuple
from zoneinfo import ZoneInfo

# twilio.com/docs/whatsapp/key-concepts, "24-hour customer service window". The minute
# is for the way to WhatsApp, and for clocks that differ.
WINDOW = timedelta(hours=24) - timedelta(seconds=60)
# The purposes of messages. What is not named here was not asked for.
REPLY, STOPPED, STARTED = "reply", "stopped", "started"
ASKED_FOR = frozenset((REPLY, STOPPED, STARTED))


class Way(Enum):
    """How a message goes out now."""

    TEXT = "text"
    TEMPLATE = "template"
    LATER = "later"
    DROPPED = "dropped"


class Decision(NamedTuple):
    """A way; `why` it is dropped, `until` when it waits."""

    way: Way
    why: str = ""
    until: datetime | None = None


class Addressee(NamedTuple):
    """The writer, as far as it matters for what may be sent to them."""

    last_inbound_at: datetime | None
    stopped_at: datetime | None = None
    is_not_contacted: bool = False


class QuietHours(NamedTuple):
    """The hours, by a business's clock, in which nobody is written to unasked; they
    may go past midnight."""

    begin: time
    end: time


def read_quiet_hours(text: str) -> QuietHours | None:
    """Return what QUIET_HOURS says, which `MessageOptions` has checked; None: none."""
    if text == "off":
        return None
    begin, end = map(time.fromisoformat, text.split("-"))
    return QuietHours(begin, end)


def quiet_until(quiet: QuietHours, zone: ZoneInfo, now: datetime) -> datetime | None:
    """Return when the quiet hours end that it is in now; None outside of them."""
    local = now.astimezone(zone)
    begin, end = quiet
    is_over_midnight = begin > end
    clock = local.time()
    is_late = clock >= begin
    if is_over_midnight:
        if not is_late and clock >= end:
            return None
    elif not is_late or clock >= end:
        return None
    day = local.date() + timedelta(days=is_over_midnight and is_late)
    return datetime.combine(day, end, zone).astimezone(UTC)


def is_open(last_inbound_at: datetime | None, now: datetime) -> bool:
    """Tell whether text may be sent."""
    return last_inbound_at is not None and now < last_inbound_at + WINDOW


def decide(
    purpose: str,
    addressee: Addressee,
    now: datetime,
    *,
    has_text: bool,
    has_template: bool,
    quiet_until: datetime | None = None,
    is_refused_as_text: bool = False,
    is_taken_over: bool = False,
    is_outdated: bool = False,
) -> Decision:
    """Return how a message goes out.

    `quiet_until`: the end of the quiet hours, if it is in them. `is_refused_as_text`:
    Twilio has said that the window is closed (63016), whatever our clock says.
    `is_taken_over`: the assistant has said it after a person took over.
    `is_outdated`: what it says is not so any more.
    """
    if addressee.stopped_at is not None and purpose != STOPPED:
        return Decision(Way.DROPPED, "stopped")
    if is_taken_over:
        return Decision(Way.DROPPED, "held")
    if purpose not in ASKED_FOR:
        if addressee.is_not_contacted:
            return Decision(Way.DROPPED, "do_not_contact")
        if is_outdated:
            return Decision(Way.DROPPED, "outdated")
        if quiet_until is not None and quiet_until > now:
            return Decision(Way.LATER, until=quiet_until)
    is_text = has_text and not is_refused_as_text
    if is_text and is_open(addressee.last_inbound_at, now):
        return Decision(Way.TEXT)
    if has_template:
        return Decision(Way.TEMPLATE)
    return Decision(Way.DROPPED, "window")
