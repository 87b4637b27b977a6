"""Writes a list as CSV while it is read, as spreadsheets open it.

A cell that begins like a formula gets an apostrophe in front: a caller decides what
their name and their words are, and a spreadsheet would compute them.
"""

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence

from aiohttp import web

# OWASP, "CSV Injection": what spreadsheets take for the beginning of a formula.
_FORMULA = (
    "=",
    "+",
    "-",
    "@",
    "\t",
    "\r",
    "\n",
    "\uff1d",
    "\uff0b",
    "\uff0d",
    "\uff20",
)
# Excel reads UTF-8 only behind this mark.
_MARK = "\ufeff"
# Rows that are written at once: a fraction of a ms.
_ROWS_AT_ONCE = 50


def cell(value: object) -> str:
    """Return the text of a cell, which no spreadsheet computes."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def lines(rows: Iterable[Sequence[object]]) -> bytes:
    """Return rows as lines of CSV."""
    out = io.StringIO()
    csv.writer(out).writerows([cell(value) for value in row] for row in rows)
    return out.getvalue().encode("utf-8", "replace")


async def answer(
    request: web.Request,
    name: str,
    head: Sequence[str],
    rows: AsyncIterator[Sequence[object]],
) -> web.StreamResponse:
    """Send a file of this name, row by row; return the whole answer."""
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/csv; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{name}"',
            "Cache-Control": "no-store",
        }
    )
    await response.prepare(request)
    await response.write(_MARK.encode() + lines([head]))
    waiting: list[Sequence[object]] = []
    async for row in rows:
        waiting.append(row)
        if len(waiting) >= _ROWS_AT_ONCE:
            await response.write(lines(waiting))
            waiting = []
    await response.write(lines(waiting))
    await response.write_eof()
    return response
