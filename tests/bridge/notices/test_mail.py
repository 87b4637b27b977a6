"""Notices by e-mail, to a mail server on loopback."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from email import message_from_bytes, policy
from uuid import UUID

import msgspec
import pytest

from bridge.notices import mail
from bridge.notices.languages import LANGUAGES
from bridge.notices.mail import NOT_SET, MailSender, message_of
from bridge.notices.words import subject_of
from bridge.settings.process import Settings
from crm.notice_deliveries import Parcel
from crm.notices import TYPES

ID = UUID(int=7)
BOOKED = Parcel(
    type="appointment.booked",
    data={
        "name": "Ben\r\nBcc: all@example.com",
        "phone": "+15550000001",
        "service": "תספורת",
        "starts_at": "2026-11-30T08:00:00Z",
        "lead_id": None,
        "moved_from": {"id": "x", "starts_at": "2026-11-29T08:00:00Z"},
    },
    created_at=datetime(2026, 11, 29, tzinfo=UTC),
    kind="email",
    target="dana@example.com",
    secret="",
    is_disabled=False,
    business="Dana's Salon",
    time_zone="Asia/Jerusalem",
    language="he",
)


@asynccontextmanager
async def mail_server(refusal="", pause_s=0.0):
    """Yield the settings of a mail server, and what it was handed."""
    letters, ended = [], asyncio.Event()

    async def serve(reader, writer):
        async def say(text):
            await asyncio.sleep(pause_s)
            writer.write(text.encode() + b"\r\n")
            await writer.drain()

        await say("220 here")
        while line := (await reader.readline()).decode().strip().upper():
            if line.startswith("DATA"):
                await say("354 go on")
                letters.append(await reader.readuntil(b"\r\n.\r\n"))
                await say("250 taken")
            elif line.startswith("RCPT") and refusal:
                await say(refusal)
            else:
                await say("221 bye" if line == "QUIT" else "250 fine")
            if line == "QUIT":
                break
        writer.close()
        ended.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        settings = Settings(
            smtp_host="127.0.0.1",
            smtp_port=server.sockets[0].getsockname()[1],
            smtp_tls="none",
            smtp_from="Kolbridge <notices@example.com>",
        )
        yield settings, letters
        await asyncio.wait_for(ended.wait(), 10)


def send(refusal="", parcel=BOOKED, pause_s=0.0):
    async def story():
        async with mail_server(refusal, pause_s) as (settings, letters):
            return await MailSender(settings).send(ID, parcel), letters

    return asyncio.run(story())


def test_notice_arrives_with_times_of_the_business():
    outcome, (letter,) = send()
    message = message_from_bytes(letter, policy=policy.default)

    assert (outcome.is_delivered, outcome.status) == (True, 250)
    assert message["Message-ID"] == f"<msg_{ID.hex}@example.com>"
    assert message["To"] == "dana@example.com"
    assert "2026-11-30 10:00+02:00, תספורת" in " ".join(message["Subject"].split())
    text = message.get_content()
    assert "מתחיל: 2026-11-30 10:00+02:00" in text
    assert "הוזז מ: מספר=x, מתחיל=2026-11-29 10:00+02:00" in text
    assert "פנייה" not in text


@pytest.mark.parametrize(
    ("language", "subject", "line"),
    [
        ("en", "Appointment booked: ", "Phone: +15550000001"),
        ("he", "נקבע תור: ", "טלפון: +15550000001"),
        ("ar", "حُجز موعد: ", "الهاتف: +15550000001"),
        ("fr", "Appointment booked: ", "Phone: +15550000001"),
    ],
)
def test_notice_is_in_the_language_of_the_business_or_english(language, subject, line):
    parcel = msgspec.structs.replace(BOOKED, language=language)
    message = message_of(ID, parcel, "notices@example.com")

    assert message["Content-Language"] == (language if language != "fr" else "en")
    assert subject in message["Subject"]
    assert line in message.get_content()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_notice_has_its_subject_in_every_language(language):
    subjects = {subject_of(one, "X", language) for one in (*TYPES, "test")}

    assert len(subjects) == len(TYPES) + 1
    assert not subjects & set(TYPES)
    english = {subject_of(one, "X", "en") for one in TYPES}
    assert language == "en" or not subjects & english


def test_what_a_business_calls_a_field_stays():
    data = {"fields": {"Allergy": "nuts", "name": "Bo"}, "caller_verified": False}
    parcel = msgspec.structs.replace(BOOKED, type="lead.created", data=data)
    text = message_of(ID, parcel, "notices@example.com").get_content()

    assert "Allergy=nuts, name=Bo" in text
    assert "המספר מוכח: לא" in text


def test_what_a_caller_says_adds_no_header():
    message = message_of(ID, BOOKED, "notices@example.com")

    assert message["Bcc"] is None
    assert "\nBcc" not in message.as_string()


def test_refused_address_is_a_failure_with_its_code():
    outcome, letters = send("550 no such user")

    assert not outcome.is_delivered
    assert "550" in outcome.answer
    assert letters == []


def test_server_that_takes_its_time_at_each_command_is_given_up(monkeypatch):
    monkeypatch.setattr(mail, "SEND_WAIT_S", 0.3)

    outcome, letters = send(pause_s=0.2)

    assert (outcome.is_delivered, outcome.answer) == (False, "TimeoutError")
    assert letters == []


def test_server_that_is_late_with_its_goodbye_has_the_letter(monkeypatch):
    monkeypatch.setattr(mail, "QUIT_WAIT_S", 0.05)

    outcome, letters = send(pause_s=0.1)

    assert outcome.is_delivered
    assert len(letters) == 1


def test_without_a_mail_server_nothing_is_sent():
    outcome = asyncio.run(MailSender(Settings()).send(ID, BOOKED))

    assert (outcome.is_delivered, outcome.answer) == (False, NOT_SET)


def test_mail_server_that_is_away_is_a_failure():
    settings = Settings(smtp_host="127.0.0.1", smtp_port=1, smtp_from="a@b.com")
    outcome = asyncio.run(MailSender(settings).send(ID, BOOKED))

    assert not outcome.is_delivered
