"""A worker that is started again while its node drains."""

from uuid import uuid4

import pytest

from bridge.nodes.membership import Identity
from bridge.ports.workers import Workers
from bridge.service.server import Server
from crm import nodes
from tests.bridge import running_service, ws_peer

pytestmark = pytest.mark.usefixtures("impatient")


@pytest.mark.parametrize("is_asked", [True, False])
def test_worker_that_is_started_again_drains_with_its_node(
    database_url, tmp_path, is_asked
):
    folder = tmp_path / "workers"
    folder.mkdir()
    first, second = (Workers(folder, index, 2) for index in range(2))

    async def story():
        async with running_service.served(
            database_url,
            tmp_path,
            identity=Identity("a", 0, "", "1.0", uuid4()),
            workers=first,
        ) as at:
            board = at.server.switchboard
            if is_asked:
                await nodes.ask_to_drain(at.database, "a")
                await ws_peer.until(lambda: board.is_draining)
            identity = Identity("a", 1, "", "1.0", uuid4())
            again = Server(at.settings, at.database, workers=second, identity=identity)
            await again.start()
            try:
                assert again.readiness.is_ready is not is_asked
            finally:
                await again.close()

    ws_peer.run(story)
