"""The journal: read in order, taken over from the dead, never from the living."""

import os
from pathlib import Path

import pytest

from bridge.records import journal as journal_module
from bridge.records.journal import LEFT_EVERY_S, Journal, Taken


def opened(folder):
    journal = Journal(folder)
    journal.open(0.0)
    return journal


def drained(journal):
    found = []
    while (taken := journal.take(0.0)) is not None:
        found.append(taken.record)
        journal.drop()
    return found


def abandon(journal):
    """Let go of a journal as a killed process does."""
    os.close(journal._fd)


def files(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def test_records_come_back_in_order(tmp_path):
    journal = opened(tmp_path)
    journal.append([b"one", b"two"])
    journal.append([b"three"])

    assert journal.waiting == 3
    assert drained(journal) == [b"one", b"two", b"three"]


def test_file_is_cut_when_all_is_written_and_grows_again(tmp_path):
    journal = opened(tmp_path)
    journal.append([b"one"])
    assert drained(journal) == [b"one"]
    (path,) = tmp_path.iterdir()
    assert path.stat().st_size == 0

    journal.append([b"a longer one"])
    assert path.read_bytes() == b"a longer one\n"
    assert drained(journal) == [b"a longer one"]


def test_what_a_killed_worker_left_is_taken_over(tmp_path):
    killed = opened(tmp_path)
    killed.append([b"one", b"two"])
    killed.take(0.0)
    killed.drop()
    abandon(killed)

    journal = opened(tmp_path)

    # The first was written already; only the database can tell.
    assert drained(journal) == [b"one", b"two"]
    assert len(files(tmp_path)) == 1


def test_what_a_worker_leaves_that_ends_beside_is_taken_over_at_the_next_look(tmp_path):
    ending, journal = opened(tmp_path), opened(tmp_path)
    ending.append([b"one"])
    ending.begin("two", b"two")
    assert journal.take(1.0) is None
    ending.close()

    assert journal.take(LEFT_EVERY_S - 1.0) is None
    assert journal.wait_s(LEFT_EVERY_S - 1.0) == 1.0
    assert journal.take(LEFT_EVERY_S) == Taken(b"one", 0, found_at=LEFT_EVERY_S)
    journal.drop()
    assert journal.take(LEFT_EVERY_S) == Taken(b"two", 0, found_at=LEFT_EVERY_S)
    journal.drop()
    assert len(files(tmp_path)) == 1


def test_file_that_cannot_be_read_stops_no_worker_that_runs(tmp_path):
    journal = opened(tmp_path)
    (tmp_path / "worker-1-1.journal").mkdir()
    journal.append([b"one"])

    assert journal.take(LEFT_EVERY_S) == Taken(b"one", 0)


def test_half_a_line_of_a_crash_is_a_line_of_its_own(tmp_path):
    (tmp_path / "worker-1-1.journal").write_bytes(b"one\ntw")

    journal = opened(tmp_path)
    journal.append([b"three"])

    assert drained(journal) == [b"one", b"tw", b"three"]


def test_what_a_living_worker_holds_is_left_alone(tmp_path):
    living = opened(tmp_path)
    living.append([b"one"])

    other = opened(tmp_path)

    assert other.waiting == 0
    assert drained(living) == [b"one"]


def test_new_file_that_another_took_for_one_left_behind_is_made_anew(
    tmp_path, monkeypatch
):
    held = journal_module._is_held
    answers = iter((False, True))
    monkeypatch.setattr(journal_module, "_is_held", lambda *_: next(answers))
    journal = Journal(tmp_path)
    monkeypatch.setattr(Journal, "_take_over", lambda *_: None)
    journal.open(0.0)

    assert len(files(tmp_path)) == 2
    monkeypatch.setattr(journal_module, "_is_held", held)


def test_file_that_goes_away_meanwhile_is_nobodys(tmp_path):
    journal = opened(tmp_path)
    journal._take_over(tmp_path / "gone.journal", 0.0)

    gone = tmp_path / "worker-1-1.journal"
    gone.write_bytes(b"one\n")
    fd = os.open(gone, os.O_RDWR)
    gone.unlink()
    assert not journal_module._is_held(fd, gone)
    os.close(fd)


def test_full_disk_leaves_no_half_a_line(tmp_path, monkeypatch):
    journal = opened(tmp_path)
    journal.append([b"one"])
    write = os.write

    def full(fd, data):
        write(fd, data[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        journal.append([b"two"])
    monkeypatch.setattr(os, "write", write)
    journal.append([b"three"])

    assert drained(journal) == [b"one", b"three"]


def test_empty_journal_leaves_no_file_and_a_full_one_does(tmp_path):
    empty = opened(tmp_path)
    empty.close()
    empty.close()
    assert files(tmp_path) == []

    full = opened(tmp_path)
    full.append([b"one"])
    full.close()
    assert len(files(tmp_path)) == 1


def test_what_was_begun_and_not_ended_comes_last(tmp_path):
    killed = opened(tmp_path)
    killed.begin("CA1", b"begun one")
    killed.begin("CA2", b"begun two")
    killed.append([b"ended one"])
    killed.end("CA1")
    killed.end("CA404")
    abandon(killed)

    journal = opened(tmp_path)

    assert drained(journal) == [b"ended one", b"begun two"]
    assert len(files(tmp_path)) == 1


def test_closed_journal_keeps_what_was_begun_and_nothing_else(tmp_path):
    journal = opened(tmp_path)
    journal.begin("CA1", b"begun")
    journal.close()
    again = opened(tmp_path)
    assert drained(again) == [b"begun"]

    again.begin("CA2", b"begun")
    again.end("CA2")
    again.close()
    assert files(tmp_path) == []


def test_what_is_put_back_stands_before_nobody(tmp_path):
    journal = opened(tmp_path)
    journal.append([b"one", b"two"])

    assert journal.take(10.0) == Taken(b"one", 0)
    assert journal.take(10.0) == Taken(b"one", 0)
    journal.put_back(due_at=15.0)
    journal.put_back(due_at=99.0)

    assert journal.wait_s(10.0) == 5.0
    assert journal.take(10.0) == Taken(b"two", 0)
    journal.drop()
    assert journal.take(10.0) is None
    assert journal.waiting == 1
    assert journal.take(15.0) == Taken(b"one", 1)
    journal.drop()
    assert journal.waiting == 0
    assert journal.wait_s(15.0) == LEFT_EVERY_S - 5.0


def test_what_was_put_back_can_be_had_at_once(tmp_path):
    journal = opened(tmp_path)
    journal.append([b"one", b"two"])
    for due_at in (50.0, 40.0):
        journal.take(0.0)
        journal.put_back(due_at)
    journal.hurry()
    assert journal.take(0.0) == Taken(b"two", 1)
    journal.put_back(60.0)

    journal.hurry(tries_max=1)

    assert journal.take(0.0) == Taken(b"one", 1)
    journal.drop()
    assert journal.take(0.0) is None


def test_record_that_waits_long_does_not_keep_what_was_written(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "COMPACT_BYTES_MIN", 100)
    journal = opened(tmp_path)
    journal.append([b"stuck"])
    journal.take(0.0)
    journal.put_back(due_at=10.0)

    for at in range(50):
        journal.append([b"%03d" % at])
        assert journal.take(0.0).record == b"%03d" % at
        journal.drop()

    (path,) = tmp_path.iterdir()
    assert path.stat().st_size <= 110
    assert opened(tmp_path).waiting == 0
    abandon(journal)
    assert b"stuck" in drained(opened(tmp_path))


def test_full_disk_leaves_the_file_as_long_as_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "COMPACT_BYTES_MIN", 0)
    journal = opened(tmp_path)
    journal.append([b"one", b"two", b"three"])

    def full(fd, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    for _ in range(2):
        journal.take(0.0)
        journal.drop()

    assert drained(journal) == [b"three"]
    assert len(files(tmp_path)) == 1


def test_what_the_disk_refuses_is_held_and_flushed(tmp_path, monkeypatch):
    journal = opened(tmp_path)
    assert journal.hold([b"one", b"two", b"three"]) == 0
    assert (journal.waiting, journal.held) == (3, 3)
    assert journal.take(0.0) == Taken(b"one", 0)

    journal.flush()
    journal.flush()

    (path,) = tmp_path.iterdir()
    assert path.read_bytes() == b"two\nthree\n"
    assert journal.held == 1
    assert drained(journal) == [b"one", b"two", b"three"]
    assert journal.held == 0


def test_memory_has_a_limit_too(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "HELD_LINES_MAX", 2)
    journal = opened(tmp_path)
    assert journal.hold([b"one", b"two", b"three"]) == 1

    monkeypatch.setattr(journal_module, "HELD_BYTES_MAX", 6)
    monkeypatch.setattr(journal_module, "HELD_LINES_MAX", 9)
    assert journal.hold([b"four"]) == 1
    assert drained(journal) == [b"one", b"two"]
    journal.close()
    assert files(tmp_path) == []


def test_full_disk_keeps_what_was_begun_before(tmp_path, monkeypatch):
    journal = opened(tmp_path)
    journal.begin("CA1", b"older")

    def full(self, data):
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space"):
        journal.begin("CA1", b"newer")

    abandon(journal)
    assert list(tmp_path.glob("*.part")) == []
    assert drained(opened(tmp_path)) == [b"older"]


def test_disk_that_is_full_at_the_start_stops_nobody(tmp_path, monkeypatch):
    killed = opened(tmp_path)
    killed.append([b"one", b"two"])
    killed.begin("CA3", b"three")
    left = killed._path
    abandon(killed)
    write = os.write

    def full(fd, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    journal = opened(tmp_path)
    other = opened(tmp_path)
    assert (journal.waiting, journal.held, other.waiting) == (3, 3, 0)

    # Until its lines are elsewhere the file stays, and is nobody else's.
    assert journal.take(0.0) == Taken(b"one", 0, found_at=0.0)
    journal.drop()
    assert left.exists()
    monkeypatch.setattr(os, "write", write)
    journal.flush()
    assert not left.exists()
    assert drained(journal) == [b"two", b"three"]


def test_process_that_ends_while_the_disk_is_full_leaves_what_it_found(
    tmp_path, monkeypatch
):
    killed = opened(tmp_path)
    killed.append([b"one", b"two"])
    abandon(killed)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "_write", _refuse)
        opened(tmp_path).close()
        patch.setattr(journal_module, "HELD_LINES_MAX", 1)
        crowded = opened(tmp_path)
        assert crowded.held == 1
        assert drained(crowded) == [b"one"]
        crowded.close()

    assert drained(opened(tmp_path)) == [b"one", b"two"]


def _refuse(self, records):
    raise OSError(28, "No space left on device")
