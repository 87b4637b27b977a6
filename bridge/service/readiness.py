"""Whether the service can take calls, and which of its parts are degraded.

Both are checked in the background, and a request gets the last result. So a request
costs the same however often it comes, takes no connection from the calls, and connects
to no other host. A service that drains is not ready. A service whose database or model
is unreachable is ready, but degraded: its callers hear the fallback from the service.
If a load balancer rejected every replica instead, the callers would hear an error tone.
"""

import asyncio
import ssl
from collections.abc import Callable
from urllib.parse import urlsplit

import asyncpg
import orjson
from aiohttp import web

from bridge.telemetry.metrics import Metrics
from bridge.telemetry.supervised import SupervisedTask
from crm.database import Database
from crm.patience import answer
from crm.transient import DATABASE_ERRORS

CHECK_WAIT_S = 2.0
CHECK_EVERY_S = 2.0
# A probe of the model opens a connection to another company's servers.
MODEL_CHECK_ROUNDS = 5
OK, UNKNOWN = "ok", "not asked yet"


class Readiness:
    """The last known state of everything that calls need."""

    def __init__(
        self,
        database: Database,
        model_url: str,
        is_draining: Callable[[], bool],
        metrics: Metrics,
    ) -> None:
        self._database = database
        self._model_url = model_url
        self._is_draining = is_draining
        self._found = {"database": OK, "model": UNKNOWN}
        # The states of other parts, by name; None is left out.
        self.beside: dict[str, Callable[[], str | None]] = {}
        self._task = SupervisedTask("readiness", self._look, metrics)
        is_secure = urlsplit(model_url).scheme in ("wss", "https")
        # Loading the CA certificates takes as long as a frame lasts.
        self._tls = ssl.create_default_context() if is_secure else None

    def start(self) -> None:
        """Start the checks."""
        self._task.start()

    async def stop(self) -> None:
        """Stop the checks."""
        await self._task.stop()

    @property
    def is_ready(self) -> bool:
        """Whether calls are taken."""
        return not self._is_draining()

    @property
    def degraded(self) -> list[str]:
        """The parts that are degraded while calls are taken."""
        return [
            name for name, state in self._found.items() if state not in (OK, UNKNOWN)
        ]

    async def answer(self, request: web.Request) -> web.Response:
        """Answer `/readyz`: 503 while draining, and in any case the state of each."""
        found: dict[str, str | list[str]] = {
            "calls": OK if self.is_ready else "draining",
            **self._found,
            **{name: state for name, of in self.beside.items() if (state := of())},
        }
        if self.degraded:
            found["degraded"] = self.degraded
        return web.Response(
            status=200 if self.is_ready else 503,
            body=orjson.dumps(found),
            content_type="application/json",
        )

    def gauges(self) -> dict[str, tuple[str, float]]:
        """Return a gauge for each thing that may be degraded."""
        text = "Workers that take calls and do not reach the"
        degraded = self.degraded
        return {
            "degraded_database": (f"{text} database", float("database" in degraded)),
            "degraded_model": (f"{text} model", float("model" in degraded)),
        }

    async def check(self) -> None:
        """Check the database now."""
        self._found["database"] = await self._check_database()

    async def _look(self) -> None:
        while True:
            self._found["model"] = await probe(self._model_url, self._tls)
            for _ in range(MODEL_CHECK_ROUNDS):
                await self.check()
                await asyncio.sleep(CHECK_EVERY_S)

    async def _check_database(self) -> str:
        try:
            await answer(self._database.ping(), CHECK_WAIT_S)
        except asyncpg.ReadOnlySQLTransactionError:
            return "read-only"
        except DATABASE_ERRORS:
            return "unreachable"
        return OK


async def probe(url: str, tls: ssl.SSLContext | None) -> str:
    """Say whether a server listens at a URL; TLS is included if it is given."""
    parts = urlsplit(url)
    port = parts.port or (80 if tls is None else 443)
    try:
        async with asyncio.timeout(CHECK_WAIT_S):
            _, writer = await asyncio.open_connection(parts.hostname, port, ssl=tls)
    except (OSError, TimeoutError) as error:
        return f"unreachable: {type(error).__name__}"
    writer.close()
    return OK
