"""Ending: what one call knows about its own end, and whether `end_call` is granted."""

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
    """The owner of what one call knows about its own end."""

    def __init__(self, plan: CallPlan) -> None:
        self.missing = plan.missing_fields
        self.reason = ""
        # Why last words were said, also where the caller hung up during them.
        self.goodbye_reason = ""
        # No transcript of the caller can come any more.
        self.is_written = True
        self.failed = False
        # By the tool call's id; those that the caller has interrupted are `stopped`.
        self.wishes: dict[str, Wish] = {}
        self.stopped: set[str] = set()

    def begin(self, reason: str) -> None:
        """Note why last words are to be said."""
        self.reason = reason

    def finish(self, reason: str, *, is_goodbye_said: bool = False) -> None:
        """Note why the call ends, perhaps while last words are said."""
        if is_goodbye_said:
            self.goodbye_reason = self.reason
        self.reason = reason

    def fail(self) -> None:
        """Note a failure: the caller is to hear the fallback sentence."""
        self.failed = True

    def await_words(self) -> None:
        """Note that transcripts of the caller may come after the end."""
        self.is_written = False

    def give_up_words(self) -> None:
        """Note that no transcript of the caller can come any more."""
        self.is_written = True

    def learn(self, result: ToolResult) -> None:
        """Note which required fields are still missing after a tool's result."""
        if result.missing_fields is not None:
            self.missing = result.missing_fields

    def wish(self, tool_call_id: str, arguments: str, response_id: str) -> None:
        """Keep the model's wish to end the call until `decide` answers it."""
        self.wishes[tool_call_id] = Wish(arguments, response_id)

    def take_wishes(self) -> dict[str, Wish]:
        """Return the wishes that are to be decided now, and keep none."""
        wishes, self.wishes = self.wishes, {}
        return wishes

    def stop(self) -> None:
        """Refuse all wishes until now: the caller has interrupted."""
        self.stopped |= self.wishes.keys()

    def decide(
        self,
        tool_call_id: str,
        arguments: str,
        *,
        is_stopped: bool = False,
        failed: tuple[str, ...] = (),
    ) -> ToolResult:
        """Answer the model's wish to end the call.

        The wish is granted when the business has what it requires, or when the caller
        said goodbye or declined; else the model is told what is missing. A caller who
        has interrupted the response is not hung up on, nor is one who does not know yet
        that tools have `failed`.
        """
        ok, output = self._judge(arguments, is_stopped, failed)
        return ToolResult(
            tool_call_id=tool_call_id,
            name=END_CALL,
            arguments=arguments,
            output=msgspec.json.encode(output).decode(),
            ok=ok,
            duration_ms=0.0,
        )

    def _judge(
        self, arguments: str, is_stopped: bool, failed: tuple[str, ...]
    ) -> tuple[bool, dict[str, object]]:
        if is_stopped:
            return False, {"error": "the caller interrupted: listen first"}
        if failed:
            names = ", ".join(dict.fromkeys(failed))
            error = f"{names} failed, which the caller does not know: tell them first"
            return False, {"error": error}
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
