"""How the tests look at an owner's table of states."""

from collections.abc import Callable
from typing import Any

import pytest

from bridge.call.timers import Timer


def snapshot(what: Any) -> Any:
    """Return the whole state of an owner, as plain values that can be compared."""
    if isinstance(what, dict):
        return {key: snapshot(value) for key, value in what.items()}
    names = getattr(type(what), "__slots__", None) or getattr(what, "__dict__", ())
    if not type(what).__module__.startswith("bridge.") or isinstance(what, Timer):
        return repr(what)
    return {name: snapshot(getattr(what, name)) for name in names} or repr(what)


def refuses(owner: Any, step: Callable[[], object]) -> None:
    """Check that a step is illegal: it raises, and nothing has changed."""
    before = snapshot(owner)
    with pytest.raises(AssertionError, match="does not lead to"):
        step()
    assert snapshot(owner) == before
