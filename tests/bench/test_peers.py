"""The peers' bench: its table, its marks, and the relays that need no packages."""

import shutil
import sys
from base64 import b64decode, b64encode
from importlib.util import find_spec
from pathlib import Path
from time import monotonic

import orjson
import pytest

from bench.peers import ends, installing, run


def test_every_peer_is_of_one_kind_and_there():
    for peer in installing.peers():
        assert [bool(peer.module), bool(peer.source), bool(peer.needs)].count(True) == 1
        assert all("==" in one for one in peer.needs)
        if peer.needs:
            assert (installing.HERE / (peer.script or f"{peer.name}.py")).exists()
        if peer.source:
            assert (installing.HERE / peer.source).exists()


def test_speech_stays_under_the_marks_and_a_mark_is_heard_once():
    measured = ends.PeerRun(1)
    everything = bytes(range(256)) * 2
    stream = measured.make_stream(0, [b64encode(everything)])
    clipped = b64decode(stream.speech[0])
    marks = measured.uplink[0]

    marks.heard(bool(clipped.translate(None, ends._QUIET_MULAW)), monotonic())
    marks.sent()
    marks.heard(False, monotonic())
    marks.heard(True, monotonic())
    marks.heard(True, monotonic())

    assert everything.translate(None, ends._QUIET_MULAW)
    assert not clipped.translate(None, ends._QUIET_MULAW)
    assert len(measured.uplink_ms) == 1


def test_a_mark_that_the_next_one_overtakes_is_lost():
    measured = ends.PeerRun(1)
    marks = measured.downlink[0]

    marks.sent()
    marks.sent()
    marks.heard(True, monotonic())

    assert measured.lost == 1
    assert len(measured.downlink_ms) == 1


@pytest.mark.parametrize("kind", ["audio/pcmu", "audio/pcm"])
def test_marks_are_loud_in_both_formats_and_the_rest_is_not(kind):
    marked, unmarked = (b64decode(one) for one in ends._DELTAS[kind])
    if kind == "audio/pcm":
        heard = [
            one[1::2].translate(None, ends._QUIET_PCM) for one in (marked, unmarked)
        ]
    else:
        heard = [one.translate(None, ends._QUIET_MULAW) for one in (marked, unmarked)]

    assert len(marked) == len(unmarked)
    assert heard[0] and not heard[1]


def test_relays_carry_the_load_and_one_that_falls_is_left_out(
    monkeypatch, tmp_path, capsys
):
    fallen = installing.Peer(
        name="fallen", about="it ends at once", module="bench.machine"
    )
    missing = installing.Peer(
        name="missing", about="no such package", needs=("./none",)
    )
    relays = [
        one for one in installing.peers() if one.module or one.source or here(one)
    ]
    if shutil.which("cc") is None:
        relays = [one for one in relays if one.source is None]
    install = installing._installed
    monkeypatch.setattr(run, "peers", lambda: [*relays, fallen, missing])
    monkeypatch.setattr(installing, "VENVS", tmp_path / "venvs")
    monkeypatch.setattr(
        installing,
        "_installed",
        lambda name, needs: (
            install(name, needs) if name == "missing" else Path(sys.executable)
        ),
    )
    small = ("--calls", "4", "--seconds", "3", "--rounds", "1", "--only")
    names = [one.name for one in (*relays, fallen, missing)]
    left = tmp_path / "peers.json"

    assert run.main([*small, *names, "--json", str(left)]) == 1
    found = orjson.loads(left.read_bytes())
    told = capsys.readouterr()
    assert set(found["peers"]) == {one.name for one in relays}
    assert set(found["failed"]) == {"fallen"}
    assert "missing: left out: " in told.err
    for name, one in found["peers"].items():
        assert one["cpu_us_a_call_second"] > 0, name
        assert one["lost"] == 0, name
        assert f"| {name} |" in told.out


def here(peer):
    """Tell whether the tests' own environment has all that a relay needs."""
    return peer.needs and all(
        find_spec(one.partition("==")[0]) is not None for one in peer.needs
    )


def test_a_cython_source_that_does_not_compile_says_why(monkeypatch, tmp_path):
    monkeypatch.setattr(installing, "HERE", tmp_path)
    monkeypatch.setattr(installing, "VENVS", tmp_path / "venvs")
    (tmp_path / "wrong.pyx").write_text("cdef int wrong( :\n")

    for _ in range(2):
        with pytest.raises(installing.PeerUnavailable, match="CompileError"):
            installing.Peer(name="wrong", about="", source="wrong.pyx").command()
