"""TwiML as Twilio reads it: the verbs of a document, and what is wrong with it.

https://www.twilio.com/docs/voice/twiml. The parser knows only what a call of this
project may contain. Everything else is a problem, as is anything Twilio would refuse.
"""

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree

_PARAMETER_CHARS_MAX = 500  # "under 500 characters each"
_ATTRIBUTES: dict[str, frozenset[str]] = {
    "Connect": frozenset(("action", "method")),
    "Stream": frozenset(
        ("url", "name", "track", "statusCallback", "statusCallbackMethod")
    ),
    "Parameter": frozenset(("name", "value")),
    "Say": frozenset(("voice", "language", "loop")),
    "Play": frozenset(("loop", "digits")),
    "Pause": frozenset(("length",)),
    "Hangup": frozenset(),
    "Reject": frozenset(("reason",)),
    "Redirect": frozenset(("method",)),
    "Dial": frozenset(("action", "method", "timeout", "callerId", "timeLimit")),
}
# In UTF-8, by the voice's maker; and in a URL, for every voice (error 13521).
_SAY_BYTES_MAX = {"Polly": 3_000, "Google": 5_000}
_SAY_BYTES_MAX_BASIC = 4_096
_SAY_QUOTED_CHARS_MAX = 4_500
_INSIDE = frozenset(("Stream", "Parameter"))
_XML_TYPES = frozenset(("text/xml", "application/xml"))


class Verb(NamedTuple):
    """One verb: its name, attributes and text."""

    name: str
    attributes: Mapping[str, str]
    text: str


class Stream(NamedTuple):
    """A bidirectional stream, and what follows it."""

    url: str
    parameters: Mapping[str, str]
    status_callback: str | None
    action: str | None


class Document(NamedTuple):
    """A parsed answer; `problems` have Twilio's codes."""

    verbs: list[Verb | Stream]
    problems: list[str]


def parse(body: bytes, content_type: str, allow_ws: bool = False) -> Document:
    """Read a webhook's answer; `allow_ws` accepts `ws://` to loopback."""
    problems: list[str] = []
    if content_type.partition(";")[0].strip() not in _XML_TYPES:
        problems.append(f"12300 invalid Content-Type: {content_type}")
    try:
        root = ElementTree.fromstring(body)
    except ElementTree.ParseError as error:
        return Document([], [*problems, f"12100 document parse failure: {error}"])
    if root.tag != "Response" or root.attrib:
        problems.append("12200 the root must be a plain <Response>")
    verbs: list[Verb | Stream] = []
    for element in root:
        _check_attributes(element, problems)
        if element.tag in _INSIDE:
            problems.append(f"12200 <{element.tag}> is not allowed in <Response>")
        elif element.tag == "Connect":
            verbs += _streams(element, problems, allow_ws)
        else:
            text = (element.text or "").strip()
            if element.tag == "Say":
                _check_say(text, element.get("voice", ""), problems)
            verbs.append(Verb(element.tag, element.attrib, text))
    return Document(verbs, problems)


def _check_attributes(element: ElementTree.Element, problems: list[str]) -> None:
    known = _ATTRIBUTES.get(element.tag)
    if known is None:
        problems.append(f"12200 unknown element <{element.tag}>")
        return
    problems.extend(
        f"12200 attribute {name!r} is not allowed in <{element.tag}>"
        for name in element.attrib
        if name not in known
    )


def _check_say(text: str, voice: str, problems: list[str]) -> None:
    if not text:
        problems.append("13520 <Say>: the text is empty")
    most = _SAY_BYTES_MAX.get(voice.partition(".")[0], _SAY_BYTES_MAX_BASIC)
    if len(text.encode()) > most or len(quote(text, safe="")) > _SAY_QUOTED_CHARS_MAX:
        problems.append(f"13521 <Say>: the text of {len(text)} characters is too long")


def _streams(
    connect: ElementTree.Element, problems: list[str], allow_ws: bool
) -> list[Verb | Stream]:
    found: list[Verb | Stream] = []
    for element in connect:
        _check_attributes(element, problems)
        if element.tag != "Stream":
            problems.append(f"12200 <{element.tag}> is not allowed in <Connect>")
            continue
        url = element.get("url", "")
        _check_url(url, problems, allow_ws)
        track = element.get("track", "inbound_track")
        if track != "inbound_track":
            problems.append(f"31941 a bidirectional stream has no track {track!r}")
        parameters = _parameters(element, problems)
        callback = element.get("statusCallback")
        found.append(Stream(url, parameters, callback, connect.get("action")))
    if len(found) != 1:
        problems.append(f"12200 expected one <Stream> in <Connect>, got {len(found)}")
    return found[:1]


def _check_url(url: str, problems: list[str], allow_ws: bool) -> None:
    parts = urlsplit(url)
    is_local = parts.hostname in ("127.0.0.1", "::1", "localhost")
    if parts.scheme != "wss" and not (allow_ws and is_local and parts.scheme == "ws"):
        problems.append(f"31922 the URL of a stream must be wss://, got {url!r}")
    if parts.query or parts.fragment:
        problems.append(f"31920 the URL of a stream has no query string: {url!r}")


def _parameters(stream: ElementTree.Element, problems: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for element in stream:
        _check_attributes(element, problems)
        if element.tag != "Parameter":
            problems.append(f"12200 <{element.tag}> is not allowed in <Stream>")
            continue
        name, value = element.get("name", ""), element.get("value", "")
        if not name:
            problems.append("12200 a <Parameter> has no name")
        if len(name) + len(value) >= _PARAMETER_CHARS_MAX:
            problems.append(f"31920 parameter {name!r} is 500 characters or longer")
        found[name] = value
    return found
