"""What pages are told of the running calls: once for all that show the same."""

import msgspec

from bridge.console import live_hub
from bridge.telemetry.live_call import LiveCall, RefusedCall, Snapshot
from bridge.telemetry.metrics import Metrics


def live_call(call_sid="CA1", business_id="ours", **more):
    given = {
        "call_sid": call_sid,
        "business_id": business_id,
        "business_name": "Salon",
        "from_number": "+15550000001",
        "to_number": "+15550000002",
        "opened_at": 1.0,
        "phase": "talking",
    }
    return LiveCall(**{**given, **more})


def news_of(page):
    """Return the events that a page is told."""
    found = []
    for one in page.news().decode().split("\n\n")[:-1]:
        name, data = one.split("\n")
        found.append((name[7:], msgspec.json.decode(data[6:])))
    return found


def look(hub, *calls, refused=()):
    hub._note(Snapshot(calls=tuple(calls), refused=tuple(refused)))


def test_a_page_is_told_a_whole_row_once_and_then_what_changed():
    hub = live_hub.LiveHub(None, Metrics())
    look(hub, live_call())
    page = live_hub.Page(hub, None)

    ((name, row),) = news_of(page)
    assert (name, row["phase"], row["gate"]) == ("call", "talking", "closed")
    look(hub, live_call())
    assert news_of(page) == []
    look(hub, live_call(gate="open", speaker="caller"))
    changed = {"call_sid": "CA1", "gate": "open", "speaker": "caller"}
    assert news_of(page) == [("change", changed)]
    assert news_of(page) == []
    look(hub)
    assert news_of(page) == [("gone", "CA1")]


def test_pages_of_a_business_are_told_its_calls_alone_and_the_same_bytes():
    hub = live_hub.LiveHub(None, Metrics())
    ours, again, theirs, every = (
        live_hub.Page(hub, business) for business in ("ours", "ours", "theirs", None)
    )
    look(hub, live_call(), live_call("CA2", "theirs"))
    first = [[row["call_sid"] for _, row in news_of(page)] for page in (ours, theirs)]
    assert first == [["CA1"], ["CA2"]]
    assert len(news_of(every)) == 2
    again.news()
    look(hub, live_call(gate="open"), live_call("CA2", "theirs", gate="open"))

    told = ours.news()
    assert told is again.news()
    assert b"CA2" not in told
    assert b"CA1" not in theirs.news()
    assert len(news_of(every)) == 2


def test_a_page_that_missed_a_look_is_told_whole_rows():
    hub = live_hub.LiveHub(None, Metrics())
    late, page = live_hub.Page(hub, "ours"), live_hub.Page(hub, "ours")
    look(hub, live_call(), live_call("CA3"))
    assert len(news_of(late)) == len(news_of(page)) == 2
    look(hub, live_call(gate="open"), live_call("CA3"))
    page.news()
    look(hub, live_call(speaker="ai"), live_call("CA2"))

    rows = dict((row["call_sid"], row) for name, row in news_of(late) if name == "call")
    assert rows.keys() == {"CA1", "CA2"}
    assert (rows["CA1"]["gate"], rows["CA1"]["speaker"]) == ("closed", "ai")
    assert ("change", {"call_sid": "CA1", "gate": "closed", "speaker": "ai"}) in (
        news_of(page)
    )


def test_refused_callers_are_told_in_their_order():
    hub = live_hub.LiveHub(None, Metrics())
    page = live_hub.Page(hub, "ours")
    refused = [
        RefusedCall(number=number, at=float(number), reason="full", business_id="ours")
        for number in range(20)
    ]
    look(hub, refused=refused)

    assert [row["number"] for _, row in news_of(page)] == list(range(20))
