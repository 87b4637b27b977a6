from collections.abc import Iterable, Sequence
from typing import Any

ABOUT: dict[str, Any]
DOUBLE_TALK_ABOUT: dict[str, Any]

def scores(features: Iterable[Sequence[float]]) -> list[tuple[float, float]]: ...
