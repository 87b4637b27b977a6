"""What the model of the sandbox says: scripted turns, and the faults it is given.

A turn is a list of outputs, or a function from the session to one, so that it can look
at the instructions or at what the caller did.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bridge.sandbox.clips import clip

if TYPE_CHECKING:
    from bridge.sandbox.session import Session


@dataclass(frozen=True)
class Reply:
    """One spoken message: mu-law audio and its words; `more` are further parts.

    With `is_text` the model answers in text though speech was requested, as real models
    were reported to do.
    """

    audio: bytes
    transcript: str
    more: tuple[Reply, ...] = ()
    is_text: bool = False

    @classmethod
    def clip(cls, name: str, transcript: str | None = None) -> Reply:
        """Return the packaged recording `name` as a message."""
        recorded = clip(name)
        words = recorded.transcript if transcript is None else transcript
        return cls(recorded.audio, words)


@dataclass(frozen=True)
class ToolUse:
    """One function call; it is left out if the request forbids tools.

    A function call without a name cannot be answered.
    """

    name: str | None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Fail:
    """The response ends as failed with this error."""

    code: str
    message: str = "The server had an error while processing your request."
    kind: str = "server_error"


@dataclass(frozen=True)
class Incomplete:
    """The response ends early: `content_filter`, or `max_output_tokens`."""

    reason: str = "content_filter"


@dataclass(frozen=True)
class ErrorOnly:
    """An `error` without any id comes, and nothing more of the response."""

    code: str | None = None
    kind: str = "server_error"


@dataclass(frozen=True)
class Stall:
    """No event comes for this long; None means until the response is cancelled."""

    seconds: float | None = None


@dataclass(frozen=True)
class Drop:
    """The socket is cut without a close, or closed with this code."""

    code: int | None = None


Output = Reply | ToolUse | Fail | Incomplete | ErrorOnly | Stall | Drop
Turn = Sequence[Output] | Callable[["Session"], Sequence[Output]]


@dataclass(frozen=True)
class Faults:
    """The faults of a session from its start."""

    handshake_status: int | None = None  # answer the upgrade with this HTTP status
    no_session_created: bool = False
    fatal_error: str | None = None  # this code instead of session.created, then close
    refuse_update: str | None = None  # refuse every session.update with this code
    ignore_update: bool = False
    ignore_responses: bool = False  # never answer anything
    no_response_created: bool = False  # responses begin unannounced
    unknown_events: bool = False  # mix in types and fields no client knows yet
    no_usage: bool = False


@dataclass(frozen=True)
class Script:
    """What one session says and hears.

    Each answer to the caller takes the next of `turns`, and `otherwise` after the last.
    `greeting` answers the first request for verbatim speech, with the requested words.
    """

    turns: Sequence[Turn] = ()
    greeting: Turn = (Reply.clip("ai-en-greeting"),)
    otherwise: Turn = (Reply.clip("ai-en-booked"),)
    aside: Turn = (Reply.clip("ai-en-booked"),)  # requests with their own instructions
    # The transcript of the caller, item by item; None: transcription failed.
    caller_says: Sequence[str | None] = ()
    faults: Faults = Faults()

    def choose(self, session: Session, request: Mapping[str, Any]) -> list[Output]:
        """Return what to say to one request for a response."""
        wanted = verbatim_text(request.get("instructions", ""))
        if wanted is not None:
            turn = self.aside if session.has_greeted else self.greeting
            session.has_greeted = True
            return [_worded(output, wanted) for output in _outputs(turn, session)]
        if request.get("conversation") == "none" or "instructions" in request:
            return _outputs(self.aside, session)
        number = session.turns_taken
        session.turns_taken += 1
        turn = self.turns[number] if number < len(self.turns) else self.otherwise
        return _outputs(turn, session)

    def caller_said(self, number: int) -> str | None:
        """Return the words of the caller's turn `number`, from 0."""
        if number < len(self.caller_says):
            return self.caller_says[number]
        return f"Caller turn {number + 1}."


def _outputs(turn: Turn, session: Session) -> list[Output]:
    return list(turn(session) if callable(turn) else turn)


def _worded(output: Output, words: str) -> Output:
    return replace(output, transcript=words) if isinstance(output, Reply) else output


def verbatim_text(instructions: str) -> str | None:
    """Return the words that "Say exactly the following: …" asks for, else None."""
    if not re.match(r"say exactly\b", instructions, re.IGNORECASE):
        return None
    _, colon, words = instructions.partition(":")
    return words.strip() if colon else None


def plain_script(language: str = "en") -> Script:
    """Return a script that greets and then answers every turn with a recording."""
    says = ("1", "2", "interrupts", "goodbye")
    return Script(
        turns=([Reply.clip(f"ai-{language}-offer")],),
        greeting=[Reply.clip(f"ai-{language}-greeting")],
        otherwise=[Reply.clip(f"ai-{language}-booked")],
        aside=[Reply.clip(f"ai-{language}-booked")],
        caller_says=[clip(f"caller-{language}-{name}").transcript for name in says],
    )


def by_language(scripts: Mapping[str, Script]) -> Callable[[Session], Script]:
    """Return a choice of script by the language a session is configured for."""

    def choose(session: Session) -> Script:
        return scripts.get(session.language, next(iter(scripts.values())))

    return choose
