"""Sends one notice to one webhook: one request, no redirect, a bounded answer."""

from datetime import UTC, datetime
from time import monotonic
from uuid import UUID

from aiohttp import ClientError, ClientSession, ClientTimeout, TCPConnector

from bridge.notices.addresses import PublicResolver
from bridge.notices.envelope import body_of, headers_of
from bridge.notices.targets import TargetError, check_url
from crm.notice_deliveries import ANSWER_CHARS_MAX, Outcome, Parcel

CONNECT_WAIT_S = 5.0
ANSWER_WAIT_S = 15.0
# No more of an answer is read.
ANSWER_BYTES_MAX = 4 * ANSWER_CHARS_MAX
HEADER_BYTES_MAX = 8_192
# "Gone": Standard Webhooks has it say that the endpoint wants no more notices.
_GONE = 410


class WebhookSender:
    """Sends webhooks; made inside a running loop, closed by `close`."""

    def __init__(
        self, allowed: frozenset[str], resolver: PublicResolver | None = None
    ) -> None:
        self._allowed = allowed
        connector = TCPConnector(
            resolver=resolver or PublicResolver(allowed),
            use_dns_cache=False,
            force_close=True,
        )
        self._session = ClientSession(
            connector=connector,
            timeout=ClientTimeout(total=ANSWER_WAIT_S, sock_connect=CONNECT_WAIT_S),
            trust_env=False,
            auto_decompress=False,
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
            headers={"user-agent": "kolbridge"},
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def send(self, notice_id: UUID, parcel: Parcel) -> Outcome:
        """Send a notice; every failure is an outcome."""
        begun_at = monotonic()
        try:
            check_url(parcel.target, self._allowed)
            status, answer = await self._post(notice_id, parcel)
        except (ClientError, OSError, TimeoutError, TargetError, ValueError) as error:
            why = getattr(error, "os_error", error)
            text = str(why) or type(why).__name__
            return Outcome(False, None, text, _since_ms(begun_at))
        return Outcome(
            200 <= status < 300, status, answer, _since_ms(begun_at), status == _GONE
        )

    async def _post(self, notice_id: UUID, parcel: Parcel) -> tuple[int, str]:
        body = body_of(parcel)
        async with self._session.post(
            parcel.target,
            data=body,
            headers=headers_of(parcel.secret, notice_id, body, datetime.now(UTC)),
            allow_redirects=False,
        ) as response:
            found = bytearray()
            while len(found) < ANSWER_BYTES_MAX:
                piece = await response.content.read(ANSWER_BYTES_MAX - len(found))
                if not piece:
                    break
                found += piece
            return response.status, found.decode(errors="replace")


def _since_ms(begun_at: float) -> float:
    return (monotonic() - begun_at) * 1e3
