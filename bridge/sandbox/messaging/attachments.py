"""Files that a writer sends: a voice note and a picture, small and the same each time.

The voice note is `clips/voice-note-en.ogg`, made by `scripts/write_voice_note.py` from
the clip `caller-en-1`: Opus in Ogg, as WhatsApp records it. Its words are that clip's.
"""

from __future__ import annotations

import struct
import zlib
from functools import cache
from importlib.resources import files

from bridge.sandbox.clips import clip

VOICE_TYPE = "audio/ogg; codecs=opus"
VOICE_WORDS = clip("caller-en-1").transcript
PICTURE_TYPE = "image/png"
_SIDE = 64


@cache
def voice_note() -> bytes:
    """Return a voice note of four seconds."""
    return (files("bridge.sandbox") / "clips" / "voice-note-en.ogg").read_bytes()


@cache
def picture() -> bytes:
    """Return a PNG of 64 by 64 pixels: a red square on white."""
    white, red = b"\xff\xff\xff", b"\xd0\x20\x20"
    edge, middle = range(_SIDE // 4), _SIDE // 2
    rows = b""
    for y in range(_SIDE):
        is_inside = len(edge) <= y < _SIDE - len(edge)
        side = white * len(edge)
        rows += b"\0" + side + (red if is_inside else white) * middle + side
    header = struct.pack(">IIBBBBB", _SIDE, _SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    check = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)
