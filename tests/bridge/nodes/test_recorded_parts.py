"""A recorded call that moves leaves a recording of each process, over loopback."""

from bridge.recorder.parts import files_of
from bridge.recorder.recording import read
from bridge.recorder.replay import Replay
from tests.bridge import ws_peer
from tests.bridge.nodes.test_resumed_calls import (
    ask,
    come_back,
    die,
    talking,
    two_nodes,
    until_recorded,
)


def test_both_processes_leave_a_part_that_replays(database_url, tmp_path):
    folder = tmp_path / "recordings"
    sids = []
    settings = {"record_dir": str(folder), "record_audio": True}

    async def main():
        async with two_nodes(database_url, tmp_path, **settings) as (at, there):
            sid, _, _ = await talking(at)
            await die(at)
            await come_back(there, sid, await ask(there, sid))
            line = there.server.switchboard.find_driver(sid)
            line.receive(line.call.receive_hangup, "caller_hung_up")
            await at.server._node.ownership.look()  # it was only frozen
            await until_recorded(at, sid)
            sids.append(sid)

    ws_peer.run(main)

    (sid,) = sids
    first, second = files_of(folder, sid)
    assert [first.name, second.name] == [f"{sid}.zip", f"{sid}.2.zip"]
    recordings = [read(first), read(second)]
    assert recordings[0].header.plan.resumed is None
    assert [turn.parts for turn in recordings[1].header.plan.resumed.turns] == [
        {0: "Hello."},
        {0: "Tuesday?"},
    ]
    for recording in recordings:
        replay = Replay(recording)
        assert list(replay.run())[-1].what == "ended"
        assert replay.difference is None
