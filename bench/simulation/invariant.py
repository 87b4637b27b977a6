"""An invariant, and the error for a broken one."""


class Broken(AssertionError):
    """An invariant does not hold."""


def check(holds: bool, text: str, *facts: object) -> None:
    """Raise unless the invariant holds."""
    if not holds:
        raise Broken(f"{text}: {', '.join(map(str, facts))}" if facts else text)
