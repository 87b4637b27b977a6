"""Ending: what one call knows about its own end, and the judge of `end_call`."""

from typing import Literal, NamedTuple

import msgspec

from bridge.call.plan import CallPlan, ToolResult
from bridge.call.streams import CALLER_LOST

END_CALL = "end_call"
LEFT_BY_CALLER = ("caller_hung_up", CALLER_LOST)


class EndCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of `end_call`."""

    reason: Literal["completed", "goodbye", "declined"] = "completed"


class Wish(NamedTuple):
    """An `end_call` that is not decided yet."""

    arguments: str
    response_id: str


class Ending:
    """What one call knows about its own end."""

    def __init__(self, plan: CallPlan) -> None:
        self.missing = plan.missing_fields
        self.reason = ""
        # Why the last words are being said, whoever hangs up in them.
        self.goodbye_reason = ""
        # Nothing that the caller has said can get words any more.
        self.is_written = True
        self.failed = False
        # By the tool call's id; those that the caller has interrupted are `stopped`.
        self.wishes: dict[str, Wish] = {}
        self.stopped: set[str] = set()

    def begin(self, reason: str) -> None:
        """Last words are to be said, for this reason."""
        self.reason = reason

    def finish(self, reason: str, *, is_goodbye_said: bool = False) -> None:
        """The call ends for this reason, perhaps while last words are said."""
        if is_goodbye_said:
            self.goodbye_reason = self.reason
        self.reason = reason

    def fail(self) -> None:
        """The call ends by a failure: the caller is to hear the fallback sentence."""
        self.failed = True

    def await_words(self) -> None:
        """The call is over, but the caller's last words may still be transcribed."""
        self.is_written = False

    def give_up_words(self) -> None:
        """Nobody can transcribe the caller's last words any more."""
        self.is_written = True

    def learn(self, result: ToolResult) -> None:
        """Take from a tool's result which required fields are still missing."""
        if result.missing_fields is not None:
            self.missing = result.missing_fields

    def wish(self, tool_call_id: str, arguments: str, response_id: str) -> None:
        """Take the model's wish to end the call, for `decide` to answer later."""
        self.wishes[tool_call_id] = Wish(arguments, response_id)

    def take_wishes(self) -> dict[str, Wish]:
        """Return the wishes that are to be decided now, and keep none."""
        wishes, self.wishes = self.wishes, {}
        return wishes

    def stop(self) -> None:
        """The caller has interrupted: no wish of before is honoured."""
        self.stopped |= self.wishes.keys()

    def decide(
        self, tool_call_id: str, arguments: str, *, is_stopped: bool = False
    ) -> ToolResult:
        """Answer the model's wish to end the call.

        It is honoured when the business has what it requires, or when the caller said
        goodbye or declined; else the model learns what is missing. Who has stopped the
        response by speaking is not hung up on.
        """
        ok, output = self._judge(arguments, is_stopped)
        return ToolResult(
            tool_call_id=tool_call_id,
            name=END_CALL,
            arguments=arguments,
            output=msgspec.json.encode(output).decode(),
            ok=ok,
            duration_ms=0.0,
        )

    def _judge(
        self, arguments: str, is_stopped: bool
    ) -> tuple[bool, dict[str, object]]:
        if is_stopped:
            return False, {"error": "the caller interrupted: listen first"}
        try:
            asked = msgspec.json.decode(arguments, type=EndCall)
        except msgspec.ValidationError as error:
            return False, {"error": f"end_call: {error}"}
        except msgspec.DecodeError as error:
            return False, {"error": f"end_call: arguments are no JSON: {error}"}
        if asked.reason == "completed" and self.missing:
            missing = list(self.missing)
            return False, {"error": "required fields are missing", "missing": missing}
        self.reason = f"end_call:{asked.reason}"
        return True, {"ok": True}
