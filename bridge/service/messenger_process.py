"""Keeps one messenger process beside the service, where there is something to write.

The process starts when a business answers written messages, or when something waits to
be done; until then it costs nothing. It needs the extra `whatsapp`. A process that
ends, or that reports nothing for too long, is started again after a growing pause. With
the service's first signal to stop it finishes what runs and ends: what is left is done
by the next service, or by another node.
"""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from uuid import uuid4

import msgspec

from bridge.messaging.extra import MISSING, PACKAGE, is_installed
from bridge.messaging.process import Order, Report
from bridge.service.server import Server
from bridge.settings.process import Settings
from bridge.telemetry.log import server_logger
from bridge.telemetry.metrics import Metrics
from bridge.telemetry.metrics_merge import added_up, counters_of
from bridge.telemetry.supervised import Backoff
from crm import message_work
from crm.database import Database
from crm.transient import DATABASE_ERRORS

COMMAND = (
    "import sys; from bridge.messaging.service import run_process; "
    "sys.exit(run_process())"
)
# How often a service without a messenger looks whether it needs one.
LOOK_S = 1.0
RESTART_S_MIN, RESTART_S_MAX = 0.5, 30.0
# A process that ran for longer begins again with the shortest pause.
STEADY_S = 60.0
# Reports come every two seconds; the first one after the imports. These take up to 3 s
# of a processor, of which a niced process on a busy machine has a hundredth.
SILENT_S_MAX, START_S_MAX = 30.0, 300.0
# Longer than the messenger takes to finish what runs.
STOP_S_MAX = 15.0
# From the end of a process's output to its own.
END_S_MAX = 2.0
REPORT_BYTES_MAX = 4_000_000
OFF, RUNS, STARTS = "off", "ok", "starting"


class MessengerProcess:
    """The messenger process of one service; `run` keeps it until `stop` is set."""

    def __init__(
        self,
        order: Order,
        database: Database,
        is_wanted: Callable[[], bool],
        metrics: Metrics,
        *,
        command: str = COMMAND,
        package: str = PACKAGE,
    ) -> None:
        self._order = order
        self._database = database
        self._is_wanted = is_wanted
        self._metrics = metrics
        self._command = command
        self._package = package
        self._state = OFF
        # The last page of the process, and the counts of those before it.
        self._page = self._before = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._is_stopping = False

    @property
    def state(self) -> str:
        """One of "off", "starting", "ok", or what is wrong."""
        return self._state

    @property
    def pid(self) -> int:
        """The number of the process that runs; 0 if none does."""
        return self._process.pid if self._process is not None else 0

    def page(self) -> str:
        """Return the messengers' metrics; "" if there was none."""
        pages = [page for page in (self._before, self._page) if page]
        return added_up(pages).decode() if pages else ""

    async def run(self, stop: asyncio.Event) -> None:
        """Keep a messenger until `stop` is set; return when it has ended."""
        keeping = asyncio.create_task(self._keep())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((keeping, stopping), return_when=asyncio.FIRST_COMPLETED)
        self._is_stopping = True
        if self._process is not None:
            _close_input(self._process)
            await asyncio.wait((keeping,), timeout=STOP_S_MAX)
        for task in (keeping, stopping):
            task.cancel()
        failed, _ = await asyncio.gather(keeping, stopping, return_exceptions=True)
        self._state = OFF
        if isinstance(failed, Exception):
            server_logger().error("the messenger is not kept", exc_info=failed)

    async def _keep(self) -> None:
        await self._until_wanted()
        if not is_installed(self._package):
            self._state = MISSING
            server_logger().error("[MESSAGE] nobody answers: %s", MISSING)
            await asyncio.Event().wait()
        backoff = Backoff(RESTART_S_MIN, RESTART_S_MAX)
        while True:
            began_at = monotonic()
            self._state = STARTS
            why = await self._run_one()
            self._before, self._page = counters_of(self.page()), ""
            if self._is_stopping:
                return
            if monotonic() - began_at > STEADY_S:
                backoff.reset()
            pause_s = backoff.next_s()
            self._state = f"{why}; it is started again"
            self._metrics.count("messenger_restarts")
            server_logger().error(
                "[MESSAGE] the messenger %s; it is started again in %.1f s",
                why,
                pause_s,
            )
            await asyncio.sleep(pause_s)

    async def _until_wanted(self) -> None:
        """Return when a business answers messages, or something waits to be done."""
        while not self._is_wanted():
            # A database that is away is said by the readiness.
            with suppress(*DATABASE_ERRORS):
                if await message_work.is_any_due(self._database):
                    return
            await asyncio.sleep(LOOK_S)

    async def _run_one(self) -> str:
        """Run one process until it ends; return why it did."""
        order = msgspec.structs.replace(self._order, holder=uuid4())
        # A thread starts it: the event loop's own way copies the process first.
        try:
            process = await asyncio.to_thread(self._start, order)
        except OSError as error:
            return f"cannot be started ({error.strerror})"
        self._process = process
        try:
            why = await self._listen(process)
        finally:
            self._process = None
            code = await asyncio.shield(asyncio.to_thread(_end, process))
        # Nobody need wait for the leases of a process that is dead.
        with suppress(*DATABASE_ERRORS):
            await message_work.free(self._database, order.holder)
        if why:
            return why
        return f"ended by signal {-code}" if code < 0 else f"ended with code {code}"

    def _start(self, order: Order) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-c", self._command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # An interrupt at the terminal comes once, through the service.
            process_group=0,
        )
        assert process.stdin is not None
        # One that has ended already says why by its exit code.
        with suppress(BrokenPipeError):
            process.stdin.write(msgspec.json.encode(order) + b"\n")
            process.stdin.flush()
        return process

    async def _listen(self, process: "subprocess.Popen[bytes]") -> str:
        """Take reports until the process closes its output; return why no more are
        taken from one that has not."""
        reader = asyncio.StreamReader(limit=REPORT_BYTES_MAX)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), process.stdout
        )
        wait_s = START_S_MAX
        try:
            while True:
                async with asyncio.timeout(wait_s):
                    line = await reader.readline()
                if not line:
                    return ""
                self._page = msgspec.json.decode(line, type=Report).page
                self._state, wait_s = RUNS, SILENT_S_MAX
        except TimeoutError:
            return f"has reported nothing for {wait_s:.0f} s"
        except (msgspec.DecodeError, ValueError):
            # A line without an end is a ValueError.
            return "has written what is no report"
        finally:
            transport.close()


def messenger_beside(
    settings: Settings, database_url: str, database: Database, server: Server
) -> MessengerProcess:
    """Return the messenger of a server: its state and its metrics are the server's."""
    order = Order(settings, database_url, server.public_url)
    made = MessengerProcess(order, database, server.answers_messages, server.metrics)
    server.metrics.pages_beside.append(made.page)
    server.readiness.beside["messenger"] = lambda: made.state
    return made


def _close_input(process: "subprocess.Popen[bytes]") -> None:
    """Have a process finish what runs, and end."""
    assert process.stdin is not None
    # A process that has not read its order has ended before.
    with suppress(BrokenPipeError):
        process.stdin.close()


def _end(process: "subprocess.Popen[bytes]") -> int:
    """Return the exit code of a process that has closed its output, or must."""
    _close_input(process)
    try:
        return process.wait(END_S_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()
