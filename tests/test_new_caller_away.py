"""Who calls for the first time while the database is away is served, and kept."""

import signal
import time

import pytest

from bridge.service.serve import open_for_calls
from bridge.settings.process import Settings
from crm import businesses
from tests import test_database_away as away
from tests.bridge import loopback, ws_peer

crm = away.crm


def test_new_caller_while_the_database_is_away_is_served_and_known_later(crm, tmp_path):
    async def told():
        business_id = await away.made_business(
            crm.url,
            language="he",
            country="IL",
            custom_prompt="Offer coffee.",
            fallback_sentence="נחזור אליכם.",
        )
        async with away.serving(crm.url, tmp_path) as bridge:
            # Nobody has called yet: all businesses are read at the start.
            await ws_peer.until(
                lambda: list((tmp_path / "data/businesses").glob("*.json"))
            )
            crm.kill()

            peer, model = await bridge.ring()
            assert "/twilio/after-stream</Redirect>" in bridge.answer
            assert "Speak Hebrew" in bridge.session["instructions"]
            assert "Offer coffee." in bridge.session["instructions"]
            answer = await away.tool_answer(model, "leads_upsert", "t1", name="Dana")
            assert "cannot be reached right now" in answer["error"]
            await away.hear(peer, model, "item-a")
            peer.send_text(loopback.STOP)
            await loopback.expect(peer, ws_peer.CLOSE)
            await peer.close()
            await away.until_waiting(tmp_path, 1)
            kept = (tmp_path / "data/businesses").glob("*")
            assert not any(away.CALLER[1:].encode() in one.read_bytes() for one in kept)

            crm.start()
            await away.until_waiting(tmp_path, 0)
        (row,), (said,), lead = await away.what_is_written(crm.url, business_id)
        assert (row["call_sid"], row["from_number"]) == (away.CALL_SID, away.CALLER)
        assert len(said) == 1
        assert (lead.calls, lead.last_call_at) == (1, row["started_at"])
        assert row["lead_id"] == lead.id

    away.run(told)


def test_database_that_hangs_keeps_no_caller_waiting_for_long(crm, tmp_path):
    async def told():
        await away.made_business(crm.url, custom_prompt="Offer coffee.")
        async with away.serving(crm.url, tmp_path) as bridge:
            await ws_peer.until(
                lambda: list((tmp_path / "data/businesses").glob("*.json"))
            )
            crm.signal(signal.SIGSTOP)
            try:
                rang_at = time.monotonic()
                peer, _ = await bridge.ring()
                # Twilio's patience is 15 s, and the switchboard's 5.
                assert time.monotonic() - rang_at < 5.0
                assert "Offer coffee." in bridge.session["instructions"]
                await peer.close()
            finally:
                crm.signal(signal.SIGCONT)

    away.run(told)


def test_worker_that_starts_while_the_database_is_away_finds_it_later(crm):
    async def told():
        business_id = await away.made_business(crm.url)
        crm.kill()
        database = await open_for_calls(Settings(), crm.url)
        with pytest.raises(OSError, match="No such file"):
            await businesses.get(database, business_id)

        crm.start()
        assert (await businesses.get(database, business_id)).name == "Salon"
        await database.close()

    away.run(told)


def test_error_of_ours_is_no_database_that_is_away(crm):
    async def told():
        with pytest.raises(ValueError, match="none"):
            await open_for_calls(Settings(), "postgresql://x@127.0.0.1:none/x")

    away.run(told)
