"""Deliberate slow-downs, to show that the gate sees them (`python -m bench self-test`).

Each module patches the program from outside and goes on as the service, when it is told
to `serve`, or as `python -m bench`. Nothing of the product knows of them.
"""

import sys
import tempfile
from pathlib import Path

from bench import results


def go_on() -> int:
    """Run what the command line names; no trend is to see its results."""
    with tempfile.TemporaryDirectory() as folder:
        results.FOLDER = Path(folder)
        return _run()


def _run() -> int:
    if sys.argv[1:] == ["serve"]:
        from bridge.cli.main import main
    else:
        from bench.__main__ import main
    return main()
