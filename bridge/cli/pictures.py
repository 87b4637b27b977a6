"""Pictures: matplotlib, which is installed only with the extra `analysis`."""

from pathlib import Path
from typing import Any


class NoPicturesError(RuntimeError):
    """matplotlib is missing; the text says how to install it."""


def pyplot() -> Any:
    """Return matplotlib's pyplot, drawing into files; raises NoPicturesError."""
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        text = "pictures need pip install 'kolbridge[analysis]'"
        raise NoPicturesError(text) from None
    return pyplot


def save(figure: Any, path: Path) -> None:
    """Write a figure as a PNG file, and release it."""
    figure.tight_layout()
    figure.savefig(path, dpi=90)
    pyplot().close(figure)
