"""Records two short calls between the sandbox's sides: the files of tests/recordings.

    python scripts/record_calls.py tests/recordings

The voices are the sandbox's own clips; no real call is in them. The script is needed
when the format of recordings changes; for other changes `kolbridge replay --accept` is
enough.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from bridge.sandbox.caller import SANDBOX_ACCOUNT_SID, SANDBOX_AUTH_TOKEN, Caller
from bridge.sandbox.clips import clip
from bridge.sandbox.realtime import RealtimeServer
from bridge.sandbox.script import Reply, Script, ToolUse
from bridge.sandbox.timeline import (
    Digit,
    InterruptAfter,
    Noise,
    Say,
    StayOnLine,
    Step,
    WaitForAi,
)
from bridge.service.server import Server
from bridge.settings.process import Settings
from crm import businesses
from crm.connect import open_url
from crm.database import Database

OFFER = clip("ai-en-offer").audio
GREETING = Reply(clip("ai-en-greeting").audio[:8_000], "Hello.")
NOISE_GAIN_DB = -6.0
SCRIPT = Script(
    greeting=[GREETING],
    turns=(
        [Reply(OFFER[:40_000], "On Tuesday I have nine, ten and eleven o'clock.")],
        [ToolUse("leads_upsert", {"name": "Dana", "phone": "+15550100001"})],
        [Reply(OFFER[:8_000], "Good."), ToolUse("end_call", {"reason": "goodbye"})],
    ),
)
# Each call by the name of its file: how turns are detected, and what the caller does.
CALLS: dict[str, tuple[str, list[Step]]] = {
    "interruption": (
        "gate",
        [
            Noise(clip("noise-fan"), NOISE_GAIN_DB),
            WaitForAi("ends"),
            Say(clip("human-en-command-1")),
            InterruptAfter(1_200),
            Say(clip("human-en-command-2")),
            StayOnLine(),
        ],
    ),
    "keypad": (
        "server_vad",
        [
            WaitForAi("ends"),
            Say(clip("human-en-command-1")),
            InterruptAfter(1_000),
            Digit("4"),
            Digit("#"),
            StayOnLine(),
        ],
    ),
}


async def record(url: str, out: Path, name: str) -> None:
    """Place one call and leave its recording as `name`.zip in `out`."""
    mode, steps = CALLS[name]
    db = await Database.open(url)
    model = RealtimeServer(SCRIPT)
    await model.start()
    settings = Settings(
        port=0,
        kolbridge_home=str(out),
        twilio_account_sid=SANDBOX_ACCOUNT_SID,
        twilio_auth_token=SANDBOX_AUTH_TOKEN,
        openai_api_key=model.api_key,
        openai_realtime_url=model.url,
        record_dir=str(out),
        record_audio=True,
    )
    server = Server(settings, db)
    await server.start()
    number = f"+1555010{len(name):04}"
    business_id = await businesses.create(db, name, greeting="Hello.")
    await businesses.add_number(db, business_id, number)
    await businesses.set_setting(db, business_id, "turn_detection", mode)
    try:
        caller = Caller(server.public_url, to_number=number)
        result = await caller.call(steps, max_s=30)
    finally:
        await server.close()
        await model.close()
        await db.close()
    (out / f"{result.call_sid}.zip").replace(out / f"{name}.zip")


def main(out: Path) -> None:
    """Record every call, one after the other."""
    with tempfile.TemporaryDirectory(prefix="kolbridge-record-") as home:
        Path(home).chmod(0o755)
        url, server = open_url(None, Path(home))
        try:
            for name in CALLS:
                asyncio.run(record(url, out, name))
        finally:
            if server is not None:
                server.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
