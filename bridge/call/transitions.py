"""The rule for tables of states: an illegal transition raises and changes nothing."""

from collections.abc import Mapping
from enum import Enum
from typing import TypeVar

State = TypeVar("State", bound=Enum)


def follow(
    table: Mapping[State, frozenset[State]], state: State, following: State
) -> State:
    """Return the state that follows; one that the table refuses is a bug of the bridge.

    The owner assigns the return value, and so keeps its state if this raises.
    """
    if following not in table[state]:
        raise AssertionError(f"{state} does not lead to {following}")
    return following
