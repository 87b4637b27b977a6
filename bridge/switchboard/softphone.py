"""Softphone: test calls that a browser places through the console.

A test call is opened as a webhook opens a call, with the business's own number as `To`,
and counts against the same limits. Its `From` is no telephone number, so that it makes
no lead, and its record says that it is a test.
"""

import secrets
from time import monotonic
from typing import NamedTuple

from bridge.line.driver import CallDriver
from bridge.ports.workers import Workers
from bridge.settings.process import Settings
from bridge.switchboard.call_setup import Ringing
from bridge.switchboard.dispatch import Switchboard
from bridge.switchboard.handshakes import TICKET

FROM = "client:console"
# The account of a service without Twilio: the test stream names it, as Twilio would.
NO_ACCOUNT = "AC" + "0" * 32
_SID_BYTES = 16


class Placed(NamedTuple):
    """What a browser needs to open the stream of the call it has placed.

    The fields are those that Twilio knows from a webhook and its answer; `url` has the
    ticket, and is a path where the stream belongs to the page's own host; `parameters`
    are the stream's custom parameters.
    """

    url: str
    call_sid: str
    account_sid: str
    stream_sid: str
    parameters: dict[str, str]


class Softphone:
    """Places the test calls of one process."""

    def __init__(
        self, switchboard: Switchboard, settings: Settings, workers: Workers | None
    ) -> None:
        self._switchboard = switchboard
        self._workers = workers
        self._account_sid = settings.twilio_account_sid or NO_ACCOUNT

    async def place(self, number: str, viewer: str) -> Placed:
        """Open a test call to a business's number for a viewer's browser.

        Raises the errors of `bridge.switchboard.unserved`, as a webhook meets them.
        """
        ringing = Ringing(
            call_sid=self._own_sid(),
            account_sid=self._account_sid,
            from_number=FROM,
            to_number=number,
            is_test=True,
        )
        line = await self._switchboard.open_call(ringing)
        return Placed(
            url=self._url(line, viewer),
            call_sid=ringing.call_sid,
            account_sid=self._account_sid,
            stream_sid=f"MZ{secrets.token_hex(_SID_BYTES)}",
            parameters=stream_parameters(line),
        )

    def _url(self, line: CallDriver, viewer: str) -> str:
        plan, handshakes = line.call.plan, self._switchboard.handshakes
        ticket = handshakes.issue(plan.call_sid, plan.business_id, viewer, monotonic())
        return f"{handshakes.browser_url}?{TICKET}={ticket}"

    def _own_sid(self) -> str:
        """Return the id of a new call that belongs to this worker."""
        while True:
            call_sid = f"CA{secrets.token_hex(_SID_BYTES)}"
            workers = self._workers
            if workers is None or workers.owner_of(call_sid) == workers.index:
                return call_sid


def stream_parameters(line: CallDriver) -> dict[str, str]:
    """Return the custom parameters of a call's stream."""
    plan = line.call.plan
    return {
        "token": line.token,
        "business": plan.business_id,
        "from": plan.from_number,
        "to": plan.to_number,
    }
