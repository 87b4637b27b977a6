"""All that answers written messages, put together from the settings.

The messenger's process runs it (`run_process`). Tests and the demo run it in their own
event loop.
"""

from functools import partial
from uuid import UUID

from bridge.messaging.announcements import Announcements
from bridge.messaging.answering import Answerer
from bridge.messaging.media import MediaFetcher
from bridge.messaging.media_input import fetch_with
from bridge.messaging.messenger import FINISH_S, Messenger
from bridge.messaging.process import run
from bridge.messaging.sending import Outbox
from bridge.messaging.twilio_messages import Hosts, TwilioMessages
from bridge.settings.process import Settings
from bridge.settings.proxy import proxy_of
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.supervised import SupervisedTask
from crm.database import Database


class MessagingService:
    """The messenger with its model, its carrier and the announcements, from `start` to
    `stop`."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        metrics: Metrics,
        public_url: str,
        *,
        holder: UUID | None = None,
    ) -> None:
        hosts = Hosts(
            settings.twilio_api_url,
            settings.twilio_content_url,
            settings.twilio_messaging_url,
        )
        self._twilio = TwilioMessages(
            settings.signing_secrets, hosts, metrics, partial(proxy_of, settings)
        )
        self._answerer = Answerer(
            settings,
            database,
            metrics,
            media=fetch_with(MediaFetcher(self._twilio)),
            public_url=public_url,
        )
        outbox = Outbox(
            database,
            self._twilio,
            settings.message,
            metrics,
            public_url,
            account_sid=settings.twilio_account_sid or "",
        )
        self._messenger = Messenger(
            settings,
            database,
            metrics,
            self._answerer,
            outbox,
            self._twilio,
            holder=holder,
        )
        announcements = Announcements(settings, database, metrics)
        self._announcing = SupervisedTask("announcements", announcements.run, metrics)

    def start(self) -> None:
        """Begin to work in the running loop."""
        self._messenger.start()
        self._announcing.start()

    async def stop(self, within_s: float = FINISH_S) -> None:
        """Finish what runs within a bound, give back the rest, and close."""
        await self._announcing.stop()
        await self._messenger.stop(within_s)
        await self._answerer.close()
        await self._twilio.close()

    def gauges(self) -> dict[str, tuple[str, float]]:
        """Return the gauges of the messenger."""
        text = "Conversations in writing that are worked on"
        return {"conversations_active": (text, self._messenger.working)}


def run_process() -> int:
    """Run the messenger's process; return its exit code."""
    return run(
        lambda order, database, metrics: MessagingService(
            order.settings, database, metrics, order.public_url, holder=order.holder
        )
    )
