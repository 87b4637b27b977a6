"""What a session is told: its configuration, and the few sentences of the bridge.

Pure functions turn a `CallPlan` into client events. All instructions to the model
outside the business's own prompt are here.
"""

from typing import Literal

import msgspec
from msgspec import UNSET

from bridge.call.operator_voice import Known
from bridge.call.plan import CallPlan, ToolRecord
from bridge.call.transcript import Role
from bridge.realtime import openai
from bridge.realtime.languages import transcribed
from bridge.telephony import sentences

CONFIGURE_ID = "configure"
LISTEN_ID = "listen"
PCMU = openai.Format(type="audio/pcmu")
PCM = openai.Format(type="audio/pcm", rate=24_000)

# Verbatim speech in the protocol: an empty input hides the history, but the output is
# still added to the conversation.
_VERBATIM = "Say exactly the following, nothing before or after: {text}"
# For a language that is not here, the model translates (_TRANSLATED).
_SAY_AGAIN = {
    "ar": "عذرًا، لم أستطع الإجابة. هل يمكنكم إعادة ما قلتم؟",
    "de": "Entschuldigung, ich konnte nicht antworten. Sagen Sie es bitte noch einmal?",
    "en": "Sorry, I could not answer that. Could you please say it again?",
    "es": "Lo siento, no he podido responder. ¿Puede repetirlo, por favor?",
    "fr": "Désolé, je n'ai pas pu répondre. Pouvez-vous répéter, s'il vous plaît ?",
    "he": "סליחה, לא הצלחתי לענות. אפשר לומר את זה שוב בבקשה?",
    "it": "Mi scusi, non sono riuscito a rispondere. Può ripetere, per favore?",
    "pt": "Desculpe, não consegui responder. Pode repetir, por favor?",
    "ru": "Извините, я не смог ответить. Повторите, пожалуйста, ещё раз.",
}
_TRANSLATED = (
    "Say exactly the following in the language with the ISO 639-1 code {language}, "
    "translated, nothing before or after: {text}"
)
_STILL_THERE = (
    "The caller has been silent for a while. In one short sentence, in the language of "
    "this conversation, ask whether they are still there."
)
_GOODBYE = (
    "Say one short, polite goodbye in the language of this conversation and nothing "
    "else. Reason for ending the call: {reason}."
)
_CLOSING = (
    "This call must end in about a minute. Say so in one short, polite sentence, in "
    "the language of this conversation, and ask what is still most important."
)
_LINE_WAS_LOST = (
    "The telephone line was lost for some seconds and is back; what the caller said "
    "meanwhile was not heard. Say so in one short sentence, in the language of this "
    "conversation, and ask them to go on."
)
_CAME_BACK = (
    "The telephone line was lost for a moment and is back. Say so in one short "
    "sentence of apology, in the language of this conversation. If your last words "
    "were cut off, then say what is missing of them, and nothing that the caller has "
    "heard. If the caller waits for an answer, say no more: you will give it next. "
    "Otherwise ask them to go on. What the caller said meanwhile was not heard."
)
_CAME_BACK_ENDING = (
    "The telephone line was lost for a moment, as this call was ending. Say so in one "
    "short sentence of apology, in the language of this conversation. Then say what is "
    "missing of your last words, or goodbye. Ask nothing: the call ends now."
)
_FILLER = (
    "Say only that it will take a moment, in two to five words, in the language of "
    "this conversation. Do not answer yet."
)
_LOOP = (
    "You have said the same thing several times. If the caller asks to hear it again, "
    "say it in other words. Else do not repeat it: take the conversation one step "
    "further, or offer to end the call."
)

_HINT = (
    "A hint from the business, which the caller does not hear: {text}\n"
    "Use it, and do not mention the hint."
)
_TAKEN_OVER = (
    "A person of the business has taken over this call and speaks with the caller. You "
    "hear the caller, but not that person. Say nothing until the call is handed back."
)
_SAID_BY_PERSON = "The person of the business said to the caller: {text}"
_HANDED_BACK = (
    "The person of the business, who spoke with the caller for {seconds} seconds, has "
    "handed this call back to you. {said} {note} Go on from here. If nothing is open, "
    "ask in one short sentence what else you can do."
)
_SAID = {
    Known.NOTHING: (
        "What the caller said meanwhile is in this conversation as far as it could be "
        "transcribed; what that person said is not."
    ),
    Known.PART: (
        "What both said meanwhile is in this conversation as far as it is known. A "
        "part of what that person said is missing: do not guess it. If it becomes "
        "known, you are told."
    ),
    Known.ALL: "What both said meanwhile is in this conversation: keep to it.",
}
_NOTE = "That person notes: {text}"
_NO_NOTE = {
    Known.NOTHING: "That person has left no note: do not guess what was agreed.",
    Known.PART: "That person has left no note.",
    Known.ALL: "That person has left no note.",
}
_OPERATOR_LOST = (
    "The connection to the person of the business, who spoke with the caller, was "
    "lost. The call is yours again. {said} Do not guess what was agreed. Apologise in "
    "one short sentence, and go on."
)

# Errors after which a session cannot be used. OpenAI has moved names between `code` and
# `type`, so both are checked.
FATAL_CODES = frozenset(
    (
        "insufficient_quota",
        "credit_balance_exhausted",
        "billing_hard_limit_reached",
        "account_deactivated",
        "invalid_api_key",
        "beta_api_shape_disabled",
        "model_not_found",
    )
)
# What was sent is wrong: if sent again, it is refused again.
REFUSED_CODES = FATAL_CODES | {
    "invalid_event",
    "invalid_value",
    "missing_required_parameter",
    "unknown_parameter",
    "string_above_max_length",
    "cannot_update_voice",
}
# Limits of an account, per minute: another session does not help, only time does.
LIMITED_CODES = frozenset(("rate_limit_exceeded", "inference_rate_limit_exceeded"))
EXPIRED = "session_expired"
# The type of nearly every error, also of those that pass, such as a limit.
INVALID_REQUEST = "invalid_request_error"
# Races that the protocol calls harmless.
NOTHING_TO_COMMIT = "input_audio_buffer_commit_empty"
HARMLESS_CODES = frozenset(
    (
        "response_cancel_not_active",
        NOTHING_TO_COMMIT,
        "item_create_duplicate_item_id",
    )
)


def is_refusal(error: openai.ErrorBody) -> bool:
    """Tell whether an error says that what was sent is wrong, and not that it came at a
    wrong time: by its code, or by its type if no code says that it passes."""
    names = {error.code, error.type}
    if names & REFUSED_CODES:
        return True
    return INVALID_REQUEST in names and not names & (LIMITED_CODES | {EXPIRED})


def configure(plan: CallPlan) -> openai.SessionUpdate:
    """Return the one `session.update` of a call."""
    options = plan.options
    is_custom = options.openai_voice.startswith("voice_")
    return openai.SessionUpdate(
        event_id=CONFIGURE_ID,
        session=openai.SessionConfig(
            instructions=plan.instructions,
            tools=plan.tools,
            audio=openai.SessionAudio(
                input=openai.AudioInput(
                    format=PCMU,
                    transcription=openai.Transcription(
                        model=options.openai_transcription_model,
                        language=transcribed(plan.language) or UNSET,
                    ),
                    turn_detection=_turn_detection(plan),
                ),
                output=openai.AudioOutput(
                    format=output_format(plan),
                    voice={"id": options.openai_voice}
                    if is_custom
                    else options.openai_voice,
                ),
            ),
        ),
    )


def listen(plan: CallPlan, *, answers: bool) -> openai.SessionUpdate | None:
    """Return the update that has the server answer the caller's turns, or no longer.

    None in `gate` mode, where the server answers none by itself.
    """
    detection = _turn_detection(plan)
    if detection is None:
        return None
    detection = msgspec.structs.replace(detection, create_response=answers)
    audio = openai.InputChange(input=openai.TurnDetectionChange(detection))
    return openai.SessionUpdate(
        event_id=LISTEN_ID, session=openai.SessionChange(audio=audio)
    )


def output_format(plan: CallPlan) -> openai.Format:
    """Return the format of the model's speech."""
    return PCM if plan.options.openai_output_format == "audio/pcm" else PCMU


def _turn_detection(plan: CallPlan) -> openai.ServerVad | openai.SemanticVad | None:
    if plan.options.turn_detection == "server_vad":
        return openai.ServerVad(silence_duration_ms=plan.options.turn_silence_ms)
    if plan.options.turn_detection == "semantic_vad":
        return openai.SemanticVad()
    return None


def wrong_format(session: openai.Session, plan: CallPlan) -> str | None:
    """Return what is wrong with the session the server echoed, or None.

    The server may leave a format out: it has then confirmed the requested one.
    """
    for side, wanted in (("input", PCMU), ("output", output_format(plan))):
        echoed = getattr(session.audio, side).format
        if echoed is not None and echoed.type != wanted.type:
            return f"expected {side} format {wanted.type}, got {echoed.type}"
    return None


def first_words(plan: CallPlan) -> openai.ResponseParams:
    """Return the request to speak the greeting word for word.

    In a call that another process has led, it is the request to apologise.
    """
    if plan.resumed is None or not plan.resumed.is_greeted:
        return _verbatim(plan.greeting)
    told = _CAME_BACK_ENDING if plan.resumed.end_reason else _CAME_BACK
    return openai.ResponseParams(tool_choice="none", instructions=told)


def own_greeting(plan: CallPlan) -> openai.ResponseParams:
    """Return the request for the bridge's greeting in place of the business's."""
    text = sentences.greeting_in(plan.language) or sentences.GREETINGS["en"]
    return _verbatim(text.format(name=plan.business_name))


def say_again(plan: CallPlan) -> openai.ResponseParams:
    """Return the request for the bridge's words in place of an inaudible answer."""
    text = _SAY_AGAIN.get(plan.language)
    if text is not None or not plan.language:
        return _verbatim(text or _SAY_AGAIN["en"])
    text = _TRANSLATED.format(language=plan.language, text=_SAY_AGAIN["en"])
    return openai.ResponseParams(input=(), tool_choice="none", instructions=text)


def still_there() -> openai.ResponseParams:
    """Return the request to ask a silent caller whether they are still there."""
    return openai.ResponseParams(tool_choice="none", instructions=_STILL_THERE)


def closing_soon() -> openai.ResponseParams:
    """Return the request to warn the caller that the call must end."""
    return openai.ResponseParams(tool_choice="none", instructions=_CLOSING)


def line_was_lost() -> openai.ResponseParams:
    """Return the request to address a caller whose stream was lost and is back."""
    return openai.ResponseParams(tool_choice="none", instructions=_LINE_WAS_LOST)


def filler() -> openai.ResponseParams:
    """Return the request for a filler while a tool runs."""
    return openai.ResponseParams(tool_choice="none", instructions=_FILLER)


def goodbye(reason: str) -> openai.ResponseParams:
    """Return the request for the last words of a call that the bridge ends."""
    return openai.ResponseParams(
        tool_choice="none", instructions=_GOODBYE.format(reason=reason)
    )


def loop_correction() -> openai.CreateItem:
    """Return the item that tells the model to leave a loop."""
    return _message("system", _LOOP)


def keypad(digits: str) -> openai.CreateItem:
    """Return the caller's digits as an item; the model does not hear the tones."""
    return _message("user", f"Keypad: {' '.join(digits.replace(' ', ''))}")


def operator_told(text: str) -> openai.CreateItem:
    """Return what the model is told by or of an operator, as an item."""
    return _message("system", text)


def hint(text: str) -> str:
    """Return an operator's hint as the model is told it."""
    return _HINT.format(text=text)


def taken_over() -> str:
    """Return what the model is told when an operator takes the call over."""
    return _TAKEN_OVER


def noted(note: str) -> str:
    """Return an operator's note as the model is told it."""
    return _NOTE.format(text=note)


def handed_back(lasted_s: float, note: str, known: Known = Known.NOTHING) -> str:
    """Return what the model is told when an operator hands the call back."""
    return _HANDED_BACK.format(
        seconds=round(lasted_s),
        said=_SAID[known],
        note=noted(note) if note else _NO_NOTE[known],
    )


def operator_lost(known: Known = Known.NOTHING) -> str:
    """Return what the model is told when an operator's connection is lost."""
    return _OPERATOR_LOST.format(said=_SAID[known])


def tool_output(tool_call_id: str, output: str) -> openai.CreateItem:
    """Return a tool's answer as an item."""
    return openai.CreateItem(
        item=openai.FunctionCallOutput(call_id=tool_call_id, output=output)
    )


def tool_call(tool_call_id: str, name: str, arguments: str) -> openai.CreateItem:
    """Return the call of a tool that an earlier session made."""
    return openai.CreateItem(
        item=openai.FunctionCall(call_id=tool_call_id, name=name, arguments=arguments)
    )


def tool_pair(tool: ToolRecord) -> tuple[openai.CreateItem, ...]:
    """Return a tool's call and answer in an earlier session."""
    asked = tool_call(tool.tool_call_id, tool.name, tool.arguments)
    return asked, tool_output(tool.tool_call_id, tool.result)


def said(role: Role, text: str) -> openai.CreateItem:
    """Return a turn of an earlier session, or of an operator in this one."""
    if role == "ai":
        item = openai.MessageItem(role="assistant", content=(openai.OutputText(text),))
        return openai.CreateItem(item=item)
    if role == "operator":
        return operator_told(_SAID_BY_PERSON.format(text=text))
    if role == "told":
        return operator_told(text)
    return keypad(text) if role == "keypad" else _message("user", text)


def sounded(audio: bytes) -> openai.CreateItem:
    """Return a caller's turn that an earlier session has not transcribed."""
    content = (openai.InputAudio(audio),)
    return openai.CreateItem(item=openai.MessageItem(role="user", content=content))


def _verbatim(text: str) -> openai.ResponseParams:
    instructions = _VERBATIM.format(text=text)
    return openai.ResponseParams(
        input=(), tool_choice="none", instructions=instructions
    )


def _message(role: Literal["user", "system"], text: str) -> openai.CreateItem:
    content = (openai.InputText(text=text),)
    return openai.CreateItem(item=openai.MessageItem(role=role, content=content))
