"""The operator of a simulated call: a person who steps in at random moments.

They give hints, take the call over, speak, hand it back with a note or without, take it
again, vanish, or have the AI say goodbye. What they say is transcribed, late, badly or
never in time. `Operated` checks what a call owes after their orders.
"""

from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any

from bench.simulation.invariant import check
from bench.simulation.requests import ANSWER_S
from bench.simulation.scenario import QUIET, SPEECH
from bridge.call.floor import FLOOR_WAIT_S
from bridge.call.machine import Call
from bridge.call.plan import (
    CallRecord,
    HandBack,
    OperatorOrder,
    OperatorWords,
    TakeOver,
    Transcribe,
    Whisper,
)
from bridge.realtime import openai
from bridge.telephony import twilio

if TYPE_CHECKING:
    from bench.simulation.world import World

FRAME_S = 0.02
# Nobody takes a call over later: the call must end.
LAST_S = 60.0
# How long they speak and are silent, in frames.
SPELL_FRAMES = 200
_SPEECH = (openai.ResponseCreate, twilio.OutboundMedia)
# A caller who speaks at the hand back is waited for so long, and answered then.
HANDED_S = FLOOR_WAIT_S + ANSWER_S


class Operator:
    """One person at the console, for one call."""

    def __init__(self, world: "World") -> None:
        self.notes: list[str] = []
        self._world = world
        # The call's own choices stay as they are without an operator.
        self._rng = Random(f"operator {world.scenario.seed}")
        self._is_here = False
        self._takeovers = 0
        self._frames = 0
        world.after(self._rng.expovariate(1 / 4.0), self._act)

    def _act(self) -> None:
        world, rng, choice = self._world, self._rng, self._rng.random()
        if world.is_over or (world.now > LAST_S and not self._is_here):
            return
        if self._is_here:
            self._leave()
            world.after(rng.choice((0.1, 0.3, 1.0, 5.0, 8.0)), self._act)
            return
        if choice < 0.3:
            self._order(Whisper(text="Offer ten.", speaks=rng.random() < 0.5))
        elif choice < 0.9:
            self._order(TakeOver())
            if world.call.takeover.is_speaking:
                self._is_here = True
                self._takeovers += 1
                world.after(FRAME_S, self._speak, self._takeovers)
        elif choice < 0.93:
            goodbye = partial(world.call.receive_hangup, politely=True)
            world.give("goodbye", goodbye, "operator")
        world.after(rng.choice((0.05, 0.5, 2.0, 4.0, 10.0)), self._act)

    def _leave(self) -> None:
        """Hand the call back, or vanish without a word."""
        self._is_here = False
        if self._rng.random() < 0.25:
            return
        note = self._rng.choice(("", f"Note {len(self.notes)}."))
        if note and self._world.call.takeover.is_speaking:
            self.notes.append(note)
        self._order(HandBack(note=note))

    def _order(self, order: OperatorOrder) -> None:
        self._world.give(order, self._world.call.receive_operator, order)

    def _speak(self, takeover: int) -> None:
        """Send a frame; one that comes while the process stands still is lost."""
        world, clip = self._world, SPEECH[0]
        if not self._is_here or takeover != self._takeovers or world.is_over:
            return
        self._frames += 1
        is_voice = self._frames // SPELL_FRAMES % 2
        frame = clip[self._frames % len(clip)] if is_voice else QUIET
        if world.scenario.unstalled(world.now) == world.now:
            for action in world.call.receive_operator_audio(frame, world.now):
                if type(action) is Transcribe:
                    self.transcribe(action)
                else:
                    check(world.call.takeover.is_speaking, "who has the call is heard")
                    world.play_passed()
        world.after(FRAME_S, self._speak, takeover)

    def transcribe(self, portion: Transcribe) -> None:
        """Have the words of a portion known some time later."""
        rng = self._rng
        words = OperatorWords(
            item_id=portion.item_id,
            text=rng.choice(("", "Ten percent.", "Come at four.")),
            failed=rng.random() < 0.1,
        )
        wait_s = rng.choice((0.1, 0.5, 1.5, 5.0))
        self._world.after(wait_s, self._give_words, words)

    def _give_words(self, words: OperatorWords) -> None:
        if not self._world.is_over:
            self._world.give(words, self._world.call.receive_operator_words, words)

    def check_notes(self, record: CallRecord) -> None:
        """Check that no note is lost: the model was told it, or the record has it."""
        told = " ".join(turn.text for turn in record.turns if turn.role == "told")
        lost = [note for note in self.notes if note not in told]
        check(not lost, "an operator's note is kept", lost)


class Operated:
    """The AI is silent in a takeover, and speaks in time after the hand back."""

    def __init__(self, call: Call) -> None:
        self._call = call
        self._was_on = False
        self._handed_at: float | None = None

    def before(self) -> None:
        """Note whether an operator has the call."""
        self._was_on = self._call.takeover.is_on

    def after(
        self, what: Any, actions: list[Any], *, is_busy: bool, now: float
    ) -> None:
        """Check that the AI is silent, or for how long it has been since."""
        call = self._call
        if self._was_on and call.takeover.is_on:
            is_said = any(type(action) in _SPEECH for action in actions)
            check(not is_said, "the AI is silent for an operator", what)
        if self._was_on and not call.takeover.is_on:
            self._handed_at = now
        if self._handed_at is None:
            return
        is_asked = any(type(action) is openai.ResponseCreate for action in actions)
        is_begun = type(what) is openai.ResponseCreated
        if is_asked or is_begun or call.takeover.is_on or not call.is_talking:
            self._handed_at = None
        elif is_busy or not call.is_session_ready:
            self._handed_at = now
        else:
            waited_s = now - self._handed_at
            check(waited_s <= HANDED_S, "after a hand back the AI speaks", waited_s)
