"""What a recording's file holds, what it hides, and what is no recording."""

import zipfile
from functools import partial
from random import Random

import msgspec
import pytest
from hypothesis import given, strategies

from bridge.call.machine import Call
from bridge.call.plan import (
    HandBack,
    HangUp,
    Leg,
    Log,
    OperatorWords,
    RunTool,
    TakeOver,
    ToolResult,
    Whisper,
)
from bridge.call.streams import Transport
from bridge.realtime import openai
from bridge.recorder import recording
from bridge.recorder.recording import Header, RecordingError, Writer, read, show
from bridge.telemetry.masking import clean
from tests.bridge import builders

SECRET = "sk-very-secret-key"


def header(has_audio=True, **options):
    plan = msgspec.structs.replace(
        builders.plan("Call +15551234567.", **options), instructions=f"{SECRET} here"
    )
    return Header(plan=plan, opened_at=1.25, has_audio=has_audio)


def written(tmp_path, entries, has_audio=True, **options):
    """Write the inputs of a call, and read them back."""
    writer = Writer(
        header(has_audio, **options), secrets=(SECRET,), keeps_audio=has_audio
    )
    path = tmp_path / "call.zip"
    writer.write(path, (writer.step(*entry) for entry in entries))
    return path, read(path)


def inputs():
    call = Call(builders.plan(), 0.0)
    result = ToolResult(
        tool_call_id="c1",
        name="leads_upsert",
        arguments="{}",
        output="{}",
        ok=True,
        duration_ms=1.5,
        missing_fields=("name",),
    )
    words = OperatorWords(
        item_id="operator-2",
        text="Ten percent.",
        usage={"type": "duration", "seconds": 3},
    )
    return [
        (call.receive_twilio, (builders.media(b"\x12" * 160, "20"),)),
        (call.receive_twilio, (builders.mark("item_1:0:500"),)),
        (call.receive_openai, (builders.audio_delta("item_1", 100),)),
        (call.receive_openai, (builders.done(usage={"total_tokens": 3}),)),
        (call.receive_openai, (builders.error("server_error", "e1"),)),
        (call.receive_standby, (openai.SessionUpdated(builders.session()),)),
        (call.receive_timeout, ()),
        (call.receive_tool_result, (result,)),
        (call.receive_disconnect, (Leg.OPENAI, "lost")),
        (call.receive_transport, (Transport.GONE,)),
        (call.receive_limit, ("limit_minutes_per_day", 60.0)),
        (call.receive_malformed, (Leg.TWILIO, "no JSON")),
        (call.receive_unknown, (Leg.OPENAI, "new.event")),
        (call.receive_hangup, ("shutdown",)),
        (call.receive_operator, (Whisper(text="Offer ten.", speaks=True),)),
        (call.receive_operator, (TakeOver(),)),
        (call.receive_operator_audio, (b"\x42" * 320,)),
        (call.receive_operator_words, (words,)),
        (call.receive_operator, (HandBack(note="Ten percent."),)),
    ]


def test_every_message_comes_back_as_the_call_took_it(tmp_path):
    entries = [
        (take, what, 2.0 + at / 3, []) for at, (take, what) in enumerate(inputs())
    ]

    _, found = written(tmp_path, entries)

    for (take, what, now, _), step in zip(entries, found.steps, strict=True):
        assert step.method == take.__name__
        assert step.now == now
        assert tuple(found.arguments(step)) == what
    assert {step.method for step in found.steps} == recording.ARGUMENTS.keys()


def test_polite_hang_up_and_a_failure_of_ours_are_kept(tmp_path):
    call = Call(builders.plan(), 0.0)
    polite = partial(call.receive_hangup, politely=True)

    _, found = written(tmp_path, [(polite, ("shutdown",), 2.0, None)])

    assert found.steps[0].politely
    assert found.steps[0].method == "receive_hangup"
    assert found.steps[0].actions is None


def test_actions_are_plain_and_their_audio_is_a_fingerprint():
    audio = {"bytes": 3, "hash": recording.fingerprint(b"abc")["hash"]}

    assert show(openai.AppendAudio(b"abc")) == {
        "type": "input_audio_buffer.append",
        "audio": audio,
    }
    assert show(Log("info", "x")) == {"log": ["info", "x", False]}
    assert show(RunTool("c", "t", "{}")) == {"run_tool": ["c", "t", "{}"]}
    assert show(HangUp("why", False)) == {"hang_up": ["why", False]}
    assert recording.fingerprint(b"abd") != audio


def test_numbers_digits_secrets_and_tokens_are_not_written(tmp_path):
    call = Call(builders.plan(), 0.0)
    start = builders.start()
    start.start.custom_parameters["token"] = "stream-token"
    said = openai.TranscriptionCompleted(
        item_id="item_123456789", transcript="It is 050 123 4567."
    )
    entries = [
        (call.receive_twilio, (start,), 2.0, []),
        (call.receive_twilio, (builders.dtmf("7"),), 2.0, []),
        (call.receive_openai, (said,), 2.0, [Log("info", f"{SECRET} +15557654321")]),
    ]

    path, found = written(tmp_path, entries)

    with zipfile.ZipFile(path) as file:
        text = file.read(recording.STEPS_FILE).decode()
    for hidden in (SECRET, "stream-token", "5551234567", "123 4567", '"7"', "7654321"):
        assert hidden not in text
    assert "item_123456789" in text
    assert found.header.plan.from_number == "+155…01"
    assert found.header.plan.greeting == "Call +155…67."
    assert found.arguments(found.steps[1])[0].dtmf.digit == "0"


def test_keypad_text_hides_the_digits_and_keeps_the_keys():
    item = openai.CreateItem(
        item=openai.MessageItem(
            role="user", content=(openai.InputText(text="Keypad: 4 2 #"),)
        )
    )

    assert show(item)["item"]["content"][0]["text"] == "Keypad: 0 0 #"


@given(strategies.text(alphabet="0123456789+- .…a,", max_size=60))
def test_what_was_hidden_stays_as_it_is(text):
    once = clean(text)

    assert clean(once) == once


def test_without_audio_there_is_none_in_the_file(tmp_path):
    call = Call(builders.plan(), 0.0)
    entry = (call.receive_twilio, (builders.media(b"\x12" * 160),), 2.0, [])

    path, found = written(tmp_path, [entry], has_audio=False)

    with zipfile.ZipFile(path) as file:
        assert file.namelist() == [recording.STEPS_FILE]
    assert found.steps[0].what[0]["media"]["payload"]["bytes"] == 160
    assert found.why_not_replayed == "it was recorded without audio"


def test_pcm_of_the_model_is_named_so(tmp_path):
    call = Call(builders.plan(), 0.0)
    entry = (call.receive_openai, (builders.audio_delta("i", 20),), 2.0, [])

    _, found = written(tmp_path, [entry], openai_output_format="audio/pcm")

    assert len(found.audio["model.pcm"]) == 160
    assert found.arguments(found.steps[0]) == [builders.audio_delta("i", 20)]


def test_file_is_private_and_whole_or_not_there(tmp_path):
    path, _ = written(tmp_path, [])
    assert path.stat().st_mode & 0o077 == 0

    writer = Writer(header(), keeps_audio=True)
    with pytest.raises(TypeError):
        writer.write(tmp_path / "other.zip", [object()])
    assert list(tmp_path.iterdir()) == [path]


def test_audio_that_is_not_the_recordings_is_refused(tmp_path):
    call = Call(builders.plan(), 0.0)
    entry = (call.receive_twilio, (builders.media(b"\x12" * 160),), 2.0, [])
    _, found = written(tmp_path, [entry])
    found.audio[recording.CALLER_FILE] = b"\x13" * 160

    with pytest.raises(RecordingError, match="is not the audio"):
        found.arguments(found.steps[0])


def rebuilt(tmp_path, lines):
    path = tmp_path / "made.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(recording.STEPS_FILE, b"\n".join(lines))
    return path


@pytest.mark.parametrize("content", [b"", b"PK", b"text"])
def test_what_is_no_recording_is_refused(tmp_path, content):
    path = tmp_path / "x.zip"
    path.write_bytes(content)

    with pytest.raises(RecordingError, match="expected a recorded call"):
        read(path)


def test_a_zip_of_something_else_is_refused(tmp_path):
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("other", b"")

    with pytest.raises(RecordingError, match="expected a recorded call"):
        read(path)


def test_other_versions_methods_and_shapes_are_refused(tmp_path):
    made = header()
    newer = msgspec.json.encode(msgspec.structs.replace(made, version=3))
    with pytest.raises(RecordingError, match="expected version 1 or 2, got 3"):
        read(rebuilt(tmp_path, [newer]))

    first = msgspec.json.encode(made)
    with pytest.raises(RecordingError, match="a call has no record"):
        read(rebuilt(tmp_path, [first, b'{"now":1,"method":"record"}']))

    found = read(rebuilt(tmp_path, [first, b'{"now":1,"method":"receive_timeout"}']))
    assert found.arguments(found.steps[0]) == []
    found = read(rebuilt(tmp_path, [first, b'{"now":1,"method":"receive_twilio"}']))
    with pytest.raises(RecordingError, match="receive_twilio at 1"):
        found.arguments(found.steps[0])


def test_a_recording_of_version_1_is_read_and_written_as_version_2(tmp_path):
    first = msgspec.json.encode(msgspec.structs.replace(header(), version=1))
    path = rebuilt(tmp_path, [first, b'{"now":1,"door":"receive_timeout"}'])

    found = read(path)
    recording.rewrite(path, found, found.steps)

    assert found.steps[0].method == "receive_timeout"
    assert read(path).steps == found.steps
    with zipfile.ZipFile(path) as file:
        lines = file.read("call.jsonl").splitlines()
    assert msgspec.json.decode(lines[0])["version"] == 2
    assert lines[1] == b'{"now":1.0,"method":"receive_timeout"}'
    for step in (b'{"now":1,"method":"receive_timeout"}', b"[]"):
        with pytest.raises(RecordingError, match="expected a recorded call"):
            read(rebuilt(tmp_path, [first, step]))


def test_audio_that_is_missing_is_told(tmp_path):
    call = Call(builders.plan(), 0.0)
    entry = (call.receive_twilio, (builders.media(b"\x12" * 160),), 2.0, [])
    _, found = written(tmp_path, [entry], has_audio=False)

    with pytest.raises(RecordingError, match=r"receive_twilio at 2.0: KeyError"):
        found.arguments(found.steps[0])


def test_damaged_file_is_refused_or_read_as_it_was(tmp_path):
    call = Call(builders.plan(), 0.0)
    entry = (call.receive_twilio, (builders.media(b"\x12" * 160),), 2.0, [])
    path, found = written(tmp_path, [entry])
    whole = path.read_bytes()
    random = Random(4)

    refused = 0
    for _ in range(500):
        damaged = bytearray(whole)
        damaged[random.randrange(len(whole))] ^= 1 << random.randrange(8)
        path.write_bytes(damaged)
        try:
            assert read(path).steps == found.steps
        except (RecordingError, OSError):
            refused += 1
    assert refused > 250


@pytest.mark.parametrize("limit", ["STEPS_BYTES_MAX", "STEPS_MAX", "AUDIO_BYTES_MAX"])
def test_a_file_larger_than_any_call_is_refused(tmp_path, monkeypatch, limit):
    path, _ = written(tmp_path, [])
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("model.pcm", bytes(10_000))
        file.writestr("bomb", bytes(10_000))
    assert set(read(path).audio) <= set(recording.AUDIO_FILES)
    monkeypatch.setattr(recording, limit, 1)

    with pytest.raises(RecordingError, match="expected at most 1 "):
        read(path)
