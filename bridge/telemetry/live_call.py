"""What a running call looks like from outside, now: for the console and other workers.

`Snapshot` is small enough to be taken several times a second. It costs the calls
nothing while nobody asks for one.
"""

import msgspec

# More refusals than a page shows.
REFUSED_KEPT = 50


class LiveCall(msgspec.Struct, frozen=True, kw_only=True):
    """A running call; `opened_at` in s since 1970, `cost` None without a price."""

    call_sid: str
    business_id: str
    business_name: str
    from_number: str
    to_number: str
    opened_at: float
    phase: str
    # Who speaks: "caller", "ai", "operator" or "".
    speaker: str = ""
    # "open", "music" or "closed".
    gate: str = "closed"
    last_role: str = ""
    last_words: str = ""
    tools: tuple[str, ...] = ()
    cost: float | None = None
    taken_over_by: str = ""
    # The open page of that operator: two may have one name. Empty: not known.
    taken_over_page: str = ""
    listeners: tuple[str, ...] = ()
    # The node that has the call, if that is another one.
    node: str = ""
    # That node cannot be asked: the call is seen, some seconds late, and not heard.
    is_only_seen: bool = False


class RefusedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A caller who heard the spoken fallback; `number` tells two of a process apart.

    `business_id` is empty where the call came to no known business.
    """

    number: int
    at: float
    reason: str
    business_id: str


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """The calls of one process, and the callers it refused last, oldest first."""

    calls: tuple[LiveCall, ...]
    refused: tuple[RefusedCall, ...]
