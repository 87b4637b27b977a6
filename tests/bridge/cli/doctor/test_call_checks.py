"""What `kolbridge doctor` says of a business beside the call that it places."""

import asyncio
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest

from bridge.cli.doctor import call_checks
from bridge.settings.process import Settings
from crm import businesses


@pytest.mark.parametrize(
    ("trust", "worths", "is_said"),
    [
        ("attested", ["unverified"] * 10, True),
        ("attested", ["unverified"] * 10 + ["verified"], False),
        ("attested", ["unverified"] * 9 + ["none"], False),
        ("number", ["unverified"] * 10, False),
    ],
)
def test_a_business_that_asks_every_caller_in_vain_is_told(trust, worths, is_said):
    class Rows:
        """A database that answers with a row for each call."""

        @asynccontextmanager
        async def tenant(self, business_id):
            yield self

        async def fetch(self, query, *places):
            return [{"caller_worth": worth} for worth in worths]

    business = businesses.Business(
        id=uuid4(),
        name="x",
        language="en",
        country="IL",
        time_zone="UTC",
        greeting="",
        custom_prompt="",
        fallback_sentence="",
        settings={"caller_trust": trust},
    )
    said = asyncio.run(call_checks._asked_in_vain(Rows(), business, Settings()))

    assert (said is not None) is is_said
    assert not is_said or f"its last {len(worths)} calls" in said
