"""One line of `kolbridge doctor`'s list."""

from typing import NamedTuple


class Check(NamedTuple):
    """One line of the list; `text` is what was found, or what to do."""

    name: str
    ok: bool
    text: str

    def __str__(self) -> str:
        return f"{'✓' if self.ok else '✗'} {self.name}: {self.text}"
