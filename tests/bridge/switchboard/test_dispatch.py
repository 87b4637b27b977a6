"""The switchboard: which stream is whose, who is admitted, what is remembered."""

import asyncio
import gc
from time import monotonic

import msgspec
import pytest

from bridge.call.plan import RunTool
from bridge.line.fast_path import CallerListener
from bridge.line.legs import StreamRefused, TwilioLeg
from bridge.ports.port_demux import MEDIA_PATH, parse_head
from bridge.settings.process import Settings
from bridge.switchboard import dispatch as switchboard_module, ended
from bridge.switchboard.admission import BUSY_S, SHUT_TOLD_S, WINDOW_TICKS
from bridge.switchboard.call_setup import CallSetup, Ringing
from bridge.switchboard.dispatch import Switchboard, Unserved
from bridge.telemetry.metrics import Metrics
from bridge.telephony import twilio
from bridge.telephony.tokens import Tokens, new_key
from bridge.telephony.twiml import Sentence
from tests.bridge import builders, loopback, ws_peer

SORRY = Sentence("Sorry.", "en")
# What the model says: one frame of sound.
SOUND = msgspec.json.encode(b"\x60" * 160)
GREETING = (
    b'{"type":"response.created","response":{"id":"r"}}',
    b'{"type":"response.output_audio.delta","response_id":"r","item_id":"i",'
    b'"content_index":0,"delta":%s}' % SOUND,
    b'{"type":"response.output_audio.done","response_id":"r","item_id":"i",'
    b'"content_index":0}',
    b'{"type":"response.done","response":{"id":"r","status":"completed"}}',
)


def ringing(call_sid=builders.CALL_SID):
    return Ringing(
        call_sid=call_sid,
        account_sid=builders.ACCOUNT_SID,
        from_number="+15550000001",
        to_number="+15550000002",
    )


class Board:
    """A switchboard whose calls all have one plan, before a hand-made model."""

    def __init__(self, port, **settings):
        self.records = []
        self.plan = builders.plan("Hello.")
        known = {"openai_realtime_url": f"ws://127.0.0.1:{port}/x"}
        self.board = Switchboard(
            Settings(**{**known, **settings}),
            Metrics(),
            Tokens(new_key()),
            self._plan_for,
            self.records.append,
        )

    async def _plan_for(self, ringing, now):
        plan = msgspec.structs.replace(self.plan, call_sid=ringing.call_sid)
        return CallSetup(plan, {}, SORRY)

    async def open_driver(self, call_sid=builders.CALL_SID):
        return await self.board.open_call(ringing(call_sid))


def told(story_of, **settings):
    async def run():
        model = loopback.FakeModel()
        behind = await asyncio.start_server(model.serve, "127.0.0.1", 0)
        at = Board(behind.sockets[0].getsockname()[1], **settings)
        try:
            await story_of(at, model)
        finally:
            behind.close()
            await model.close()
            await at.board.close()

    ws_peer.run(run)


def start_for(line, **changes):
    body = builders.start().start
    body = msgspec.structs.replace(
        body, custom_parameters={"token": line.token}, **changes
    )
    return msgspec.structs.replace(builders.start(), start=body)


def test_stream_with_the_calls_token_is_the_calls():
    async def story_of(at, model):
        line = await at.open_driver()
        leg = TwilioLeg(at.board)

        assert at.board.claim_line(leg, start_for(line)) is line
        assert line.twilio_leg is leg

    told(story_of)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"call_sid": "CA" + "9" * 32}, "no_such_call"),
        ({"account_sid": "AC" + "9" * 32}, "wrong_account"),
        (
            {"media_format": twilio.MediaFormat("audio/x-l16", 8_000, 1)},
            "wrong_format",
        ),
    ],
)
def test_stream_that_says_something_else_is_refused(changes, reason):
    async def story_of(at, model):
        line = await at.open_driver()
        with pytest.raises(StreamRefused, match=reason):
            at.board.claim_line(TwilioLeg(at.board), start_for(line, **changes))
        assert line.twilio_leg is None

    told(story_of)


def test_call_without_an_account_takes_any():
    async def story_of(at, model):
        unsigned = msgspec.structs.replace(ringing(), account_sid="")
        line = await at.board.open_call(unsigned)

        assert at.board.claim_line(TwilioLeg(at.board), start_for(line)) is line

    told(story_of, twilio_validate_signatures=False)


def test_handshake_is_anybodys_where_signatures_are_off():
    async def story_of(at, model):
        head = parse_head(f"GET {MEDIA_PATH} HTTP/1.1".encode())

        assert isinstance(at.board.admit_stream(head), CallerListener)

    told(story_of, twilio_validate_signatures=False)


def test_ended_calls_are_remembered_up_to_a_limit(monkeypatch):
    monkeypatch.setattr(ended, "ENDED_MAX", 2)

    async def story_of(at, model):
        for number in range(3):
            line = await at.open_driver(f"CA{number}")
            line.receive(line.call.receive_hangup, f"end {number}")

        assert at.board.find_ended("CA0") is None
        assert at.board.find_ended("CA2") == ("end 2", False, SORRY, "b1")
        assert [record.end_reason for record in at.records] == [
            "end 0",
            "end 1",
            "end 2",
        ]

    told(story_of)


def test_session_that_outlives_its_call_is_an_orphan(monkeypatch):
    monkeypatch.setattr(switchboard_module, "CLOSE_WAIT_S", 0.0)

    async def story_of(at, model):
        line = await at.open_driver()
        peer = await model.peers.get()
        await ws_peer.until(lambda: line.model_leg.is_open)
        line.receive(line.call.receive_hangup, "tested")

        def orphans():
            return at.board.gauges()["model_sessions_orphaned"][1]

        await ws_peer.until(lambda: orphans() == 1)
        await peer.close()
        await ws_peer.until(lambda: orphans() == 0)

    told(story_of)


def test_opening_that_ends_is_not_waited_for_twice():
    async def story_of(at, model):
        at.board._plan_for = None
        for _ in range(2):
            with pytest.raises(Unserved, match="opening_failed"):
                await at.open_driver()
            await asyncio.sleep(0)

        assert at.board._opening == {}

    told(story_of)


def test_drained_conversation_hears_a_goodbye_before_it_is_ended(monkeypatch):
    monkeypatch.setattr(switchboard_module, "FAREWELL_S", 0.05)

    async def story_of(at, model):
        line = await at.open_driver()
        peer = await model.peers.get()
        peer.send_text(loopback.CREATED)
        await peer.event()
        line.receive(line.call.receive_twilio, start_for(line))
        peer.send_text(loopback.UPDATED)
        assert "Hello." in (await peer.event())["response"]["instructions"]
        for event in GREETING:
            peer.send_text(event)
        await ws_peer.until(lambda: not line.call.responses.is_busy)

        await at.board.drain(0.0)
        assert "goodbye" in (await peer.event())["response"]["instructions"]
        assert line.record().end_reason == "shutdown"
        assert list(at.board.live_calls()) == []

    told(story_of)


@pytest.mark.parametrize(
    ("reason", "waits"), [("end_call:goodbye", True), ("caller_hung_up", False)]
)
def test_drained_process_stays_until_twilio_has_asked_what_comes_next(reason, waits):
    async def story_of(at, model):
        line = await at.open_driver()
        await ws_peer.until(lambda: line.model_leg.is_open)
        at.board.claim_line(TwilioLeg(at.board), start_for(line))
        draining = asyncio.ensure_future(at.board.drain(60.0))
        await ws_peer.until(lambda: at.board.is_draining)
        line.receive(line.call.receive_hangup, reason)

        if waits:
            await asyncio.sleep(0.02)  # what must not happen has no event
            assert not draining.done()
        else:
            await ws_peer.until(draining.done)
        at.board.note_asked(builders.CALL_SID)
        await asyncio.wait_for(draining, switchboard_module.QUESTION_S / 2)

    told(story_of)


def test_drained_process_does_not_wait_for_a_question_for_ever(monkeypatch):
    monkeypatch.setattr(switchboard_module, "QUESTION_S", 0.01)

    async def story_of(at, model):
        line = await at.open_driver()
        await ws_peer.until(lambda: line.model_leg.is_open)
        at.board.claim_line(TwilioLeg(at.board), start_for(line))
        at.board.is_draining = True
        line.receive(line.call.receive_hangup, "end_call:goodbye")

        await at.board.drain(60.0)

    told(story_of)


def test_call_that_is_being_opened_when_all_ends_is_given_up():
    async def story_of(at, model):
        async def never(ringing, now):
            await asyncio.Event().wait()

        at.board._plan_for = never
        opening = asyncio.ensure_future(at.open_driver())
        await ws_peer.until(lambda: at.board._opening)
        await at.board.close()

        with pytest.raises(Unserved, match="database_late"):
            await opening

    told(story_of)


def test_late_loop_takes_no_second_call_but_always_a_first():
    async def story_of(at, model):
        for _ in range(WINDOW_TICKS):
            at.board.admission.note(monotonic(), BUSY_S, 0.0, 1_000.0)
        closed = at.board.gauges()["admission_closed"][1]
        first = await at.open_driver("CA1")
        with pytest.raises(Unserved, match="lagging"):
            await at.open_driver("CA2")
        # A webhook that comes twice is still the same call's.
        assert await at.open_driver("CA1") is first
        for _ in range(WINDOW_TICKS):
            at.board.admission.note(monotonic(), BUSY_S, 0.0, 0.0)
        at.board.admission.note(monotonic() + SHUT_TOLD_S, BUSY_S, 0.0, 0.0)

        second = await at.open_driver("CA2")
        await ws_peer.until(
            lambda: first.model_leg.is_open and second.model_leg.is_open
        )
        assert closed == 1.0
        assert at.board.gauges()["admission_closed"][1] == 0.0

    told(story_of)


def test_busy_loop_takes_no_second_call_but_always_a_first():
    async def story_of(at, model):
        at.board.admission.note(monotonic(), BUSY_S, 0.9 * BUSY_S, 0.0)
        first = await at.open_driver("CA1")
        # Its admission is told of it: it counts before it is seen.
        assert at.board.admission.busy_expected(monotonic()) > 0.9
        with pytest.raises(Unserved, match="busy"):
            await at.open_driver("CA2")
        assert at.board.gauges()["loop_busy"][1] == 0.9

        at.board.admission.note(monotonic(), BUSY_S, 0.1 * BUSY_S, 0.0)
        second = await at.open_driver("CA2")
        await ws_peer.until(
            lambda: first.model_leg.is_open and second.model_leg.is_open
        )

    told(story_of)


def test_loop_that_neighbours_make_late_takes_the_calls_it_is_far_from_filling():
    async def story_of(at, model):
        for _ in range(WINDOW_TICKS):
            at.board.admission.note(monotonic(), BUSY_S, 0.99 * BUSY_S, 900.0, 0.95)

        lines = [await at.open_driver(f"CA{number}") for number in range(5)]
        await ws_peer.until(lambda: all(line.model_leg.is_open for line in lines))

    told(story_of)


def test_default_fallback_is_the_operators():
    async def story_of(at, model):
        assert at.board.default_fallback() == ("Op.", "en")

    told(story_of, fallback_sentence="Op.")


def test_tool_that_answers_as_the_call_ends_is_recorded():
    async def story_of(at, model):
        loop, failed = asyncio.get_running_loop(), []
        loop.set_exception_handler(lambda loop, context: failed.append(context))
        line = await at.open_driver("CA1")
        await ws_peer.until(lambda: line.model_leg.is_open)

        async def run(asked):
            # What comes between a task's last step and its callbacks.
            loop.call_soon(line.receive, line.call.receive_hangup, "checked")
            return builders.tool_result(asked.tool_call_id)

        line._beside._tools.run = run
        line.receive(lambda now: [RunTool("t", "leads_upsert", "{}")])
        await ws_peer.until(lambda: at.records)
        gc.collect()
        assert not failed

    told(story_of)
