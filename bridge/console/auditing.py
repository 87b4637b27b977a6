"""Writes down who saw or changed what, from a page's request."""

from typing import Any

from aiohttp import web

from bridge.console.console import BUSINESS, CONSOLE, VIEWER
from crm import audit as audit_log


async def audit(
    request: web.Request, action: str, subject: object = "", **details: Any
) -> None:
    """Write an act of the viewer into the log of the request's business.

    `subject` is an id. Names, numbers and words of callers must not stand in `details`:
    the log outlives them.
    """
    viewer = request[VIEWER]
    await audit_log.write(
        request.config_dict[CONSOLE].database,
        request[BUSINESS].id,
        viewer.user_id,
        viewer.name,
        action,
        str(subject),
        details,
    )
