"""Mounts the other applications on the service's port: the console, the API, feeds."""

from aiohttp import web

from bridge.api import application as api, feeds
from bridge.ports.workers import Workers
from bridge.service.live_everywhere import LiveEverywhere
from bridge.service.own_console import add_console
from bridge.settings.process import Settings
from bridge.switchboard.dispatch import Switchboard
from crm.database import Database

# The part of the connections to the database that programs have: calls keep the others.
DATABASE_SHARE = 0.2


def add_applications(
    application: web.Application,
    settings: Settings,
    database: Database,
    public_url: str,
    switchboard: Switchboard,
    workers: Workers | None,
) -> LiveEverywhere | None:
    """Add to the application of the public port what lies below it, before it starts.

    Returns what `add_console` returns.
    """
    share = database.share(max(1, round(settings.database_pool_size * DATABASE_SHARE)))
    metrics = switchboard.metrics
    own = api.Api(settings, share, metrics, public_url)
    application.add_subapp(api.ROOT, own.application())
    application.add_subapp(feeds.ROOT, feeds.Feeds(share, metrics).application())
    return add_console(
        application, settings, database, public_url, switchboard, workers
    )
