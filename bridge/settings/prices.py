"""The cost of a call, or of a turn in writing: its tokens by kind, times the prices.

Prices are per million tokens and per minute, in the currency of the table. The vendor
publishes no prices over its API and changes them. The built-in table therefore has a
date, and an operator's table replaces it. If a model that a call used has no price, the
call has no cost, never a partial one. A model that is priced by the minute alone, and
whose usage has no audio, has no price either, nor has one that is priced by tokens
alone and whose usage is seconds.
"""

from collections.abc import Mapping

import msgspec

# Transcription is billed separately: its usage has this prefix.
TRANSCRIPTION = "transcription."
_MILLION = 1e6
# A token of a caller's audio is 100 ms: developers.openai.com/api/docs/guides/
# realtime-costs.
_AUDIO_TOKEN_S = 0.1


class Price(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Prices of one model; an omitted kind is free."""

    text_in: float = 0.0
    text_cached: float = 0.0
    # Of tokens that are kept for a later request; 0: they cost as the others.
    text_written: float = 0.0
    text_out: float = 0.0
    audio_in: float = 0.0
    audio_cached: float = 0.0
    audio_out: float = 0.0
    minute: float = 0.0


Prices = dict[str, Price]

# US dollars, from each model's page at developers.openai.com/api/docs/models.
PRICES_DATE = "October 2026"
_VOICE = Price(
    text_in=4, text_cached=0.4, text_out=24, audio_in=32, audio_cached=0.4, audio_out=64
)
VENDOR_PRICES: Prices = {
    "gpt-realtime-2.1": _VOICE,
    "gpt-realtime-2.1-mini": Price(
        text_in=0.6,
        text_cached=0.06,
        text_out=2.4,
        audio_in=10,
        audio_cached=0.3,
        audio_out=20,
    ),
    "gpt-realtime-2": _VOICE,
    "gpt-realtime-1.5": msgspec.structs.replace(_VOICE, text_out=16),
    "gpt-transcribe": Price(minute=0.0045),
    "gpt-6-luna": Price(
        text_in=0.1, text_cached=0.01, text_written=0.125, text_out=0.5
    ),
    "gpt-6.1-terra": Price(text_in=1, text_cached=0.05, text_written=1.25, text_out=5),
}


def read_prices(text: str) -> Prices:
    """Read the table from its JSON text; ValueError says what is wrong."""
    try:
        return msgspec.json.decode(text, type=Prices)
    except (msgspec.DecodeError, UnicodeError) as error:
        kinds = ", ".join(Price.__struct_fields__)
        raise ValueError(
            f'expected {{"model": {{"audio_in": 32}}}} with any of {kinds}: {error}'
        ) from None


def cost_of(
    usage: Mapping[str, float], model: str, transcription_model: str, prices: Prices
) -> float | None:
    """Return what a call's usage costs; None where a used model has no price."""
    heard = {
        name.removeprefix(TRANSCRIPTION): count
        for name, count in usage.items()
        if name.startswith(TRANSCRIPTION)
    }
    said = {
        name: count
        for name, count in usage.items()
        if not name.startswith(TRANSCRIPTION)
    }
    total = 0.0
    for name, used in ((model, said), (transcription_model, heard)):
        if not any(used.values()):
            continue
        cost = _cost(used, prices[name]) if name in prices else None
        if cost is None:
            return None
        total += cost
    return round(total, 6)


def _cost(used: Mapping[str, float], price: Price) -> float | None:
    """Return the cost of one model; None where its prices are of another unit.

    Cached tokens are a subset of the input tokens.
    """
    cached = "input_token_details.cached_tokens_details."
    text_cached = used.get(f"{cached}text_tokens", 0)
    written = used.get("input_token_details.cache_write_tokens", 0)
    dearer = price.text_written - price.text_in if price.text_written else 0.0
    audio_cached = used.get(f"{cached}audio_tokens", 0)
    audio_in = used.get("input_token_details.audio_tokens", 0)
    audio_out = used.get("output_token_details.audio_tokens", 0)
    # Tokens that are not audio are text, where the vendor gives totals only.
    text_in = used.get("input_tokens", 0) - audio_in
    text_out = used.get("output_tokens", 0) - audio_out
    tokens = (
        (text_in - text_cached) * price.text_in
        + text_cached * price.text_cached
        + written * dearer
        + text_out * price.text_out
        + (audio_in - audio_cached) * price.audio_in
        + audio_cached * price.audio_cached
        + audio_out * price.audio_out
    )
    seconds = used.get("seconds", 0)
    if price == Price(minute=price.minute):
        seconds = seconds or audio_in * _AUDIO_TOKEN_S
        if price.minute and not seconds:
            return None
    elif seconds and not price.minute and not (text_in or audio_in or text_out):
        return None
    return tokens / _MILLION + seconds / 60 * price.minute
