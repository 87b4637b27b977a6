"""What a scene is: a measurement of the gate, and the figures that it gives."""

from collections.abc import Callable
from typing import NamedTuple

from bench.gate.scene_sounds import Mask, Sounds
from bridge.settings.options import CallOptions


class Figure(NamedTuple):
    """A figure's unit, what it must be, what it should be, and its tolerance.

    The tolerance is in the figure's unit, about the effect of a change in the last bit
    of a sum. Without a bar the figure is compared with the recorded one alone.
    """

    unit: str
    must: float | None
    aim: float | None
    tolerance: float
    is_more_better: bool = False

    def is_worse(self, found: float, than: float) -> bool:
        """Tell whether a value is worse than another beyond the tolerance."""
        lost = than - found if self.is_more_better else found - than
        return not lost <= self.tolerance  # not a number is worse, too


class Found(NamedTuple):
    """A scene's values by figure, and what a reader may want to know beside them."""

    values: dict[str, float]
    remarks: dict[str, str]


# Returns for each frame of a caller's side whether it is sent.
Hears = Callable[[bytes], Mask]


class Scene(NamedTuple):
    """A scene: its figures by name, and the function that measures them all.

    `listens` measures any gate, also a rival; None if the scene needs the whole core.
    """

    figures: dict[str, Figure]
    measure: Callable[[Sounds, CallOptions], Found]
    listens: Callable[[Sounds, Hears], Found] | None = None
