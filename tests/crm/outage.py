"""A database that can be killed at any moment, and restarts at the same address."""

import os
import signal
from pathlib import Path
from urllib.parse import quote

from crm.embedded import EmbeddedServer


class Crm:
    """A PostgreSQL that can be killed, always at the same address."""

    def __init__(self, home):
        self._home = Path(home)
        self._link = self._home / "address"
        self._server = None
        self.url = f"postgresql://postgres@/postgres?host={quote(str(self._link), '')}"

    def start(self):
        self._server = EmbeddedServer(self._home)
        self._server.start()
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(self._server._socket_dir)

    def kill(self):
        self.signal(signal.SIGKILL)
        self._server._process.wait()
        self._server.stop()

    def signal(self, number):
        """Signal the server and its children, which would still answer for a moment."""
        pid = self._server._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (pid, *map(int, children)):
            os.kill(one, number)

    def stop(self):
        self._server.stop()
