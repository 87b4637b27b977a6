"""Handshakes: which WebSockets may become a media stream.

Twilio signs its handshakes. A browser cannot: it shows a ticket in the URL, which the
console has issued to a viewer for one call. A ticket is valid once and for TICKET_S. A
browser says in `Origin` whose page asks, and only the console's own page may.
"""

import secrets
from http import HTTPStatus
from time import monotonic
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from bridge.ports.port_demux import MEDIA_PATH, Head
from bridge.settings.process import Settings
from bridge.telemetry.log import CallLogger, server_logger
from bridge.telemetry.metrics import Metrics
from bridge.telephony import signature

# The page opens the stream as soon as it has the ticket.
TICKET_S = 30.0
# Calls that wait for their browser at once; a further one takes the oldest's place.
TICKETS_MAX = 100
TICKET = "ticket"
_TICKET_BYTES = 24


class Ticket(NamedTuple):
    """Who may open a stream for which call, until when on the monotonic clock."""

    call_sid: str
    business_id: str
    viewer: str
    expires_at: float


class Handshakes:
    """The tickets of one process, and the decision about each handshake."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._signing_secrets = settings.signing_secrets
        self._tickets: dict[str, Ticket] = {}
        # Known when the service listens.
        self.public_url = self.media_url = ""

    def listen(self, public_url: str, media_url: str) -> None:
        """Take the URLs that browsers and Twilio use."""
        self.public_url, self.media_url = public_url, media_url

    @property
    def browser_url(self) -> str:
        """Where a browser opens a stream of this process: a path, which names the node
        and the worker, where node and console share a host."""
        media, own = urlsplit(self.media_url), urlsplit(self.public_url)
        return media.path if media.netloc == own.netloc else self.media_url

    def issue(self, call_sid: str, business_id: str, viewer: str, now: float) -> str:
        """Return a ticket with which a viewer's browser may open a call's stream."""
        self._forget(now)
        if len(self._tickets) >= TICKETS_MAX:
            del self._tickets[next(iter(self._tickets))]
        name = secrets.token_urlsafe(_TICKET_BYTES)
        ticket = Ticket(call_sid, business_id, viewer, now + TICKET_S)
        self._tickets[name] = ticket
        return name

    def refuse(self, head: Head) -> HTTPStatus | None:
        """Return the status that refuses a handshake; None if it is admitted."""
        _, _, query = head.target.partition("?")
        names = parse_qs(query).get(TICKET)
        if names:
            return self._refuse_browser(head, names[0])
        if self._settings.twilio_validate_signatures:
            return self._refuse_unsigned(head)
        if "origin" in head.headers and not self._is_own_page(head):
            return self._refused("origin")
        return None

    def _refuse_unsigned(self, head: Head) -> HTTPStatus | None:
        base, _, _ = self.media_url.partition(MEDIA_PATH)
        is_valid = signature.is_valid_handshake(
            self._signing_secrets,
            base + head.target,
            signature.Claim(
                head.headers.get(signature.HEADER.lower(), ""),
                head.headers.get(signature.SETTINGS_HEADER.lower(), ""),
            ),
        )
        if is_valid:
            return None
        self._metrics.count("rejected_signatures", endpoint="media")
        server_logger().warning("media stream refused: signature")
        return HTTPStatus.FORBIDDEN

    def _refuse_browser(self, head: Head, name: str) -> HTTPStatus | None:
        if not self._is_own_page(head):
            return self._refused("origin")
        self._forget(monotonic())
        ticket = self._tickets.pop(name, None)
        if ticket is None:
            return self._refused("ticket")
        log = CallLogger(ticket.call_sid, ticket.business_id)
        log.info("the softphone of %s is connected", ticket.viewer)
        return None

    def _is_own_page(self, head: Head) -> bool:
        """Tell whether a page of this service asks: of its public URL, or, with the
        service on this machine, of the host that the browser has called."""
        origin = head.headers.get("origin", "")
        own = urlsplit(self.public_url)
        if origin == f"{own.scheme}://{own.netloc}":
            return True
        is_local = self._settings.is_loopback
        return is_local and origin == f"http://{head.headers.get('host', '')}"

    def _refused(self, why: str) -> HTTPStatus:
        self._metrics.count("refused_streams", reason=f"wrong_{why}")
        server_logger().warning("media stream refused: %s", why)
        return HTTPStatus.FORBIDDEN

    def _forget(self, now: float) -> None:
        """Drop expired tickets; the oldest is the first."""
        while self._tickets:
            oldest = next(iter(self._tickets))
            if self._tickets[oldest].expires_at > now:
                return
            del self._tickets[oldest]
