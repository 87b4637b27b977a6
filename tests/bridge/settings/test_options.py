"""The settings of one call: what each may be, and what is said when it is not."""

import re

import pytest

from bridge.settings.options import CallOptions, OptionError, merge, merge_valid
from dsp.g711 import FRAME_MS


def test_what_is_not_named_stays():
    merged = merge(CallOptions(), {"TURN_SILENCE_MS": "640", "audio_agc": "on"})

    assert (merged.turn_silence_ms, merged.audio_agc) == (640, True)
    assert merged.openai_voice == "shimmer"


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("TURN_DETECTION", "magic", "server_vad, semantic_vad or gate"),
        ("OPENAI_VOICE", "nova", "one of alloy, ash"),
        ("TURN_SILENCE_MS", "50", "from 200 to 4000"),
        ("TURN_SILENCE_MS", "soon", "a whole number of ms"),
        ("MAX_CALL_SECONDS", "20000", "from 30 to 14400"),
        ("OPENAI_SESSION_SECONDS", "59", "from 60 to 7200"),
        ("AUDIO_FRAME_SIZE_MS", "30", "20 (the one size"),
        ("TOOL_FILLER", "maybe", "on or off"),
        ("BARGE_IN_IGNORE_BACKCHANNEL", "2", "on or off"),
        ("NUMBER_ACCOUNT", "AC1", "AC and 32 hexadecimal digits, or nothing"),
        ("NO_SUCH", "1", "there is no such setting"),
        ("openai_voices", "marin", "no such setting: is OPENAI_VOICE meant?"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(name, value, words):
    with pytest.raises(OptionError) as error:
        merge(CallOptions(), {name: value})

    assert str(error.value).startswith(f"{name}={value!r}: ")
    assert words in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("tool_filler", "yes", True),
        ("tool_filler", "0", False),
        ("audio_frame_size_ms", "20", 20),
        ("snr_start_normal", " 9.5 ", 9.5),
        ("openai_voice", "voice_mine-1", "voice_mine-1"),
        ("idle_prompt_ms", 9_000, 9_000),
    ],
)
def test_text_and_typed_values_are_read_alike(name, text, value):
    assert getattr(merge(CallOptions(), {name: text}), name) == value


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"snr_stop_normal": 9.0}, "at most SNR_START_NORMAL (8)"),
        ({"snr_stop_music": 13.0}, "at most SNR_START_MUSIC (12)"),
        ({"barge_in_ring_ms": 600}, "more than grace + preroll + confirmation (610)"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(overrides, words):
    with pytest.raises(OptionError, match=re.escape(words)):
        merge(CallOptions(), overrides)


def test_a_wrong_setting_takes_no_other_with_it():
    options, wrong = merge_valid(
        CallOptions(),
        {
            "caller_trust": "attested",
            "openai_voice": "fable",
            "of_a_later_version": 1,
            "limit_open_bookings_per_caller": 3,
        },
    )

    assert options == CallOptions(
        caller_trust="attested", limit_open_bookings_per_caller=3
    )
    assert [line.partition("=")[0] for line in wrong] == [
        "openai_voice".upper(),
        "of_a_later_version",
    ]


def test_a_wrong_trust_trusts_no_number():
    options, _ = merge_valid(CallOptions(), {"caller_trust": "everybody"})

    assert options.caller_trust == "attested"


def test_the_one_size_of_a_frame_is_what_a_frame_is():
    assert CallOptions().audio_frame_size_ms == FRAME_MS
    with pytest.raises(OptionError):
        merge(CallOptions(), {"AUDIO_FRAME_SIZE_MS": 2 * FRAME_MS})
