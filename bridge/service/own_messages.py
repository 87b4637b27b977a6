"""The door of this process for messages, and whether anybody answers them."""

from pathlib import Path

from bridge.business.directory import BusinessDirectory
from bridge.messaging.door import MessageDoor
from bridge.settings.process import Settings
from bridge.telemetry.metrics import Metrics
from crm.database import Database


def message_door(
    settings: Settings,
    database: Database,
    directory: BusinessDirectory,
    metrics: Metrics,
) -> MessageDoor:
    """Return what the webhooks of messages lead to."""
    return MessageDoor(
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
