"""What a business writes unasked: reminders, and messages after missed calls.

A business has them on or off, and only with WhatsApp. Whoever must not be written to is
left away before (`crm.announcements`), and looked at again when it is sent
(`bridge.messaging.window`). Several processes may look at once: each appointment and
call is written about once, which the database decides.
"""

import asyncio
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from bridge.agent.spoken import say_time
from bridge.messaging.announcement_texts import CHANGE, MISSED_CALL, REMINDER
from bridge.messaging.sentences import in_language
from bridge.messaging.window import WINDOW, is_open, quiet_until, read_quiet_hours
from bridge.settings.message_options import MessageOptions, account_of, message_options
from bridge.settings.process import Settings
from bridge.telemetry.log import server_logger
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.supervised import note_failure
from crm import announcements, businesses, conversations, messages
from crm.announcements import Occasion, Own
from crm.businesses import Business
from crm.database import Database
from crm.messages import Draft
from crm.transient import DATABASE_ERRORS, is_transient

# How often every business is looked at, and the pause between two of them.
LOOK_S = 60.0
BREATH_S = 0.01
# Reminders go out on the day before, from this time of the business's clock.
REMIND_FROM = time(10)
# The caller may call again meanwhile.
MISSED_AGE_MIN = timedelta(minutes=2)
# Between these (UAX #9: FSI, PDI) a text of any direction changes nothing around it.
_ISOLATED = "\u2068{}\u2069"


class Announcements:
    """The announcements of every business; `run` is the task."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        metrics: Metrics,
    ) -> None:
        self._settings = settings
        self._database = database
        self._metrics = metrics
        # What has no template, by business and purpose: it is logged once.
        self._without: set[tuple[object, str]] = set()

    async def run(self) -> None:
        """Look at every business, again and again, until cancelled."""
        while True:
            try:
                await self.look_at_all(await announcements.now(self._database))
            except DATABASE_ERRORS as error:
                server_logger().warning(
                    "[MESSAGE] nothing announced: %s", type(error).__name__
                )
            await asyncio.sleep(LOOK_S)

    async def look_at_all(self, now: datetime) -> None:
        """Write what is due, of every business that has a number.

        `now` is the database's time, by which a message is looked at once more when it
        is sent: what is dropped then was written, and is not written again.
        """
        numbers = await businesses.numbers(self._database)
        for business_id in dict.fromkeys(one for _, one in numbers):
            business = await businesses.get(self._database, business_id)
            if business is not None:
                await self._look_safely(business, now)
            await asyncio.sleep(BREATH_S)

    async def _look_safely(self, business: Business, now: datetime) -> None:
        """Look at a business; a failure of one stops no other. Raises
        the errors of a database that is away."""
        try:
            await self.look(business, now)
        except Exception as error:
            if is_transient(error):
                raise
            note_failure(self._metrics, "announcements", error)

    async def look(self, business: Business, now: datetime) -> int:
        """Write what is due of a business; return how many messages."""
        options, _ = message_options(self._settings.message, business.settings)
        if not options.whatsapp:
            return 0
        zone = ZoneInfo(business.time_zone)
        quiet = read_quiet_hours(options.quiet_hours)
        if quiet is not None and quiet_until(quiet, zone, now) is not None:
            return 0
        written = 0
        if options.appointment_reminders:
            written += await self._write_reminders(business, options, now)
        if options.missed_call_messages:
            written += await self._write_after_missed_calls(business, options, now)
        return written

    async def _write_reminders(
        self, business: Business, options: MessageOptions, now: datetime
    ) -> int:
        """Remind of tomorrow's appointments that were booked before today."""
        zone = ZoneInfo(business.time_zone)
        local = now.astimezone(zone)
        if local.time() < REMIND_FROM:
            return 0
        today, tomorrow, after = (
            datetime.combine(local.date() + timedelta(days=days), time(), zone)
            for days in range(3)
        )
        async with self._database.tenant(business.id) as connection:
            found = await announcements.reminders(
                connection, _own(business, now), tomorrow, after, today
            )
        written = 0
        for one in found:
            at = one.at.astimezone(zone)
            # By its date alone: the text says that it is tomorrow.
            when = say_time(at, date.min, business.language, business.country)
            lines = (
                _text(REMINDER, business),
                _isolated(f"{when} · {one.service}" if one.service else when),
                _text(CHANGE, business),
            )
            variables = {"1": business.name, "2": when, "3": one.service or "-"}
            purpose, body = announcements.REMINDER, "\n".join(lines)
            written += await self._write(
                business, options, one, now, purpose, body, variables
            )
        return written

    async def _write_after_missed_calls(
        self, business: Business, options: MessageOptions, now: datetime
    ) -> int:
        since, until = now - announcements.MISSED_AGE_MAX, now - MISSED_AGE_MIN
        async with self._database.tenant(business.id) as connection:
            found = await announcements.missed_calls(
                connection, _own(business, now), since, until
            )
        written = 0
        for one in found:
            purpose, body = announcements.MISSED_CALL, _text(MISSED_CALL, business)
            variables = {"1": business.name}
            written += await self._write(
                business, options, one, now, purpose, body, variables
            )
        return written

    async def _write(
        self,
        business: Business,
        options: MessageOptions,
        one: Occasion,
        now: datetime,
        purpose: str,
        body: str,
        variables: dict[str, str],
    ) -> bool:
        """Write one message, if it may go out; tell whether it is new."""
        template = options.template_of(purpose, business.language)
        if template is None and not is_open(one.last_inbound_at, now):
            self._note_without(business, purpose)
            return False
        content = None
        if template is not None:
            content = {"kind": "template", "sid": template, "variables": variables}
        draft = Draft(body, content, "service", purpose=purpose, about=one.about)
        account_sid = (
            account_of(self._settings.call, business.settings)
            or one.account_sid
            or self._settings.twilio_account_sid
            or ""
        )
        async with self._database.tenant(business.id) as connection:
            conversation_id = await conversations.open_for(
                connection, business.id, one.writer, one.own_number, account_sid
            )
            is_new = await messages.add(connection, business.id, conversation_id, draft)
        if is_new:
            self._metrics.count("announcements", purpose=purpose)
        return is_new is not None

    def _note_without(self, business: Business, purpose: str) -> None:
        if (business.id, purpose) not in self._without:
            self._without.add((business.id, purpose))
            server_logger().warning(
                "[MESSAGE] not written: WHATSAPP_TEMPLATES has no %s.%s, and the last "
                "message is older than 24 hours",
                purpose,
                business.language,
                extra={"business": str(business.id)},
            )


def _own(business: Business, now: datetime) -> Own:
    return Own(business.id, business.numbers, now - WINDOW)


def _text(texts: dict[str, str], business: Business) -> str:
    text = in_language(texts, business.language)
    return text.format(name=_isolated(business.name))


def _isolated(text: str) -> str:
    return _ISOLATED.format(text)
