"""A law, and what it is when it is broken."""


class Broken(AssertionError):
    """A law does not hold."""


def law(holds: bool, text: str, *facts: object) -> None:
    """Raise unless the law holds."""
    if not holds:
        raise Broken(f"{text}: {', '.join(map(str, facts))}" if facts else text)
