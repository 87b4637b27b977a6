"""docs/contributing.md and docs/benchmarks.md name what there is, and all of it."""

import re

from bench.__main__ import COMMANDS, GATES
from tests.test_structure import ALLOWED

from .page import ROOT, page, rows, section

MAP = section(page("contributing.md"), "## The map of the house")
BENCHES = page("benchmarks.md")
HEADER = "| room | owns | refuses | may use |"


def test_the_map_shows_every_room_and_what_it_may_use():
    found = {
        cells[0].strip("`"): set(re.findall(r"`([\w.]+)`", cells[3]))
        for cells in rows(MAP, HEADER)
    }
    beside = {"bridge", "sandbox"}

    assert found == {room: used for room, used in ALLOWED.items() if room not in beside}


def test_a_room_stands_above_all_that_it_may_use():
    order = [cells[0].strip("`") for cells in rows(MAP, HEADER)]
    for at, room in enumerate(order):
        below = {*order[at + 1 :], "crm", "dsp", "sandbox"}
        assert ALLOWED[room] <= below | {"cli"}, room


def test_every_room_on_disk_is_on_the_map():
    on_disk = {path.parent.name for path in (ROOT / "bridge").glob("*/__init__.py")}
    shown = {cells[0].strip("`") for cells in rows(MAP, HEADER)}

    assert on_disk - {"sandbox"} <= shown


def test_the_benches_are_all_there():
    gates = rows(BENCHES, "| command | measures | fails when |")
    others = rows(BENCHES, "| command | answers |")

    assert [cells[0].strip("`") for cells in gates] == list(GATES)
    named = [cells[0].strip("`") for cells in (*gates, *others)]
    assert sorted(named) == sorted(COMMANDS)
