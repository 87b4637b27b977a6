"""Runs `kolbridge doctor` beside the service, and keeps what it says.

The doctor is a process of its own with the lowest priority, so that its calls take no
time from the audio of real ones.
"""

import asyncio
import subprocess
import sys

from bridge.telemetry.log import server_logger

# One call to each business takes the doctor some seconds.
DOCTOR_S_MAX = 600.0
LINES_MAX = 2_000
TEXT_CHARS_MAX = 1_000
_COMMAND = (
    "import os, sys; os.nice(19); from bridge.cli.main import main; "
    "sys.exit(main(['doctor']))"
)
_MARKS = {"✓": "ok", "!": "warning", "✗": "fault"}

Line = tuple[str, str, str]


async def run_doctor(command: str = _COMMAND) -> list[Line]:
    """Return the lines of a run: mark, name and text; a run that fails is a line."""
    # A thread starts it: the event loop's own way copies the process first.
    process = await asyncio.to_thread(_start, command)
    try:
        async with asyncio.timeout(DOCTOR_S_MAX):
            out, errors = await asyncio.to_thread(process.communicate)
    except TimeoutError:
        return [("fault", "doctor", f"gave no answer within {DOCTOR_S_MAX:.0f} s")]
    finally:
        if process.poll() is None:
            process.kill()
    lines = read_lines(out)
    if not lines:
        server_logger().error("doctor said nothing: %s", errors[-500:])
        return [("fault", "doctor", f"it ended with code {process.returncode}")]
    return lines


def _start(command: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        env=None,
    )


def read_lines(text: str) -> list[Line]:
    """Return the lines of the doctor's list; others are left out."""
    found = []
    for line in text.splitlines()[:LINES_MAX]:
        mark, _, rest = line.partition(" ")
        name, colon, what = rest.partition(": ")
        if mark in _MARKS and colon:
            found.append((_MARKS[mark], name, what[:TEXT_CHARS_MAX]))
    return found
