"""A model that serves a business's writers, for the sandbox's Responses API.

It knows nothing but a request: the instructions, what was written and what tools gave.
It asks for a name, and for a number where none is known, finds free times, offers them,
books, moves and cancels, in English and Hebrew, and never offers a time that no tool
gave.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

FIND, CREATE = "calendar_find_slots", "calendar_create_appointment"
CANCEL, MOVE = "calendar_cancel_appointment", "calendar_reschedule_appointment"
UPSERT, TIMES, PERSON = "leads_upsert", "send_times", "ask_for_person"
# Of free times, as many are offered.
_OFFERED_MAX = 5

_WORDS = {
    "book": r"\b(book|appointment|schedule|come in)\b|תור|לקבוע",
    "move": r"\b(move|reschedule|another time|change)\b|להזיז|לדחות|לשנות",
    "cancel": r"\b(cancel|call it off)\b|לבטל|בטלו|ביטול",
    "person": r"\b(person|human|manager|someone)\b|נציג|בן אדם|מנהל",
    "thanks": r"\b(thanks|thank you|bye)\b|תודה|להתראות",
}
_NAME = re.compile(r"(?:my name is|i am|i'm|this is|שמי|קוראים לי)\s+([^,.\n]+)", re.I)
_NUMBER = re.compile(r"\+\d[\d ()-]{6,}\d")
_TIME = re.compile(r"starts_at=([0-9T:+.Z-]+)")
_ORDINALS = {"first": 1, "second": 2, "third": 3, "ראשון": 1, "שני": 2, "שלישי": 3}
_SAYS = {
    "en": {
        "name": "With pleasure. What is your name?",
        "phone": "Thank you. What is your phone number?",
        "offer": "These times are free. Which one suits you?",
        "none": "Sorry, nothing is free on those days. Which other day would suit you?",
        "booked": "You are booked: {when}.",
        "moved": "Your appointment is now {when}.",
        "cancelled": "Your appointment of {when} is cancelled.",
        "failed": "Sorry, that did not work: {why}",
        "person": "A person will answer you here soon.",
        "picture": "Thank you for the picture.",
        "thanks": "You are welcome. See you soon.",
        "help": "How can I help you? I can book, move or cancel an appointment.",
    },
    "he": {
        "name": "בשמחה. מה השם שלך?",
        "phone": "תודה. מה מספר הטלפון שלך?",
        "offer": "אלה השעות הפנויות. מה מתאים לך?",
        "none": "מצטערים, אין שעות פנויות בימים האלה. איזה יום אחר מתאים?",
        "booked": "התור נקבע: {when}.",
        "moved": "התור הועבר: {when}.",
        "cancelled": "התור של {when} בוטל.",
        "failed": "מצטערים, זה לא הצליח: {why}",
        "person": "נציג יענה לך כאן בקרוב.",
        "picture": "תודה על התמונה.",
        "thanks": "בבקשה, להתראות.",
        "help": "איך אפשר לעזור? אפשר לקבוע, להזיז או לבטל תור.",
    },
}


@dataclass(frozen=True)
class Say:
    """A message of the model: the end of its answer."""

    text: str


@dataclass(frozen=True)
class Use:
    """A function call. `arguments` as text is sent as it is, fitting or not."""

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)
    call_id: str = ""

    def encoded(self) -> str:
        """Return the arguments as the wire has them."""
        if isinstance(self.arguments, str):
            return self.arguments
        return msgspec.json.encode(self.arguments).decode()


class _Read:
    """What a request says: who wrote what, and which tools have answered since."""

    def __init__(self, body: Mapping[str, Any]) -> None:
        given = body["input"]
        items = (
            [{"role": "user", "content": given}] if isinstance(given, str) else given
        )
        self.tools = {tool["name"]: tool for tool in body.get("tools", ())}
        self.instructions: str = body.get("instructions") or ""
        self.written: list[str] = []
        self.latest: list[str] = []
        self.asked: str = ""  # the model's last message
        self.results: list[tuple[str, dict[str, Any]]] = []
        self.slots: list[str] = []
        self.has_picture = False
        self.wants_move = False
        self._names: dict[str, str] = {}
        for item in items:
            self._take(item)

    def _take(self, item: Mapping[str, Any]) -> None:
        kind = item.get("type", "message")
        if kind == "function_call":
            self._names[item["call_id"]] = item["name"]
        elif kind == "function_call_output":
            self._take_result(self._names[item["call_id"]], item["output"])
        elif item.get("role") == "user":
            self._take_message(item["content"])
        elif item.get("role") == "assistant":
            self._take_answer(_text(item["content"]))

    def _take_answer(self, words: str) -> None:
        """Take an earlier answer; it may have offered times."""
        self.asked = words
        self.latest, self.results, self.has_picture = [], [], False
        self.slots = _TIME.findall(words)
        self.wants_move &= bool(self.slots)

    def _take_message(self, content: Any) -> None:
        words = _text(content)
        self.latest.append(words)
        self.written.append(words)
        self.results = []
        self.has_picture |= isinstance(content, list) and any(
            part["type"] == "input_image" for part in content
        )
        if _means("move", words):
            self.wants_move = True

    def _take_result(self, name: str, text: str) -> None:
        try:
            result = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError:
            result = {"error": text}
        self.results.append((name, result))
        times = result.get("slots") or result.get("alternatives") or ()
        if times:
            self.slots = [one["starts_at"] for one in times][:_OFFERED_MAX]
        if name in (MOVE, CREATE, CANCEL) and "error" not in result:
            self.wants_move = False

    @property
    def said(self) -> str:
        """All that was written since the last answer."""
        return "\n".join(self.latest)

    @property
    def language(self) -> str:
        """The language of the last message with letters."""
        for words in reversed(self.written):
            if re.search("[\u05d0-\u05ea]", words):
                return "he"
            if re.search("[A-Za-z]{2}", words):
                return "en"
        return "en"

    def use(self, name: str, known: Mapping[str, Any]) -> Use:
        """Return a call with every argument that the tool's schema wants."""
        wanted = self.tools[name]["parameters"]["properties"]
        if "service" in wanted and "service" not in known:
            known = {**known, "service": self._service()}
        if "phone" in wanted:
            known = {**known, "phone": self._phone()}
        if self.tools[name]["strict"]:
            return Use(name, {key: known.get(key) for key in wanted})
        return Use(name, {key: known[key] for key in wanted if known.get(key)})

    def _phone(self) -> str | None:
        """Return the number that the writer gave last, with its country's code."""
        found = _NUMBER.findall("\n".join(self.written))
        return found[-1] if found else None

    def _service(self) -> str | None:
        found = re.search(r"^Services: (.*)$", self.instructions, re.M)
        names = re.findall(r"(?:^|, )([^,(]+?) \(\d+ min", found[1]) if found else []
        whole = " ".join(self.written).lower()
        named = [name for name in names if name.lower() in whole]
        return next(iter((*named, *names)), None)


def answer(body: Mapping[str, Any]) -> list[Say | Use]:
    """Return what the model says to a request."""
    read = _Read(body)
    says = _SAYS[read.language]
    if read.results:
        return _go_on(read, says)
    name = _name(read)
    if (at := _taken(read)) is not None:
        if read.wants_move:
            return [read.use(MOVE, {"new_starts_at": at})]
        return [read.use(CREATE, {"starts_at": at, "name": name})]
    if name is not None or _asks("phone", read.asked):
        return [read.use(UPSERT, {"name": name}), read.use(FIND, {})]
    if _means("person", read.said) and PERSON in read.tools:
        return [read.use(PERSON, {"text": says["person"], "reason": read.said[:200]})]
    if _means("cancel", read.said):
        return [read.use(CANCEL, {})]
    if _means("move", read.said):
        return [read.use(FIND, {})]
    if _means("book", read.said):
        is_known = '"name":' in read.instructions
        return [read.use(FIND, {})] if is_known else [Say(says["name"])]
    if read.has_picture:
        return [Say(says["picture"])]
    return [Say(says["thanks" if _means("thanks", read.said) else "help"])]


def _go_on(read: _Read, says: Mapping[str, str]) -> list[Say | Use]:
    """Return what follows from what the tools have answered."""
    name, result = read.results[-1]
    if any(str(one.get("error", "")).startswith("phone:") for _, one in read.results):
        return [Say(says["phone"])]
    offers = "slots" in result or result.get("alternatives")
    if offers:
        if not read.slots:
            return [Say(says["none"])]
        if TIMES in read.tools and name != TIMES:
            return [read.use(TIMES, {"text": says["offer"], "starts_at": read.slots})]
        return [Say(f"{says['offer']} {', '.join(read.slots)}")]
    if "error" in result:
        return [Say(says["failed"].format(why=result["error"]))]
    for done in ("booked", "moved", "cancelled"):
        if done in result:
            return [Say(says[done].format(when=result[done]["spoken"]))]
    return [Say(says["help"])]


def _name(read: _Read) -> str | None:
    """Return the name that the writer has just given, if they have."""
    if found := _NAME.search(read.said):
        return found[1].strip()
    return read.said.strip() or None if _asks("name", read.asked) else None


def _asks(what: str, words: str) -> bool:
    """Tell whether the model's last message was a question, in any language."""
    return words in {one[what] for one in _SAYS.values()}


def _taken(read: _Read) -> str | None:
    """Return the time that the writer has chosen, of those that were offered."""
    if found := _TIME.search(read.said):
        return found[1]
    if not read.slots:
        return None
    words = read.said.lower()
    for word, number in _ORDINALS.items():
        if word in words and number <= len(read.slots):
            return read.slots[number - 1]
    if (only := words.strip()).isdigit() and 0 < int(only) <= len(read.slots):
        return read.slots[int(only) - 1]
    return None


def _means(what: str, words: str) -> bool:
    return re.search(_WORDS[what], words, re.IGNORECASE) is not None


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts: Sequence[Mapping[str, Any]] = content
    return " ".join(part.get("text", "") for part in parts).strip()
