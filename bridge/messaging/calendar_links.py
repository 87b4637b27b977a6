"""Links to what a writer has booked, for the calendar of their telephone.

Twilio takes no calendar file for WhatsApp (twilio.com/docs/whatsapp/guidance-whatsapp-
media-messages, "Supported media types"), so the appointment goes as a link.
"""

from collections.abc import Sequence

from bridge.messaging.sentences import CALENDAR, in_language
from crm import appointment_links
from crm.businesses import Business
from crm.database import Database
from crm.messages import Draft

PATH = "/feeds/a/{token}.ics"


async def with_links(
    db: Database, drafts: Sequence[Draft], business: Business, who: str, base: str
) -> list[Draft]:
    """Return a turn's replies with a link to each appointment that the turn has booked.

    `who` is the message that the bookings are noted under, `base` the service's public
    URL; without it there are no links. A link stands below the last text, or is a
    message of its own beside choices.
    """
    if not base:
        return list(drafts)
    async with db.tenant(business.id) as connection:
        booked = await appointment_links.of_author(connection, business.id, who)
        tokens = [
            await appointment_links.make(connection, business.id, one) for one in booked
        ]
    if not tokens:
        return list(drafts)
    urls = (base + PATH.format(token=token) for token in tokens)
    text = "\n".join((in_language(CALENDAR, business.language), *urls))
    last = drafts[-1]
    if last.content is not None:
        return [*drafts, Draft(text)]
    return [*drafts[:-1], last._replace(body=f"{last.body}\n\n{text}")]
