"""A delivery is of one process at a time, and what came of a try is that process's."""

from crm import leads, notice_deliveries, notices
from crm.notice_deliveries import LEASE
from tests.crm.test_notices import DONE, FAILED, PAUSE, PHONE, age_deliveries, told


@told
async def test_try_whose_lease_has_ended_says_nothing_of_the_endpoint(salon):
    gone = FAILED._replace(is_gone=True)
    await leads.touch(salon.db, salon.id, PHONE)
    (first,) = await notice_deliveries.claim(salon.db, 5)
    await age_deliveries(salon, LEASE)
    (second,) = await notice_deliveries.claim(salon.db, 5)
    await leads.touch(salon.db, salon.id, "+15550000002")

    for outcome in (FAILED, gone):
        assert await notice_deliveries.settle(salon.db, first, outcome, PAUSE) == ""
    (endpoint,) = await notices.endpoints(salon.db, salon.id)
    assert (endpoint.failing_since, endpoint.disabled_at) == (None, None)
    assert len(await notice_deliveries.claim(salon.db, 5)) == 1
    await notice_deliveries.settle(salon.db, second, DONE, None)
    await notice_deliveries.settle(salon.db, first, FAILED, PAUSE)
    (endpoint,) = await notices.endpoints(salon.db, salon.id)
    assert endpoint.failing_since is None
