"""Why a socket to the model could not be opened, from the error that was raised.

An HTTP answer gives the reason by its status, by `Retry-After` in seconds, and by the
code of the error in its body. Any other error gives the reason by its own text.
"""

import msgspec

from bridge.call.plan import Refusal
from bridge.realtime.openai_events import ErrorBody

# An error's body has a few hundred bytes; a proxy's page may be any size.
BODY_BYTES_MAX = 16_384


class _Body(msgspec.Struct):
    error: ErrorBody


def refusal_of(error: Exception) -> Refusal:
    """Return the refusal that a call is told of, from an error of opening a socket."""
    response = getattr(error, "response", None)
    if response is None:
        is_late = isinstance(error, TimeoutError)
        return Refusal(reason="timed out" if is_late else _text(error))
    body = _error_in(getattr(error, "raw_body", None))
    names = tuple(name for name in (body.code, body.type) if name)
    status = int(response.status)
    return Refusal(
        reason=f"HTTP {status}{f' {names[0]}' if names else ''}",
        status=status,
        retry_after_s=_seconds(response.headers.get("Retry-After", "")),
        names=names,
    )


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _seconds(value: str) -> float:
    """Return a pause that is given in seconds; 0.0 for a date, which no call reads."""
    digits = value.strip()
    is_number = digits.isascii() and digits.isdecimal() and len(digits) < 10
    return float(digits) if is_number else 0.0


def _error_in(body: bytes | None) -> ErrorBody:
    if not body or len(body) > BODY_BYTES_MAX:
        return ErrorBody()
    try:
        return msgspec.json.decode(body, type=_Body).error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ErrorBody()
