"""Sends e-mails by the operator's SMTP server: notices, and links that log in."""

import asyncio
from contextlib import suppress
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from time import monotonic
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import aiosmtplib

from bridge.notices.envelope import webhook_id
from bridge.notices.languages import language_of
from bridge.notices.words import field_of, subject_of, truth_of
from bridge.settings.process import Settings
from bridge.telemetry.masking import one_line
from crm.notice_deliveries import Outcome, Parcel

SEND_WAIT_S = 20.0
# The e-mail is handed over by then; RFC 5321, 4.1.1.10, wants a goodbye all the same.
QUIT_WAIT_S = 2.0
NOT_SET = "SMTP_HOST is not set: e-mail is off"
_TIMES = frozenset(("started_at", "ended_at", "starts_at", "ends_at"))


class MailSender:
    """Sends notices by e-mail; without SMTP_HOST every try fails and says so."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def send(self, notice_id: UUID, parcel: Parcel) -> Outcome:
        """Send a notice; every failure is an outcome."""
        sender = self._settings.smtp_from or ""
        return await deliver(self._settings, message_of(notice_id, parcel, sender))


async def deliver(settings: Settings, message: EmailMessage) -> Outcome:
    """Hand an e-mail to the server within SEND_WAIT_S; every failure is an outcome."""
    begun_at = monotonic()
    if settings.smtp_host is None:
        return Outcome(False, None, NOT_SET, 0.0)
    client = aiosmtplib.SMTP(
        hostname=settings.smtp_host,
        port=settings.smtp_port,
        username=settings.smtp_user,
        password=settings.smtp_password,
        use_tls=settings.smtp_tls == "tls",
        start_tls=settings.smtp_tls == "starttls",
    )
    try:
        # The client's own limit is for each command, of which there are up to ten.
        async with asyncio.timeout(SEND_WAIT_S):
            await client.connect()
            _, answer = await client.send_message(message)
        with suppress(aiosmtplib.SMTPException):
            await client.quit(timeout=QUIT_WAIT_S)
    except (aiosmtplib.SMTPException, OSError, ValueError) as error:
        code = getattr(error, "code", None)
        text = str(error) or type(error).__name__
        return Outcome(False, code, text, (monotonic() - begun_at) * 1e3)
    finally:
        client.close()
    return Outcome(True, 250, answer, (monotonic() - begun_at) * 1e3)


def message_of(notice_id: UUID, parcel: Parcel, sender: str) -> EmailMessage:
    """Return the e-mail in the language of the business; times are in its zone."""
    message = EmailMessage()
    message["From"] = sender
    message["To"] = parcel.target
    language = parcel.language
    subject = subject_of(parcel.type, _about(parcel), language)
    message["Subject"] = one_line(f"{parcel.business}: {subject}")
    message["Date"] = format_datetime(parcel.created_at)
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    message["Message-ID"] = f"<{webhook_id(notice_id)}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"
    lines = [
        f"{field_of(name, language)}: {_value(name, value, parcel)}"
        for name, value in parcel.data.items()
        if value not in (None, "", [], {})
    ]
    message.set_content("\n".join([one_line(subject), "", *lines, ""]))
    message["Content-Language"] = language_of(language)
    return message


def _about(parcel: Parcel) -> str:
    data = parcel.data
    who = data.get("name") or data.get("phone") or data.get("from") or ""
    when = data.get("starts_at", "")
    if when and parcel.type.startswith("appointment."):
        when = _local(when, parcel.time_zone)
        return ", ".join(filter(None, (when, data.get("service"), who)))
    return str(who or data.get("limit") or data.get("call_sid") or "")


def _value(name: str, value: Any, parcel: Parcel) -> str:
    if isinstance(value, dict):
        # The names of a lead's fields are the business's own.
        language = "" if name == "fields" else parcel.language
        parts = (
            f"{field_of(key, language) if language else key}={_value(key, one, parcel)}"
            for key, one in value.items()
        )
        return ", ".join(parts)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return truth_of(value, parcel.language)
    text = _local(value, parcel.time_zone) if name in _TIMES else str(value)
    return one_line(text)


def _local(text: str, zone: str) -> str:
    at = datetime.fromisoformat(text).astimezone(ZoneInfo(zone))
    return at.isoformat(sep=" ", timespec="minutes")
