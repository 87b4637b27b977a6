"""TwiML: the documents that tell Twilio what to do before, during and after a stream.

These are pure functions from values to documents. The XML library escapes everything,
and characters that no document can hold are left out. The verbs are
https://www.twilio.com/docs/voice/twiml.
"""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote
from xml.etree.ElementTree import Element, SubElement, tostring

from bridge.telephony.sentences import ALIASES
from crm.names import writable

CONTENT_TYPE = "text/xml"
# "name plus value together under 500 characters each": twiml/stream, custom parameters.
PARAMETER_CHARS_MAX = 499

# The lowest limit of <Say>'s voices, in bytes of UTF-8, and that of the text in a URL:
# api/errors/13521. Of a longer text Twilio says nothing at all.
SAY_BYTES_MAX = 3_000
SAY_QUOTED_CHARS_MAX = 4_500

# What <Say> needs to speak a language: the locale, and a voice where the default engine
# has none for that language. The key is ISO 639-1, or language and country where the
# country has a voice of its own: twilio.com/docs/voice/twiml/say/text-speech, available
# voices.
_LOCALES: dict[str, tuple[str, str | None]] = {
    "af": ("af-ZA", "Google.af-ZA-Standard-A"),
    "am": ("am-ET", "Google.am-ET-Standard-A"),
    "ar": ("arb", "Polly.Zeina"),
    "bg": ("bg-BG", "Google.bg-BG-Standard-A"),
    "bn": ("bn-IN", "Google.bn-IN-Standard-C"),
    "ca": ("ca-ES", "Google.ca-ES-Standard-A"),
    "cs": ("cs-CZ", "Google.cs-CZ-Standard-A"),
    "cy": ("cy-GB", "Polly.Gwyneth"),
    "da": ("da-DK", None),
    "de": ("de-DE", None),
    "el": ("el-GR", "Google.el-GR-Standard-A"),
    "en": ("en-US", None),
    "es": ("es-ES", None),
    "et": ("et-EE", "Google.et-EE-Chirp3-HD-Aoede"),
    "eu": ("eu-ES", "Google.eu-ES-Standard-A"),
    "fi": ("fi-FI", None),
    "fr": ("fr-FR", None),
    "gl": ("gl-ES", "Google.gl-ES-Standard-A"),
    "gu": ("gu-IN", "Google.gu-IN-Standard-C"),
    "he": ("he-IL", "Google.he-IL-Standard-A"),
    "hi": ("hi-IN", "Polly.Aditi"),
    "hr": ("hr-HR", "Google.hr-HR-Chirp3-HD-Aoede"),
    "hu": ("hu-HU", "Google.hu-HU-Standard-A"),
    "id": ("id-ID", "Google.id-ID-Standard-A"),
    "is": ("is-IS", "Polly.Dora"),
    "it": ("it-IT", None),
    "ja": ("ja-JP", None),
    "kn": ("kn-IN", "Google.kn-IN-Standard-C"),
    "ko": ("ko-KR", None),
    "lt": ("lt-LT", "Google.lt-LT-Standard-A"),
    "lv": ("lv-LV", "Google.lv-LV-Standard-A"),
    "ml": ("ml-IN", "Google.ml-IN-Wavenet-C"),
    "mr": ("mr-IN", "Google.mr-IN-Standard-A"),
    "ms": ("ms-MY", "Google.ms-MY-Standard-A"),
    "nb": ("nb-NO", None),
    "nl": ("nl-NL", None),
    "pa": ("pa-IN", "Google.pa-IN-Standard-A"),
    "pl": ("pl-PL", None),
    "pt": ("pt-BR", None),
    "ro": ("ro-RO", "Polly.Carmen"),
    "ru": ("ru-RU", None),
    "sk": ("sk-SK", "Google.sk-SK-Standard-A"),
    "sr": ("sr-RS", "Google.sr-RS-Standard-A"),
    "sv": ("sv-SE", None),
    "ta": ("ta-IN", "Google.ta-IN-Standard-C"),
    "te": ("te-IN", "Google.te-IN-Standard-A"),
    "th": ("th-TH", "Google.th-TH-Standard-A"),
    "tl": ("fil-PH", "Google.fil-PH-Standard-A"),
    "tr": ("tr-TR", "Polly.Filiz"),
    "uk": ("uk-UA", "Google.uk-UA-Standard-A"),
    "ur": ("ur-IN", "Google.ur-IN-Standard-A"),
    "vi": ("vi-VN", "Google.vi-VN-Standard-A"),
    "zh": ("cmn-CN", "Polly.Zhiyu"),
    "ar-AE": ("ar-AE", "Polly.Hala-Neural"),
    "de-AT": ("de-AT", "Polly.Hannah-Neural"),
    "en-AU": ("en-AU", None),
    "en-CA": ("en-CA", None),
    "en-GB": ("en-GB", None),
    "en-IE": ("en-IE", "Polly.Niamh-Neural"),
    "en-IN": ("en-IN", None),
    "en-NZ": ("en-NZ", "Polly.Aria-Neural"),
    "en-SG": ("en-SG", "Polly.Jasmine-Neural"),
    "en-ZA": ("en-ZA", "Polly.Ayanda-Neural"),
    "es-MX": ("es-MX", None),
    "es-US": ("es-US", "Polly.Lupe"),
    "fr-BE": ("fr-BE", "Polly.Isabelle-Neural"),
    "fr-CA": ("fr-CA", None),
    "nl-BE": ("nl-BE", "Google.nl-BE-Standard-A"),
    "pt-PT": ("pt-PT", None),
    "zh-HK": ("yue-HK", "Google.yue-HK-Standard-A"),
    "zh-TW": ("cmn-TW", "Google.cmn-TW-Standard-A"),
}
_NOT_IN_SERVICE = "The number you have dialed is not in service."


class Sentence(NamedTuple):
    """A sentence that Twilio says in its own voice.

    `language` is an ISO 639-1 code, or the tag that `tag_of` makes of it and a country.
    """

    text: str
    language: str


class StreamUrls(NamedTuple):
    """The URLs that Twilio uses: for the stream, for what follows, for its status.

    `again` is asked where the stream cannot be opened; "" if nobody is.
    """

    media: str
    after: str
    status: str
    again: str = ""


def tag_of(language: str, country: str) -> str:
    """Return the tag of a language as it is spoken in a country, by ISO codes.

    The tag is the language alone, unless Twilio has a voice for that country.
    """
    language = ALIASES.get(language, language)
    tag = f"{language}-{country}"
    return tag if tag in _LOCALES else language


def connect_stream(
    urls: StreamUrls, parameters: Mapping[str, str], fallback: Sentence
) -> bytes:
    """Return the document that opens the stream.

    If that fails, Twilio asks `urls.again`, or else says `fallback`.
    """
    response = Element("Response")
    connect = SubElement(response, "Connect", action=urls.after, method="POST")
    stream = SubElement(
        connect,
        "Stream",
        url=urls.media,
        statusCallback=urls.status,
        statusCallbackMethod="POST",
    )
    for name, value in parameters.items():
        kept = writable(value)[: PARAMETER_CHARS_MAX - len(name)]
        SubElement(stream, "Parameter", name=name, value=kept)
    if urls.again:
        SubElement(response, "Redirect", method="POST").text = urls.again
    else:
        _say(response, fallback)
    return _document(response)


def ask_again(url: str) -> bytes:
    """Return the document that lets Twilio ask another URL for the call's document."""
    response = Element("Response")
    SubElement(response, "Redirect", method="POST").text = url
    return _document(response)


def say_and_hang_up(sentence: Sentence) -> bytes:
    """Return the document for a call that the service cannot take."""
    response = Element("Response")
    _say(response, sentence)
    SubElement(response, "Hangup")
    return _document(response)


def not_in_service() -> bytes:
    """Return the document for a number that belongs to no business."""
    return say_and_hang_up(Sentence(_NOT_IN_SERVICE, "en"))


def hang_up() -> bytes:
    """Return the document for a call that has ended well."""
    response = Element("Response")
    SubElement(response, "Hangup")
    return _document(response)


def no_message() -> bytes:
    """Return the document that answers a message with nothing: its reply comes by
    itself."""
    return _document(Element("Response"))


def _say(parent: Element, sentence: Sentence) -> None:
    language, _, _ = sentence.language.partition("-")
    known = _LOCALES.get(sentence.language) or _LOCALES.get(language)
    locale, voice = known or (None, None)
    say = SubElement(parent, "Say")
    if locale is not None:
        say.set("language", locale)
    if voice is not None:
        say.set("voice", voice)
    say.text = _sayable(writable(sentence.text))


def _sayable(text: str) -> str:
    """Return a text, or as many of its words as Twilio says."""
    kept = text[:SAY_BYTES_MAX]
    while (
        len(kept.encode()) > SAY_BYTES_MAX
        or len(quote(kept, safe="")) > SAY_QUOTED_CHARS_MAX
    ):
        kept = kept[: len(kept) * 9 // 10]
    return kept if kept == text else kept.rpartition(" ")[0] or kept


def _document(response: Element) -> bytes:
    document: bytes = tostring(response, encoding="UTF-8", xml_declaration=True)
    return document
