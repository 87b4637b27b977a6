"""TwiML: what Twilio is told to do before, beside and after the stream.

Pure functions from values to documents; everything is escaped by the XML library. The
verbs are https://www.twilio.com/docs/voice/twiml.
"""

from collections.abc import Mapping
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

CONTENT_TYPE = "text/xml"
# "name plus value together under 500 characters each": twiml/stream, custom parameters.
PARAMETER_CHARS_MAX = 499

# What <Say> needs to speak a language: its locale, and a voice where the default
# engine has none for it.
_LOCALES = {
    "ar": ("arb", "Polly.Zeina"),
    "de": ("de-DE", None),
    "en": ("en-US", None),
    "es": ("es-ES", None),
    "fr": ("fr-FR", None),
    "he": ("he-IL", "Google.he-IL-Standard-A"),
    "it": ("it-IT", None),
    "pt": ("pt-BR", None),
    "ru": ("ru-RU", None),
}
_NOT_IN_SERVICE = "The number you have dialed is not in service."


class Sentence(NamedTuple):
    """Something Twilio says in its own voice; `language` as in ISO 639-1."""

    text: str
    language: str


class StreamUrls(NamedTuple):
    """Where Twilio finds us: the stream, what comes after it, and its status."""

    media: str
    after: str
    status: str


def connect_stream(
    urls: StreamUrls, parameters: Mapping[str, str], fallback: Sentence
) -> bytes:
    """Return the document that opens the stream; `fallback` is spoken if it cannot."""
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
        kept = value[: PARAMETER_CHARS_MAX - len(name)]
        SubElement(stream, "Parameter", name=name, value=kept)
    _say(response, fallback)
    return _document(response)


def say_and_hang_up(sentence: Sentence) -> bytes:
    """Return the document for a call that we cannot serve."""
    response = Element("Response")
    _say(response, sentence)
    SubElement(response, "Hangup")
    return _document(response)


def not_in_service() -> bytes:
    """Return the document for a number that no business has."""
    return say_and_hang_up(Sentence(_NOT_IN_SERVICE, "en"))


def hang_up() -> bytes:
    """Return the document for a call that has ended well."""
    response = Element("Response")
    SubElement(response, "Hangup")
    return _document(response)


def _say(parent: Element, sentence: Sentence) -> None:
    locale, voice = _LOCALES.get(sentence.language, (None, None))
    say = SubElement(parent, "Say")
    if locale is not None:
        say.set("language", locale)
    if voice is not None:
        say.set("voice", voice)
    say.text = sentence.text


def _document(response: Element) -> bytes:
    document: bytes = tostring(response, encoding="UTF-8", xml_declaration=True)
    return document
