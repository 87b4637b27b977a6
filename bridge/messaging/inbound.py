"""A message that came in, as the webhook's form has it: `read_inbound` is pure.

The form is twilio.com/docs/messaging/guides/webhook-request, and signed. What a person
wrote into it is still untrusted: texts are cut to limits, and what a database cannot
hold is replaced. A channel other than WhatsApp is refused.
"""

import unicodedata
from collections.abc import Mapping
from enum import Enum

import msgspec

from bridge.telephony.sids import is_message_sid
from crm import phones

PREFIX = "whatsapp:"
# WhatsApp's own limit of one message.
BODY_CHARS_MAX = 4_096
PROFILE_CHARS_MAX = 128
# WhatsApp has one medium a message, Twilio at most ten.
MEDIA_MAX = 10
MEDIA_URL_CHARS_MAX = 1_024
MEDIA_TYPE_CHARS_MAX = 128
# An id of a list's row or of a button: twilio.com/docs/content/twiliolist-picker.
CHOICE_CHARS_MAX = 200

# A message that is one of these words, and nothing else. CANCEL, END and QUIT, which
# carriers know for SMS, are no words of STOP here: who writes "cancel" to a business
# with a calendar cancels an appointment.
_STOP_WORDS = (
    *("stop", "stopall", "stop all", "unsubscribe", "optout", "opt out", "revoke"),
    *("הסר", "הסירו", "הסר אותי", "הסירו אותי", "הסרה", "עצור", "עצרו", "תפסיקו"),
    *("توقف", "أوقف", "إيقاف", "الغاء الاشتراك", "إلغاء الاشتراك"),
    *("stopp", "abmelden", "abbestellen", "arret", "arrêt", "arrêter", "désabonner"),
    *("parar", "baja", "darme de baja", "cancelar suscripción", "detener"),
    *("descadastrar", "cancelar inscrição", "annulla iscrizione", "disiscrivimi"),
    *("afmelden", "wypisz", "стоп", "отписаться", "відписатися", "dur", "停止", "退订"),
)
# Those of them that people answer a question with, too: "low", "wait", "removal", "call
# off". None of them is a word that Twilio's own list or a law makes STOP.
_ANSWERS = (
    *("baja", "parar", "detener", "dur", "הסרה", "wypisz"),
    *("abmelden", "abbestellen", "afmelden"),
)
_START_WORDS = (
    *("start", "unstop", "subscribe", "optin", "opt in", "resubscribe"),
    *("התחל", "התחילו", "הצטרף", "הצטרפות"),
    *("ابدأ", "ابدا", "اشتراك", "اشترك"),
    *("anmelden", "reprendre", "commencer", "abonner", "comenzar", "alta", "iniciar"),
    *("recomeçar", "inizia", "riprendi", "aanmelden", "старт", "подписаться"),
    *("підписатися", "başla", "başlat", "開始", "订阅"),
)


class Wish(Enum):
    """What a message of one word asks of the channel itself."""

    STOP = "stop"
    START = "start"


class InboundError(ValueError):
    """A form is no message that can be received: `reason` names why, for a counter."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Medium(msgspec.Struct, frozen=True):
    """A picture, a voice note or a file that lies at Twilio."""

    url: str
    content_type: str


class Inbound(msgspec.Struct, frozen=True, kw_only=True):
    """One message; both numbers are E.164, without the channel's prefix.

    `choice` is the id of a row or a button, as the writer's telephone sent it: whether
    it was offered is not known here. `is_cut` where a text was longer than its limit.
    """

    sid: str
    account_sid: str
    writer: str
    own_number: str
    profile_name: str = ""
    body: str = ""
    media: tuple[Medium, ...] = ()
    choice: str = ""
    wish: Wish | None = None
    # The word of STOP may be an answer as well.
    may_answer: bool = False
    is_cut: bool = False


def read_inbound(form: Mapping[str, str]) -> Inbound:
    """Return the message of a webhook's form; raises InboundError."""
    sid = form.get("MessageSid", "")
    if not is_message_sid(sid):
        raise InboundError("sid", f"MessageSid: expected SM or MM and 32 digits: {sid}")
    media = _media(form)
    body = _text(form.get("Body", "")).strip()
    choice = _text(form.get("ListId") or form.get("ButtonPayload") or "")
    is_cut = len(body) > BODY_CHARS_MAX or len(choice) > CHOICE_CHARS_MAX
    body = (body or _place(form))[:BODY_CHARS_MAX]
    return Inbound(
        sid=sid,
        account_sid=form.get("AccountSid", ""),
        writer=_number(form, "From"),
        own_number=_number(form, "To"),
        profile_name=one_space(_text(form.get("ProfileName", "")))[:PROFILE_CHARS_MAX],
        body=body,
        media=media,
        # A longer id is none of ours.
        choice=choice if len(choice) <= CHOICE_CHARS_MAX else "",
        # A template's button may be one: it has an id, which no choice of ours has.
        wish=None if media else wish_of(body),
        may_answer=may_answer(body),
        is_cut=is_cut,
    )


def wish_of(body: str) -> Wish | None:
    """Return what a message asks of the channel; None for any other text."""
    if len(body) > 2 * max(map(len, _WISHES)):
        return None
    return _WISHES.get(_word(body))


def may_answer(body: str) -> bool:
    """Tell whether a message is a word of STOP that may also answer a question."""
    return wish_of(body) is Wish.STOP and _word(body) in _MAY_ANSWER


def one_space(text: str) -> str:
    """Return a text in one line, with single spaces."""
    return " ".join(text.split())


def _number(form: Mapping[str, str], field: str) -> str:
    address = form.get(field, "")
    if not address.lower().startswith(PREFIX):
        channel = address.partition(":")[0] if ":" in address else "sms"
        raise InboundError(
            "channel", f"{field}: expected {PREFIX}+…, got {channel[:16]!r}"
        )
    number = phones.plain(address)
    if not phones.is_e164(number):
        raise InboundError(
            "number",
            f"{field}: expected {PREFIX} and a number in E.164, got {len(address)} "
            "characters of another form",
        )
    return number


def _media(form: Mapping[str, str]) -> tuple[Medium, ...]:
    text = form.get("NumMedia") or "0"
    if not text.isascii() or not text.isdecimal() or len(text) > 2:
        raise InboundError("media", f"NumMedia: expected a number, got {text[:16]!r}")
    found = []
    for index in range(min(int(text), MEDIA_MAX)):
        url = form.get(f"MediaUrl{index}", "")
        kind = form.get(f"MediaContentType{index}", "")
        if not url or len(url) > MEDIA_URL_CHARS_MAX:
            raise InboundError(
                "media", f"MediaUrl{index}: expected a URL, got {len(url)} characters"
            )
        found.append(Medium(_text(url), _text(kind)[:MEDIA_TYPE_CHARS_MAX]))
    return tuple(found)


def _place(form: Mapping[str, str]) -> str:
    """Return a shared location as text: its name, its address, and a geo URI
    (RFC 5870)."""
    latitude, longitude = form.get("Latitude", ""), form.get("Longitude", "")
    if not latitude or not longitude:
        return ""
    named = (form.get("Label", ""), form.get("Address", ""))
    parts = (*named, f"geo:{latitude},{longitude}")
    return "\n".join(_text(part) for part in parts if part)


def _text(text: str) -> str:
    """Return a text that a database can hold."""
    return (
        text.replace("\0", "\N{REPLACEMENT CHARACTER}")
        .encode("utf-8", "replace")
        .decode()
    )


def _word(text: str) -> str:
    """Return a text as words are compared: no marks, no punctuation, no case."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    kept = (
        " " if char.isspace() else char
        for char in plain
        if char.isalnum() or char.isspace()
    )
    return one_space("".join(kept))


_WISHES = {
    **{_word(word): Wish.STOP for word in _STOP_WORDS},
    **{_word(word): Wish.START for word in _START_WORDS},
}
_MAY_ANSWER = frozenset(map(_word, _ANSWERS))
