"""Mounts the console on the service's port, where it is installed and wanted."""

from aiohttp import web

from bridge.settings.process import Settings
from bridge.telemetry.log import server_logger
from bridge.telemetry.metrics import Metrics
from crm.database import Database

PREFIX = "/console/"
# The console's part of the connections to the database: the calls keep the others.
DATABASE_SHARE = 0.3


def add_console(
    application: web.Application,
    settings: Settings,
    database: Database,
    metrics: Metrics,
    public_url: str,
) -> None:
    """Add the console to the application of the public port, before it starts.

    Without the extra `console` the service takes calls as always.
    """
    if not settings.console:
        return
    try:
        from bridge.console.application import console_application
        from bridge.console.console import Console
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("bridge"):
            raise
        server_logger().info(
            "there is no console: %s is not installed (pip install kolbridge[console])",
            error.name,
        )
        return
    share = database.share(max(1, round(settings.database_pool_size * DATABASE_SHARE)))
    console = Console(settings, share, metrics, public_url)
    application.add_subapp(PREFIX, console_application(console))
