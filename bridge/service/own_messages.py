"""What receives the messages of this process, and whether anybody answers them."""

from pathlib import Path

from bridge.business.directory import BusinessDirectory
from bridge.messaging.receiving import MessageReceiver
from bridge.settings.process import Settings
from bridge.telemetry.metrics import Metrics
from crm.database import Database


def message_receiver(
    settings: Settings,
    database: Database,
    directory: BusinessDirectory,
    metrics: Metrics,
) -> MessageReceiver:
    """Return what the webhooks of messages lead to."""
    return MessageReceiver(
        database,
        directory,
        settings.message,
        metrics,
        Path(settings.kolbridge_home),
        logs_bodies=settings.log_transcripts,
    )


def answers_messages(settings: Settings, directory: BusinessDirectory) -> bool:
    """Tell whether one of the businesses that are known answers written messages."""
    default = settings.message.whatsapp
    return any(one.settings.get("whatsapp", default) for one in directory.known)
