"""`kolbridge doctor`: the machine: what is built, folders, its name and its clock."""

import asyncio
import socket
import tempfile
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from bridge.cli.doctor.check import Check, warning
from bridge.settings.addresses import is_loopback
from bridge.settings.process import Settings
from bridge.settings.proxy import proxy_of
from crm.database import Database

# A Date header counts whole seconds and travels for some tenths of a second. Records
# and bookings use this clock; TLS and tokens tolerate minutes.
SKEW_S_MAX = 5.0
ANSWER_WAIT_S = 5.0
CHECKOUT = Path(__file__).parents[3]


def check_build(checkout: Path = CHECKOUT) -> list[Check]:
    """In a checkout, look for modules compiled before their source changed.

    Such a module lacks what the others need: each call ends with an error.
    """
    if not (checkout / ".git").exists():
        return []
    stale = [
        built.name.partition(".")[0]
        for package in ("bridge", "dsp")
        for built in sorted((checkout / package).rglob("*.so"))
        if _is_older(built)
    ]
    if not stale:
        return []
    text = f"older than their source: {', '.join(stale)}: build them by `make install`"
    return [warning("compiled modules", text)]


def _is_older(built: Path) -> bool:
    stem = built.with_name(built.name.partition(".")[0])
    sources = [stem.with_suffix(suffix) for suffix in (".py", ".pyx", ".pxd")]
    changed = [source.stat().st_mtime for source in sources if source.exists()]
    return any(time > built.stat().st_mtime for time in changed)


def check_folders(settings: Settings) -> list[Check]:
    """Try to write to the folders of the service."""
    wanted = {"KOLBRIDGE_HOME": settings.kolbridge_home}
    if settings.record_dir is not None:
        wanted["RECORD_DIR"] = settings.record_dir
    checks = []
    for name, folder in wanted.items():
        try:
            Path(folder).mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as file:
                file.write(b"\0")
        except OSError as error:
            text = f"{name}={folder} cannot be written: {error.strerror}"
            checks.append(Check("folders", False, text))
    written = " and ".join(f"{name}={folder}" for name, folder in wanted.items())
    return checks or [Check("folders", True, f"{written} can be written")]


async def check_public_name(settings: Settings) -> list[Check]:
    """Look up the public name by which Twilio reaches this service."""
    host = urlsplit(settings.public_url or "").hostname
    if host is None:
        return []
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(ANSWER_WAIT_S):
            found = await loop.getaddrinfo(host, 443, type=socket.SOCK_STREAM)
    except (OSError, TimeoutError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "no answer"
        text = f"PUBLIC_URL: no address of {host} can be found ({why}): Twilio cannot "
        return [Check("public name", False, f"{text}reach it")]
    addresses = sorted({str(entry[4][0]) for entry in found})
    shown = f"{host} is at {', '.join(addresses)}"
    if any(ip_address(one.partition("%")[0]).is_global for one in addresses):
        return [Check("public name", True, shown)]
    text = f"{shown}, which is no address of the public internet"
    return [warning("public name", f"{text}: does Twilio find another?")]


async def check_clock(settings: Settings, database: Database) -> list[Check]:
    """Compare this machine's clock with the database's and with the model's."""
    async with database.owner() as connection:
        theirs = await connection.fetchval("select clock_timestamp()")
    skews = {"the database's": (datetime.now(UTC) - theirs).total_seconds()}
    host = urlsplit(settings.openai_realtime_url)
    if host.scheme == "wss" and not is_loopback(host.hostname or ""):
        date = await _date_of(settings, f"https://{host.netloc}/")
        if date is not None:
            skews["the model's"] = (datetime.now(UTC) - date).total_seconds()
    checks = [
        Check("clock", False, f"{skew:+.0f} s from {whose}: have NTP set the clocks")
        for whose, skew in skews.items()
        if abs(skew) > SKEW_S_MAX
    ]
    return checks or [Check("clock", True, f"agrees with {' and '.join(skews)}")]


async def _date_of(settings: Settings, url: str) -> datetime | None:
    """Return the Date of a response; None if there is none."""
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.head(
                url,
                proxy=proxy_of(settings, url),
                timeout=aiohttp.ClientTimeout(ANSWER_WAIT_S),
            ) as response,
        ):
            return parsedate_to_datetime(response.headers["Date"])
    except (aiohttp.ClientError, OSError, TimeoutError, KeyError, ValueError):
        return None
