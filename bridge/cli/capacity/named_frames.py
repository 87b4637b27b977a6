"""Frames of audio that hold the time at which they were sent.

The first nine samples of a named frame are almost silent mu-law codes, four bits each:
a kind, and the monotonic clock in us. All processes of a machine read the same clock,
so that caller and model of one call may be in different processes.
"""

from binascii import a2b_base64, b2a_base64
from time import monotonic_ns

UPLINK, DOWNLINK = 1, 2
NAME_CHARS = 12
# What the base64 of a name begins with; other audio must not (see `without_name`).
FIRST_CHAR = b"8"[0]
_CLOCK_BITS = 32
_CLOCK_MASK = (1 << _CLOCK_BITS) - 1
_US_A_MS = 1e3
# The codes of the smallest amplitudes: 0xF0 to 0xFF.
_CODES = bytes(
    0xF0 | int(chr(at), 16) if chr(at) in "0123456789abcdef" else 0 for at in range(256)
)
_LOW_BITS = bytes(b"0123456789abcdef"[at & 0x0F] for at in range(256))
_LOUDER = 0x6F


def name(kind: int) -> bytes:
    """Return the name of a frame that is sent now, in base64."""
    now_us = monotonic_ns() // 1000 & _CLOCK_MASK
    digits = b"%09x" % (kind << _CLOCK_BITS | now_us)
    return b2a_base64(digits.translate(_CODES), newline=False)


def age_ms(chars: bytes, kind: int) -> float | None:
    """Return how old a named frame is; None if this is no name of the kind."""
    codes = a2b_base64(chars)
    if codes[0] != 0xF0 | kind or min(codes) < 0xF0:
        return None
    sent_us = int(codes.translate(_LOW_BITS), 16) & _CLOCK_MASK
    return (monotonic_ns() // 1000 - sent_us & _CLOCK_MASK) / _US_A_MS


def without_name(frame: bytes) -> bytes:
    """Return a frame that cannot be taken for a named one."""
    if frame[0] < 0xF0:
        return frame
    return bytes((frame[0] & _LOUDER,)) + frame[1:]
