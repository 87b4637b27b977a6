"""Hand-over: a call's latest state, from the process that it was claimed from.

A process that the database cannot reach may live and talk on: what its caller has heard
is then more than the checkpoint in the database says. The process that has claimed its
call asks it over HTTP for the call as it stands. With its answer, the old process lets
go of the call, and closes its stream: Twilio asks at once what follows. A process that
is dead, frozen or cut off does not answer, and the checkpoint in the database holds.

The question is signed as Twilio signs a webhook, with the token of the call's account,
which every node has.
"""

import asyncio
from collections.abc import Callable, Mapping
from http import HTTPStatus
from time import monotonic
from urllib.parse import urlencode

import aiohttp
import msgspec

from bridge.call import checkpoint
from bridge.call.checkpoint import UnreadableError
from bridge.call.plan import Checkpoint
from bridge.line.driver import CallDriver
from bridge.nodes.membership import Identity
from bridge.nodes.ownership import Ownership
from bridge.nodes.peers import AskInside, Webhook
from bridge.telemetry.metrics import Metrics
from bridge.telephony import signature
from bridge.wire.body import read_body
from crm import nodes
from crm.database import Database
from crm.live_calls import Owner
from crm.transient import DATABASE_ERRORS

PATH = "/twilio/hand-over"
FORM_TYPE = "application/x-www-form-urlencoded"
# The caller waits. A process that lives answers within some ms.
ANSWER_WAIT_S = 0.3
STATE_BYTES_MAX = 4_000_000
# Of how many calls it is remembered where they are; Twilio asks within seconds.
MOVED_MAX = 4_096
# A checkpoint's format, and its bytes.
_Answer = tuple[int, bytes]


class HandOver:
    """Asks for the state of claimed calls, and answers for this process's calls."""

    def __init__(
        self,
        database: Database,
        identity: Identity,
        ownership: Ownership,
        token_of: Callable[[str], str],
        find_driver: Callable[[str], CallDriver | None],
        metrics: Metrics,
        ask_inside: AskInside | None,
    ) -> None:
        self._database = database
        self._identity = identity
        self._ownership = ownership
        self._token_of = token_of
        self._find_driver = find_driver
        self._metrics = metrics
        self._ask_inside = ask_inside
        self._session: aiohttp.ClientSession | None = None
        # The node of each call that was handed over here, the latest last.
        self._moved_to: dict[str, tuple[str, str]] = {}
        # What a question is signed with; the service knows it once it listens.
        self.public_url = ""

    async def ask(self, owner: Owner, generation: int) -> Checkpoint | None:
        """Return the state of a call that this process has claimed from `owner`, if its
        process lives; `generation` is the call's new one."""
        token = self._token_of(owner.account_sid)
        if not token or not owner.node:
            return None
        form = {
            "CallSid": owner.call_sid,
            "AccountSid": owner.account_sid,
            "Generation": str(generation),
            "Worker": str(owner.worker),
            # Where the old process passes Twilio's question on to.
            "Node": self._identity.name,
            "NodeUrl": self._identity.url,
        }
        signed = signature.sign(token, self.public_url + PATH, form.items())
        headers = {signature.HEADER: signed}
        outcome, state = "no_answer", None
        try:
            async with asyncio.timeout(ANSWER_WAIT_S):
                answer = await self._answer_of(owner, form, headers)
            if answer is not None:
                state = checkpoint.decode(*msgspec.msgpack.decode(answer, type=_Answer))
                outcome = "answered"
        except (UnreadableError, msgspec.DecodeError):
            outcome = "unreadable"
        except (aiohttp.ClientError, TimeoutError, OSError, *DATABASE_ERRORS):
            pass
        self._metrics.count("calls_asked_for", outcome=outcome)
        return state

    async def answer(
        self, form: Mapping[str, str], webhook: Webhook, *, is_passed_inside: bool
    ) -> bytes | None:
        """Return what the process that has claimed a call asks for, and let go of the
        call; None if this node does not have it, or has it in no older generation.

        `form` is the question's, signed; `webhook` is the question as it came, for the
        worker that has the call.
        """
        call_sid = form["CallSid"]
        line = self._find_driver(call_sid)
        claimed, worker = _number(form, "Generation"), _number(form, "Worker")
        if line is None or line.is_over:
            if self._ask_inside is None or worker is None or is_passed_inside:
                return None
            return await self._ask_inside(worker, *webhook)
        if claimed is None or claimed <= self._ownership.generation_of(call_sid):
            return None
        line.log.warning("[NODE] another process has the call, and goes on with it")
        self._metrics.count("calls_taken_over")
        self._ownership.forget(call_sid)
        self._moved_to[call_sid] = form.get("Node", ""), form.get("NodeUrl", "")
        if len(self._moved_to) > MOVED_MAX:
            del self._moved_to[next(iter(self._moved_to))]
        state = checkpoint.encode(line.call.checkpoint(monotonic()))
        line.let_go()
        return msgspec.msgpack.encode((checkpoint.FORMAT, state))

    def moved_to(self, call_sid: str) -> tuple[str, str] | None:
        """Return the name and the URL of the node that a call was handed over to; None
        if it was not, or cannot be reached."""
        name, url = self._moved_to.get(call_sid, ("", ""))
        is_elsewhere = url and name != self._identity.name
        return (name, url) if is_elsewhere else None

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _answer_of(
        self, owner: Owner, form: Mapping[str, str], headers: Mapping[str, str]
    ) -> bytes | None:
        if owner.node == self._identity.name:
            if self._ask_inside is None or owner.worker == self._identity.worker:
                return None
            headers = {**headers, "Content-Type": FORM_TYPE}
            body = urlencode(form).encode()
            return await self._ask_inside(owner.worker, PATH, body, headers)
        every = await nodes.every(self._database)
        urls = [node.url for node in every if node.name == owner.node and node.url]
        if not urls:
            return None
        if self._session is None:
            self._session = aiohttp.ClientSession()
        url = urls[0].rstrip("/") + PATH
        async with self._session.post(url, data=form, headers=headers) as answer:
            if answer.status != HTTPStatus.OK:
                return None
            return await read_body(answer.content, STATE_BYTES_MAX)


def _number(form: Mapping[str, str], name: str) -> int | None:
    text = form.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None
