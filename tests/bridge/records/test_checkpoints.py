"""What running calls have come to is handed on as it changes, and not again."""

import asyncio
from time import monotonic

from msgspec.structs import replace

from bridge.call.machine import Call
from bridge.records import checkpoints
from bridge.records.checkpoints import keep_running
from bridge.telemetry.metrics import Metrics
from tests.bridge import builders, ws_peer


def test_call_is_kept_when_something_was_said_and_while_it_lives(monkeypatch):
    monkeypatch.setattr(checkpoints, "EVERY_S", 0.001)

    async def told():
        calls = [
            Call(replace(builders.plan(), call_sid=f"CA{at}"), monotonic())
            for at in range(3)
        ]
        kept, looks, live = [], [], {"CA0", "CA1"}

        def look():
            looks.append(None)
            return calls

        def keep(record):
            kept.append((record.plan.call_sid, [turn.text for turn in record.turns]))

        async def look_twice():
            seen = len(looks)
            await ws_peer.until(lambda: len(looks) > seen + 1)

        def say(call, item_id, text):
            call.call_record.transcript.set_text("caller", item_id, text, 1.0)

        task = asyncio.ensure_future(
            keep_running(look, live.__contains__, keep, Metrics())
        )
        await look_twice()
        assert kept == []
        for call in (calls[0], calls[2]):
            say(call, "i1", "Hello.")
        await look_twice()
        # The third has ended: its whole record was handed on elsewhere.
        assert kept == [("CA0", ["Hello."])]
        say(calls[0], "i2", "Goodbye.")
        say(calls[1], "i1", "Hm.")
        await look_twice()
        assert kept[1:] == [("CA0", ["Hello.", "Goodbye."]), ("CA1", ["Hm."])]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    ws_peer.run(told)


def test_call_whose_record_fails_keeps_no_other_from_its_own(monkeypatch, caplog):
    monkeypatch.setattr(checkpoints, "EVERY_S", 0.001)

    async def told():
        calls = [
            Call(replace(builders.plan(), call_sid=f"CA{at}"), monotonic())
            for at in range(2)
        ]
        for call in calls:
            call.call_record.transcript.set_text("caller", "i1", "Hello.", 1.0)
        kept, metrics = [], Metrics()

        def keep(record):
            if record.plan.call_sid == "CA0":
                raise ValueError("surprise")
            kept.append(record.plan.call_sid)

        task = asyncio.ensure_future(
            keep_running(lambda: calls, lambda _: True, keep, metrics)
        )
        await ws_peer.until(lambda: kept)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert kept == ["CA1"]
        assert metrics.value("task_failures", task="checkpoints") == 1

    ws_peer.run(told)
