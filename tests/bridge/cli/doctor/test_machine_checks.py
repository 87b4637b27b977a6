"""What doctor says of the machine: what is built, folders, its name, its clock."""

import asyncio
import os
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from bridge.cli.doctor import machine_checks
from bridge.settings.process import Settings
from tests.bridge import ws_peer


def test_folders_are_written_to(tmp_path):
    settings = Settings(
        kolbridge_home=str(tmp_path / "home"), record_dir=str(tmp_path / "calls")
    )
    (check,) = machine_checks.check_folders(settings)

    assert check.ok
    assert "home and RECORD_DIR=" in check.text
    assert [list(folder.iterdir()) for folder in tmp_path.iterdir()] == [[], []]


def test_modules_compiled_before_their_source_changed_are_named(tmp_path):
    (tmp_path / "bridge").mkdir()
    files = {"ear.pyx": 10, "ear.cpython-311.so": 20, "uplink.py": 30, "uplink.pxd": 10}
    for name, time in {**files, "uplink.cpython-311.so": 20}.items():
        (tmp_path / "bridge" / name).touch()
        os.utime(tmp_path / "bridge" / name, (time, time))
    assert machine_checks.check_build(tmp_path) == []  # no checkout

    (tmp_path / ".git").mkdir()
    (check,) = machine_checks.check_build(tmp_path)

    assert check.warns
    assert check.text == "older than their source: uplink: build them by `make install`"

    os.utime(tmp_path / "bridge" / "uplink.py", (20, 20))
    assert machine_checks.check_build(tmp_path) == []


def test_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    settings = Settings(
        kolbridge_home=str(tmp_path / "file"), record_dir=str(tmp_path / "file" / "x")
    )

    told = [check.text for check in machine_checks.check_folders(settings)]
    assert told == [
        f"KOLBRIDGE_HOME={tmp_path}/file cannot be written: {os.strerror(17)}",
        f"RECORD_DIR={tmp_path}/file/x cannot be written: {os.strerror(20)}",
    ]


def test_public_name_is_looked_up(monkeypatch):
    async def story():
        found = {}

        async def look_up(host, port, **_):
            if host not in found:
                raise OSError(-2, "Name or service not known")
            return [(0, 0, 0, "", (address, port)) for address in found[host]]

        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "getaddrinfo", look_up)
        found["far.example"] = ["93.184.215.14"]
        found["near.example"] = ["10.0.0.7"]

        async def told(url):
            (check,) = await machine_checks.check_public_name(Settings(public_url=url))
            return str(check)

        assert await told("https://far.example") == (
            "✓ public name: far.example is at 93.184.215.14"
        )
        assert (await told("https://near.example")).startswith(
            "! public name: near.example is at 10.0.0.7, which is no address of the"
        )
        assert (await told("https://none.example")).startswith(
            "✗ public name: PUBLIC_URL: no address of none.example can be found"
        )
        assert await machine_checks.check_public_name(Settings()) == []

    ws_peer.run(story)


class Clock:
    """A database whose clock is some seconds ahead."""

    def __init__(self, ahead_s):
        self._ahead = timedelta(seconds=ahead_s)

    @asynccontextmanager
    async def owner(self):
        yield self

    async def fetchval(self, query):
        return datetime.now(UTC) + self._ahead


@pytest.mark.parametrize(
    ("ahead_s", "date_s", "found"),
    [
        (0, None, ["✓ clock: agrees with the database's"]),
        (0, 0, ["✓ clock: agrees with the database's and the model's"]),
        (60, 0, ["✗ clock: -60 s from the database's: have NTP set the clocks"]),
        (0, -90, ["✗ clock: +90 s from the model's: have NTP set the clocks"]),
    ],
)
def test_clocks_are_compared(monkeypatch, ahead_s, date_s, found):
    async def date_of(settings, url):
        assert url == "https://api.openai.com/"
        if date_s is None:
            return None
        return datetime.now(UTC) + timedelta(seconds=date_s)

    monkeypatch.setattr(machine_checks, "_date_of", date_of)

    async def story():
        checks = await machine_checks.check_clock(Settings(), Clock(ahead_s))
        assert [str(check) for check in checks] == found

    ws_peer.run(story)


def test_date_is_read_of_any_answer():
    async def story():
        async def serve(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(
                b"HTTP/1.1 421 Misdirected\r\nDate: Sat, 28 Nov 2026 18:00:00 GMT\r\n"
                b"Content-Length: 0\r\nConnection: close\r\n\r\n"
            )
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        date = await machine_checks._date_of(Settings(), url)
        assert date == datetime(2026, 11, 28, 18, tzinfo=UTC)
        server.close()
        await server.wait_closed()
        assert await machine_checks._date_of(Settings(), url) is None

    ws_peer.run(story)
