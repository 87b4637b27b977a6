"""The service in one process: the port, the webhooks, the switchboard, the records.

After `start`, calls are taken. After `drain`, no new calls are taken. After `close`,
no socket, no task and no unwritten record is left. The server runs inside any event
loop, so that tests and the demo use the server as `kolbridge serve` does.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic

from aiohttp import web

from bridge.business.cache import BusinessCache
from bridge.business.directory import BusinessDirectory
from bridge.call.last_turn import WORDS_WAIT_S
from bridge.call.last_words import ENDING_S_MAX
from bridge.call.plan import CallPlan, CallRecord
from bridge.nodes.membership import Identity
from bridge.ports.acceptor import Acceptor, listen
from bridge.ports.authentication import Handler
from bridge.ports.connections import Connections, connections_allowed
from bridge.ports.http_protocol import (
    close_connections,
    protocol_factory,
    runner_of,
)
from bridge.ports.port_demux import HEAD_WAIT_S, MEDIA_PATH, PortDemux
from bridge.ports.workers import Workers
from bridge.records.checkpoints import keep_running
from bridge.records.summary import begun_row, running_row, to_row
from bridge.records.writer import Kept, RecordWriter
from bridge.service.admin import (
    CONNECTIONS_MAX as ADMIN_CONNECTIONS_MAX,
    NoStreams,
    admin_application,
    own_page,
)
from bridge.service.background import Background
from bridge.service.loop_monitor import LoopMonitor
from bridge.service.own_api import add_applications
from bridge.service.own_messages import answers_messages, message_receiver
from bridge.service.own_node import OwnNode
from bridge.service.own_recorders import recorders_of
from bridge.service.readiness import Readiness
from bridge.service.webhooks import Webhooks
from bridge.settings.process import Settings
from bridge.settings.proxy import proxy_of
from bridge.switchboard.business_limits import Admissions
from bridge.switchboard.call_setup import fallback_of, open_plan
from bridge.switchboard.dispatch import Switchboard
from bridge.switchboard.ended import Ended
from bridge.telemetry.metrics import Collector, Metrics
from bridge.telemetry.supervised import SupervisedTask
from bridge.telephony.tokens import Tokens, new_key
from bridge.telephony.twiml import Sentence
from crm import businesses, calls
from crm.database import Database
from crm.patience import answer
from crm.transient import DATABASE_ERRORS

# How long writing the last records may take; after that they are kept in files.
RECORDS_WAIT_S = 5.0
# A record is written within ms of a call's end, or when the caller's last words have
# come, unless the database is unreachable. Twilio waits for 15 s.
RECORD_LOOK_S = 0.2
RECORD_LOOKS = round((WORDS_WAIT_S + 1.0) / RECORD_LOOK_S)
RECORD_LOOKS_S = WORDS_WAIT_S + 3.0
# Another process may go on with the call of a dead one: Twilio asks within seconds.
LOST_WAIT_S = 15.0
# How long a running HTTP request may take when the process stops.
HTTP_WAIT_S = 2.0


class Server:
    """One process of the bridge; the constructor is given everything it needs.

    `on_record` takes the records of calls in place of the database. With an `identity`
    this process is a node: it goes on with calls whose process is gone.
    """

    def __init__(
        self,
        settings: Settings,
        database: Database,
        token_key: bytes | None = None,
        on_record: Callable[[CallRecord], None] | None = None,
        workers: Workers | None = None,
        identity: Identity | None = None,
    ) -> None:
        self.metrics = Metrics()
        self._settings = settings
        self._database = database
        home, hours = Path(settings.kolbridge_home), settings.business_cache_hours
        lost_s = LOST_WAIT_S if identity and settings.resume else 0.0
        self._records = RecordWriter(database, home, self.metrics, lost_wait_s=lost_s)
        self._recorders = recorders_of(settings, self.metrics)
        self._cache = BusinessCache(home / "businesses", hours)
        self._directory = BusinessDirectory(
            database, self._cache, self.metrics, settings.call
        )
        given = settings, database, self._directory, self.metrics
        self._messages = message_receiver(*given)
        self._admissions = Admissions(database, self.metrics, settings.openai_prices)
        self.switchboard = Switchboard(
            settings,
            self.metrics,
            Tokens(token_key or new_key()),
            partial(
                open_plan,
                database,
                settings,
                admit=self._admissions.admit,
                directory=self._directory,
            ),
            on_record or self._on_record,
            self._recorders,
            workers,
        )
        self._checkpoints = SupervisedTask(
            "checkpoints", self._keep_checkpoints, self.metrics
        )
        self._admissions.live_drivers = self.switchboard.live_drivers
        if on_record is None:
            self.switchboard.on_open = self._on_open
        self.switchboard.on_let_go = self._records.drop
        self._node: OwnNode | None = None
        if identity is not None:
            self._node = OwnNode(
                settings,
                database,
                self._directory,
                self.switchboard,
                identity,
                on_record or self._on_record,
                workers,
            )
        self._loop_monitor = LoopMonitor(self.switchboard.admission, self.metrics)
        self._workers = workers
        self._is_first = workers is None or workers.index == 0
        self._background = Background(
            settings,
            database,
            self._admissions,
            self._directory,
            self._cache,
            self.metrics,
            is_first=self._is_first,
        )
        self._collector = Collector(
            self.metrics, self.switchboard.live_calls, self._gauges
        )
        self._runner: web.AppRunner | None = None
        # Serves the requests that other workers forward.
        self._own_runner: web.AppRunner | None = None
        self._connections = Connections(self.metrics, connections_allowed(settings))
        self._acceptor: Acceptor | None = None
        self._is_leaving = self._has_left_port = False
        url = settings.openai_realtime_url
        self.readiness = Readiness(
            database,
            proxy_of(settings, url) or url,
            lambda: self.switchboard.is_draining,
            self.metrics,
        )
        self._admin_runner: web.AppRunner | None = None
        self._admin_acceptor: Acceptor | None = None
        self._admin_connections = Connections(self.metrics, ADMIN_CONNECTIONS_MAX)
        self.port = self.admin_port = 0
        self.public_url = ""

    def answers_messages(self) -> bool:
        """Tell whether one of the businesses that are known answers messages."""
        return answers_messages(self._settings, self._directory)

    async def start(
        self,
        listening: socket.socket | None = None,
        admin: socket.socket | None = None,
        *,
        takes_over: bool = False,
    ) -> None:
        """Listen, on `listening` if several workers share that socket, and on `admin`
        for monitoring.

        `takes_over`: the service that has the port is about to drain. Raises OSError if
        the address is unavailable, and crm.nodes.NameTaken if the node's name is.
        """
        settings = self._settings
        if self._node is not None:
            await self._node.join(takes_over=takes_over)
        listening = listening or listen(settings.host, settings.port)
        self.port = listening.getsockname()[1]
        local = f"http://{settings.url_host}:{self.port}"
        self.public_url = (settings.public_url or local).rstrip("/")
        stream_base = (settings.node_url or self.public_url).rstrip("/")
        stream_base = stream_base.replace("http", "ws", 1)
        media_path = self._workers.media_path if self._workers else MEDIA_PATH
        self.switchboard.handshakes.listen(self.public_url, stream_base + media_path)
        webhooks = Webhooks(
            settings,
            self.public_url,
            self.switchboard,
            self.readiness,
            self._find_recorded,
            self._fallback_for,
            self._messages,
            lambda: self._has_left_port,
            self._node,
        )
        if self._node is not None:
            self._node.start(webhooks.connect, self.public_url)
        application = webhooks.application(self._workers)
        application.middlewares.append(self._part)
        given = settings, self._database, self.public_url
        live = add_applications(application, *given, self.switchboard, self._workers)
        self._runner = runner_of(application, HTTP_WAIT_S)
        await self._runner.setup()
        assert self._runner.server is not None
        http = protocol_factory(self._runner.server, self.metrics)
        port_demux = partial(PortDemux, self.switchboard, http, self._connections)
        self._acceptor = Acceptor(listening, port_demux, self._connections)
        if admin is not None:
            await self._open_admin(admin)
        self.readiness.start()
        self._loop_monitor.start()
        self._records.start()
        self._messages.start()
        await self._background.start()
        if self.switchboard.on_open is not None:
            self._checkpoints.start()
        if self._workers is not None:
            own = webhooks.application()
            own.router.add_get("/metrics", partial(own_page, self._exposition))
            if live is not None:
                live.add_routes(own)
            self._own_runner = runner_of(own, HTTP_WAIT_S)
            await self._own_runner.setup()
            path = self._workers.http_socket(self._workers.index)
            await web.UnixSite(self._own_runner, path).start()
            self._workers.listen(self._acceptor.serve)
        self._acceptor.start()

    async def _open_admin(self, listening: socket.socket) -> None:
        app = admin_application(
            self._settings, self._exposition, self.readiness, self._workers
        )
        self._admin_runner = runner_of(app, HTTP_WAIT_S)
        await self._admin_runner.setup()
        assert self._admin_runner.server is not None
        http = protocol_factory(self._admin_runner.server, self.metrics)
        self.admin_port = listening.getsockname()[1]
        connections = self._admin_connections
        port_demux = partial(PortDemux, NoStreams(), http, connections)
        self._admin_acceptor = Acceptor(listening, port_demux, connections)
        self._admin_acceptor.start()

    async def _keep_checkpoints(self) -> None:
        await keep_running(
            self.switchboard.live_calls,
            lambda call_sid: self.switchboard.find_driver(call_sid) is not None,
            self._on_running,
            self.metrics,
        )

    async def leave_port(self) -> None:
        """Stop accepting, because another service accepts; serve what was accepted.

        A connection that sends no head within HEAD_WAIT_S is closed. One that is kept
        alive is closed with its next answer, or when it has been idle for IDLE_S: what
        comes after a call is asked on it, and would be lost if it were closed just
        then. A new call on it is sent to the other service.
        """
        assert self._acceptor is not None
        self._acceptor.stop()
        if self._admin_acceptor is not None:
            self._admin_acceptor.stop()
        self._is_leaving = self._has_left_port = True
        await self._background.hand_over()
        await asyncio.sleep(HEAD_WAIT_S)

    @web.middleware
    async def _part(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await handler(request)
        if self._is_leaving:
            response.force_close()
        return response

    async def drain(self, patience_s: float) -> None:
        """Take no new calls, and wait for the running calls to end."""
        await self.switchboard.drain(patience_s)

    def longest_call_s(self) -> float:
        """Return how long the running calls may still last at most."""
        calls = self.switchboard.live_calls()
        limits = [call.plan.options.max_call_seconds for call in calls]
        return max(limits, default=0) + ENDING_S_MAX

    async def close(self) -> None:
        """End the calls that still run and write every record."""
        await self.switchboard.close()
        self._loop_monitor.stop()
        await self._checkpoints.stop()
        await self._background.stop()
        if self._node is not None:
            await self._node.stop()
        await self.readiness.stop()
        for acceptor in (self._acceptor, self._admin_acceptor):
            if acceptor is not None:
                acceptor.close()
        if self._workers is not None:
            self._workers.close()
        self._is_leaving = True
        if self._runner is not None and self._runner.server is not None:
            await close_connections(self._runner.server, HTTP_WAIT_S)
        for runner in (self._runner, self._own_runner, self._admin_runner):
            if runner is not None:
                await runner.cleanup()
        for connections in (self._connections, self._admin_connections):
            connections.close()
        # A transport closes its socket in the loop's next turn.
        await asyncio.sleep(0)
        await self._records.close(RECORDS_WAIT_S)
        await self._messages.close()
        if self._recorders is not None:
            await self._recorders.close(RECORDS_WAIT_S)
        if self._workers is not None:
            self._exposition()

    async def _find_recorded(self, number: str, call_sid: str) -> Ended | None:
        """Return, from its record, how a call unknown to this process ended."""
        with suppress(*DATABASE_ERRORS):
            return await answer(self._look_for(number, call_sid), RECORD_LOOKS_S)
        return None

    async def _look_for(self, number: str, call_sid: str) -> Ended | None:
        business = await businesses.find_by_number(self._database, number)
        if business is None:
            return None
        whose, sorry = str(business.id), fallback_of(self._settings, business)
        for _ in range(RECORD_LOOKS):
            row = await calls.find(self._database, business.id, call_sid)
            if row is not None:
                return Ended(row["end_reason"], row["failed"], sorry, whose)
            await asyncio.sleep(RECORD_LOOK_S)
        return Ended("unknown_call", True, sorry, whose)

    async def _fallback_for(self, number: str) -> Sentence:
        """Return the fallback for a caller to a number whose call has no driver."""
        if self.switchboard.business_of("", number):
            # During a flood of refused calls the disk is not read.
            return self.switchboard.default_fallback(number)
        return fallback_of(self._settings, await self._directory.find_kept(number))

    def _exposition(self) -> bytes:
        """Return this worker's page of metrics."""
        page = self._collector.exposition()
        return page if self._workers is None else self._workers.metrics_merge.keep(page)

    def _gauges(self) -> dict[str, tuple[str, float]]:
        # One worker shows what all workers share, because their gauges are added up.
        return {
            **self.switchboard.gauges(),
            **self._records.gauges(counts_refused=self._is_first),
            **self.readiness.gauges(),
            **self._messages.gauges(),
            "connections": (
                "Open connections without a media stream",
                len(self._connections),
            ),
            "business_cache_age_seconds": (
                "How long ago all businesses were last read from the database",
                self._directory.age_s if self._is_first else 0.0,
            ),
        }

    def _on_open(self, plan: CallPlan) -> None:
        self._records.begin(self._owned(begun_row(plan, datetime.now(UTC))))

    def _on_running(self, record: CallRecord) -> None:
        prices = self._settings.openai_prices
        row = running_row(record, monotonic(), datetime.now(UTC), prices)
        self._records.begin(self._owned(row))

    def _on_record(self, record: CallRecord) -> None:
        prices = self._settings.openai_prices
        row = to_row(record, monotonic(), datetime.now(UTC), prices)
        self._records.add(self._owned(row))
        if self._node is not None:
            self._node.ownership.forget(record.plan.call_sid)

    def _owned(self, kept: Kept) -> Kept:
        return kept if self._node is None else self._node.owned(kept)
