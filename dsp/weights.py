"""Weights of a learned score: a line of JSON that says what made them, then floats."""

from pathlib import Path
from typing import Any

import orjson


def read(name: str, size: int) -> tuple[dict[str, Any], bytes]:
    """Return what made the weights of a file of the package, and their `size` bytes.

    Raises ImportError if the weights belong to another net.
    """
    header, _, body = (Path(__file__).parent / name).read_bytes().partition(b"\n")
    if len(body) != size:
        raise ImportError(f"{name}: expected {size} bytes, got {len(body)}")
    return orjson.loads(header), body
