"""Ending: whether the model may end the call, and why a call ended."""

from typing import Literal

import msgspec

from bridge.plan import CallPlan, ToolResult

END_CALL = "end_call"


class EndCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Arguments of `end_call`."""

    reason: Literal["completed", "goodbye", "declined"] = "completed"


class Ending:
    """What one call knows about its own end."""

    def __init__(self, plan: CallPlan) -> None:
        self._missing = plan.missing_fields
        self.reason = ""
        self.failed = False
        self.has_asked_goodbye = False
        self.has_corrected_loop = False
        self.idle_prompted_at: float | None = None

    def learn(self, result: ToolResult) -> None:
        """Take from a tool's result which required fields are still missing."""
        if result.missing_fields is not None:
            self._missing = result.missing_fields

    def decide(self, tool_call_id: str, arguments: str) -> ToolResult:
        """Answer the model's wish to end the call.

        It is honoured when the business has what it requires, or when the caller said
        goodbye or declined (PRODUCT §2.7); else the model learns what is missing.
        """
        ok, output = self._judge(arguments)
        return ToolResult(
            tool_call_id=tool_call_id,
            name=END_CALL,
            arguments=arguments,
            output=msgspec.json.encode(output).decode(),
            ok=ok,
            duration_ms=0.0,
        )

    def _judge(self, arguments: str) -> tuple[bool, dict[str, object]]:
        try:
            asked = msgspec.json.decode(arguments, type=EndCall)
        except msgspec.ValidationError as error:
            return False, {"error": f"end_call: {error}"}
        except msgspec.DecodeError as error:
            return False, {"error": f"end_call: arguments are no JSON: {error}"}
        if asked.reason == "completed" and self._missing:
            missing = list(self._missing)
            return False, {"error": "required fields are missing", "missing": missing}
        self.reason = f"end_call:{asked.reason}"
        return True, {"ok": True}
