"""Deliberate slow-downs, which the gate must detect (`python -m bench self-test`).

Each module patches the program from outside. It then runs as the service (`serve`), or
as `python -m bench`. The product does not know of them.
"""

import sys
import tempfile
from pathlib import Path

from bench import results


def go_on() -> int:
    """Run the command of the command line; its results stay out of the trend."""
    with tempfile.TemporaryDirectory() as folder:
        results.FOLDER = Path(folder)
        return _run()


def _run() -> int:
    if sys.argv[1:] == ["serve"]:
        from bridge.cli.main import main
    else:
        from bench.__main__ import main
    return main()
