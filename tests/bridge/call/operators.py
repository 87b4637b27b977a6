"""An operator in a call, for the tests of what an operator may do."""

from bridge.call import session_config
from bridge.call.machine import Call
from bridge.call.plan import OperatorWords, TakeOver, Transcribe
from bridge.realtime import openai

from ..builders import (
    FRAME_S,
    SILENCE,
    clip,
    done,
    fire,
    media,
    of,
    plan,
    talking_ai,
)

VOICE = b"\x42" * 160
SPEECH = clip("ai-en-greeting")
PAUSE = [SILENCE] * 40
MODES = ("server_vad", "semantic_vad", "gate")


def taken_over(now: float = 12.0, **options: object) -> Call:
    call = talking_ai(10.0, **options)
    call.receive_operator(TakeOver(), now)
    return call


def listen(*, answers: bool, **options: object) -> openai.SessionUpdate:
    update = session_config.listen(plan(**options), answers=answers)
    assert update is not None
    return update


def told(actions: list) -> list[str]:
    return [
        action.item.content[0].text
        for action in of(openai.CreateItem, actions)
        if isinstance(action.item, openai.MessageItem) and action.item.role == "system"
    ]


def both_speak(
    call: Call, frames: list[bytes], now: float, voice: bytes = SILENCE
) -> tuple[list, float]:
    """Let the caller and the operator send audio; timers fire when due."""
    return _send(call, [(frame, voice) for frame in frames], now)


def _send(
    call: Call, pairs: list[tuple[bytes, bytes]], now: float
) -> tuple[list, float]:
    actions = []
    for frame, voice in pairs:
        now += FRAME_S
        actions += fire(call, now)
        actions += call.receive_operator_audio(voice, now)
        actions += call.receive_twilio(media(frame), now)
    return actions, now


def operator_speaks(call: Call, seconds: float, now: float) -> tuple[list, float]:
    return both_speak(call, [SILENCE] * round(seconds / FRAME_S), now, VOICE)


def told_turns(call: Call) -> list[str]:
    return [turn.text for turn in call.record(99.0).turns if turn.role == "told"]


def operator_says(call: Call, frames: list[bytes], now: float) -> tuple[list, float]:
    """Let an operator speak to a caller who is silent."""
    return _send(call, [(SILENCE, frame) for frame in frames], now)


def heard(item_id: str, text: str, seconds: float = 0.0) -> OperatorWords:
    usage = {"type": "duration", "seconds": seconds} if seconds else {}
    return OperatorWords(item_id=item_id, text=text, usage=usage)


def talking_operator(**options: object) -> tuple[Call, list[Transcribe], float]:
    """Return a call whose operator has said a sentence and begun another."""
    call = taken_over(**options)
    call.receive_openai(done("r1", "cancelled"), 12.1)
    actions, now = operator_says(call, SPEECH + PAUSE + SPEECH, 12.1)
    return call, of(Transcribe, actions), now
