"""What a call cost, by its tokens and the table."""

import pytest

from bridge.settings.options import CallOptions
from bridge.settings.prices import VENDOR_PRICES, Price, cost_of, read_prices

PRICES = {
    "voice": Price(
        text_in=4, text_cached=1, text_out=16, audio_in=32, audio_cached=2, audio_out=64
    ),
    "scribe": Price(audio_in=6, text_out=10, minute=0.6),
}
USAGE = {
    "input_tokens": 1_000_000,
    "output_tokens": 500_000,
    "input_token_details.text_tokens": 400_000,
    "input_token_details.audio_tokens": 600_000,
    "input_token_details.cached_tokens_details.text_tokens": 100_000,
    "input_token_details.cached_tokens_details.audio_tokens": 200_000,
    "output_token_details.text_tokens": 100_000,
    "output_token_details.audio_tokens": 400_000,
}


def test_every_kind_has_its_price_and_cached_is_a_part_of_what_came_in():
    # 0.3 x 4 + 0.1 x 1 + 0.1 x 16 + 0.4 x 32 + 0.2 x 2 + 0.4 x 64
    assert cost_of(USAGE, "voice", "scribe", PRICES) == 41.7


def test_transcription_is_billed_by_its_own_model():
    heard = {
        "transcription.input_tokens": 1_000_000,
        "transcription.input_token_details.audio_tokens": 1_000_000,
        "transcription.output_tokens": 100_000,
    }
    assert cost_of(heard, "voice", "scribe", PRICES) == 7.0
    assert cost_of({**USAGE, **heard}, "voice", "scribe", PRICES) == 48.7
    assert cost_of({"transcription.seconds": 90}, "voice", "scribe", PRICES) == 0.9


def test_model_without_a_price_has_no_cost_and_never_a_half():
    assert cost_of(USAGE, "other", "scribe", PRICES) is None
    heard = {"transcription.seconds": 90}
    assert cost_of({**USAGE, **heard}, "voice", "other", PRICES) is None


def test_minutes_of_audio_are_counted_where_the_usage_comes_in_tokens():
    heard = {
        "transcription.input_tokens": 620,
        "transcription.input_token_details.text_tokens": 20,
        "transcription.input_token_details.audio_tokens": 600,
        "transcription.output_tokens": 150,
    }
    prices = {**PRICES, "hourly": Price(minute=0.6)}

    assert cost_of(heard, "voice", "hourly", prices) == 0.6
    both = {**heard, "transcription.seconds": 30}
    assert cost_of(both, "voice", "hourly", prices) == 0.3


def test_usage_in_a_unit_that_has_no_price_has_no_cost():
    tokens = {"transcription.input_tokens": 620, "transcription.output_tokens": 9}
    seconds = {"transcription.seconds": 90}
    prices = {
        **PRICES,
        "hourly": Price(minute=0.6),
        "counted": Price(audio_in=6, text_out=10),
        "free": Price(),
    }

    assert cost_of({**USAGE, **tokens}, "voice", "hourly", prices) is None
    assert cost_of({**USAGE, **seconds}, "voice", "counted", prices) is None
    for used in (tokens, seconds):
        assert cost_of(used, "voice", "free", prices) == 0.0


def test_nothing_used_costs_nothing():
    assert cost_of({}, "other", "other", {}) == 0.0


def test_a_call_of_the_default_models_has_a_cost():
    options = CallOptions()
    models = options.openai_model, options.openai_transcription_model
    heard = {"transcription.seconds": 60}

    # 0.3 x 4 + 0.1 x 0.4 + 0.1 x 24 + 0.4 x 32 + 0.2 x 0.4 + 0.4 x 64, and a minute
    assert cost_of({**USAGE, **heard}, *models, VENDOR_PRICES) == 42.1245


def test_a_turn_in_writing_costs_what_the_vendor_asks_for_cached_tokens():
    used = {
        "requests": 2,
        "input_tokens": 3_000_000,
        "input_token_details.cached_tokens_details.text_tokens": 1_000_000,
        "input_token_details.cache_write_tokens": 1_000_000,
        "output_tokens": 1_000_000,
    }

    assert cost_of(used, "gpt-6-luna", "", VENDOR_PRICES) == 0.735
    plain = {"m": Price(text_in=1, text_out=2)}
    assert cost_of(used, "m", "", plain) == 4.0


def test_table_is_json():
    assert read_prices('{"m": {"audio_in": 32}}') == {"m": Price(audio_in=32.0)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "truncated"),
        ('{"m": {"audio": 1}}', "unknown field `audio`"),
        ('{"m": {"audio_in": "x"}}', "audio_in"),
    ],
)
def test_wrong_table_says_what_is_wrong(text, words):
    with pytest.raises(ValueError, match=words):
        read_prices(text)
