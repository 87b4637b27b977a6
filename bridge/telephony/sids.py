"""Twilio's names of things: two letters for the kind, and 32 hexadecimal digits."""

import re

# A name of a call also names files and log lines: "CA" and 32 digits, or a sandbox's.
CALL_SID_CHARS_MAX = 64
_MESSAGE = re.compile(r"(?:SM|MM)[0-9a-f]{32}")


def is_call_sid(text: str) -> bool:
    """Tell whether a text can name a call, and may stand in a file's name."""
    return text.isascii() and text.isalnum() and len(text) <= CALL_SID_CHARS_MAX


def is_message_sid(text: str) -> bool:
    """Tell whether a text names a message: SM, or MM for one with media."""
    return _MESSAGE.fullmatch(text) is not None
