"""One line of `kolbridge doctor`'s list."""

from typing import NamedTuple


class Check(NamedTuple):
    """One line of the list; `text` says what was found, or what to do.

    A check that `warns` is no fault yet: the service can take calls.
    """

    name: str
    ok: bool
    text: str
    warns: bool = False

    def __str__(self) -> str:
        mark = "✗" if not self.ok else "!" if self.warns else "✓"
        return f"{mark} {self.name}: {self.text}"


def warning(name: str, text: str) -> Check:
    """Return a line that is no fault but should be read."""
    return Check(name, True, text, warns=True)
