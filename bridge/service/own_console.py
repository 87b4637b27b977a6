"""Mounts the console on the service's port, where it is installed and wanted."""

from pathlib import Path

from aiohttp import web

from bridge.nodes.membership import identity_of
from bridge.ports.workers import Workers
from bridge.service.between_nodes import PREFIX as NODES, BetweenNodes
from bridge.service.console_phone import ConsolePhone
from bridge.service.health import Health
from bridge.service.live_elsewhere import LiveElsewhere
from bridge.service.live_everywhere import LiveEverywhere, node_application
from bridge.service.node_lines import NodeLines
from bridge.service.node_recordings import NodeRecordings
from bridge.service.other_nodes import OtherNodes
from bridge.service.recording_server import RecordingServer
from bridge.settings.process import Settings
from bridge.switchboard.dispatch import Switchboard
from bridge.switchboard.live_calls import Lines
from bridge.switchboard.softphone import Softphone
from bridge.telemetry.log import server_logger
from crm.database import Database

PREFIX = "/console/"
# The console's part of the connections to the database: the calls keep the others.
DATABASE_SHARE = 0.3


def add_console(
    application: web.Application,
    settings: Settings,
    database: Database,
    public_url: str,
    switchboard: Switchboard,
    workers: Workers | None,
) -> LiveEverywhere | None:
    """Add the console to the application of the public port, before it starts.

    Without the extra `console` the service takes calls as always. Returns what answers
    the consoles of the other workers; None where there is no console.
    """
    if not settings.console:
        return None
    try:
        from bridge.console.application import console_application
        from bridge.console.console import Console

        if settings.oidc_issuer is not None:
            import authlib  # noqa: F401 (the page of the provider needs it)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("bridge"):
            raise
        server_logger().info(
            "there is no console: %s is not installed (pip install kolbridge[console])",
            error.name,
        )
        return None
    share = database.share(max(1, round(settings.database_pool_size * DATABASE_SHARE)))
    lines = Lines(
        switchboard.metrics,
        switchboard.live_drivers,
        switchboard.find_driver,
        settings.openai_prices,
    )
    name = identity_of(settings, 0).name
    between = BetweenNodes(settings, public_url)
    nodes = OtherNodes(share, between, name)
    elsewhere = LiveElsewhere(share, name, lambda: switchboard.is_draining)
    others = NodeLines(share, nodes)
    live = LiveEverywhere(lines, workers, elsewhere, others)
    phone = ConsolePhone(Softphone(switchboard, settings, workers))
    worker = 0 if workers is None else workers.index
    health = Health(settings, share, switchboard, name, worker)
    metrics = switchboard.metrics
    folder = None if settings.record_dir is None else Path(settings.record_dir)
    served = RecordingServer(share, folder, metrics)
    application.add_subapp(NODES, node_application(live, served, between, metrics))
    recordings = NodeRecordings(nodes, metrics)
    console = Console(
        settings, share, metrics, public_url, live, phone, health, recordings
    )
    application.on_startup.append(health.on_startup)
    application.on_cleanup.append(health.on_cleanup)
    application.add_subapp(PREFIX, console_application(console))
    application.on_cleanup.append(live.close)
    application.on_cleanup.append(nodes.on_cleanup)
    return live
