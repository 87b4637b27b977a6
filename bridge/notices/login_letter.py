"""The e-mail with a link that logs in once, in the language of the business."""

from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid, parseaddr
from typing import NamedTuple
from zoneinfo import ZoneInfo

from bridge.notices.languages import language_of
from bridge.telemetry.masking import one_line


class LoginLetter(NamedTuple):
    """What the e-mail says; `where` is the business, or the service itself."""

    login: str
    name: str
    invited_by: str
    where: str
    link: str
    until: datetime
    time_zone: str
    language: str


_SUBJECTS = {
    "en": "{where}: your login",
    "he": "{where}: הכניסה שלך",
    "ar": "{where}: رابط دخولك",
}
_TEXTS = {
    "en": (
        "Hello {name},",
        "{invited_by} has opened the console of {where} to you. "
        "Your login name is {login}.",
        "Log in with this link:",
        "The link works once, until {until}. "
        "Choose a password on the page Account afterwards.",
        "If you did not expect this message, do nothing.",
    ),
    "he": (
        "שלום {name},",
        "{invited_by} פתח/ה בפניך את לוח הבקרה של {where}. שם המשתמש שלך הוא {login}.",
        "הכניסה היא בקישור הזה:",
        "הקישור פועל פעם אחת, עד {until}. לאחר מכן יש לבחור סיסמה בדף החשבון.",
        "אם לא ציפית להודעה הזו, אין צורך לעשות דבר.",
    ),
    "ar": (
        "مرحبًا {name}،",
        "أتاح لك {invited_by} الدخول إلى لوحة التحكم الخاصة بـ {where}. "
        "اسم المستخدم الخاص بك هو {login}.",
        "سجّل الدخول عبر هذا الرابط:",
        "يعمل الرابط مرة واحدة، حتى {until}. اختر بعد ذلك كلمة مرور في صفحة الحساب.",
        "إذا لم تكن تتوقع هذه الرسالة، فلا تفعل شيئًا.",
    ),
}


def message_of(letter: LoginLetter, sender: str) -> EmailMessage:
    """Return the e-mail; its time is in the business's zone."""
    language = language_of(letter.language)
    until = letter.until.astimezone(ZoneInfo(letter.time_zone))
    values = {
        "name": one_line(letter.name),
        "invited_by": one_line(letter.invited_by),
        "where": one_line(letter.where),
        "login": letter.login,
        "until": until.strftime("%Y-%m-%d %H:%M %z"),
    }
    hello, opened, log_in, once, unexpected = (
        line.format(**values) for line in _TEXTS[language]
    )
    message = EmailMessage()
    message["From"] = sender
    message["To"] = letter.login
    message["Subject"] = _SUBJECTS[language].format(**values)
    message["Date"] = format_datetime(datetime.now(UTC))
    domain = parseaddr(sender)[1].rpartition("@")[2] or "localhost"
    message["Message-ID"] = make_msgid(domain=domain)
    message["Auto-Submitted"] = "auto-generated"
    lines = (hello, "", opened, "", log_in, letter.link, "", once, "", unexpected, "")
    message.set_content("\n".join(lines))
    message["Content-Language"] = language
    return message
