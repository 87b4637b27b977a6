"""A bound on a prompt's tokens; the real counts were made with o200k_base."""

import base64
from datetime import UTC, datetime

import pytest

from bridge.agent.prompt_length import fitting, token_bound

# Texts with what OpenAI's tokenizer makes of them.
COUNTED = [
    ("", 0),
    ("Wash, cut and blow-dry: $ 55.50, Mo-Fr 09:00-18:30.\n", 25),
    ("+1 (202) 555-0123", 10),
    ("0123456789", 4),
    ("שלום, הגעתם אל המספרה. איך אפשר לעזור?", 15),
    ("שָׁלוֹם לְכֻלָּם", 16),
    ("Здравствуйте, это салон. Чем я могу вам помочь?", 12),
    ("欢迎光临我们的理发店，请问您需要预约什么时间？", 15),  # noqa: RUF001 (Chinese)
    ("नमस्ते, मैं आपकी कैसे मदद कर सकता हूँ?", 13),
    ("ሰላም፣ እንዴት ልረዳዎት እችላለሁ?", 40),
    ("Sveiki, čia grožio salonas. Kuo galėčiau jums padėti?", 19),
    ("👩‍👩‍👧🎉", 10),
]


@pytest.mark.parametrize(("text", "tokens"), COUNTED)
def test_text_is_no_longer_than_its_bound_and_not_much_shorter(text, tokens):
    assert tokens <= token_bound(text) <= 3 * tokens + 4


def test_a_long_prompt_is_bounded_quickly_whatever_it_is():
    noise = base64.b64encode(bytes(range(256)) * 400).decode()

    assert token_bound(noise) > len(noise) / 5
    assert token_bound(" " * 100_000) < 10
    assert token_bound("\ud800") >= 1


def test_longest_of_what_is_known_is_left_out_until_the_rest_fits():
    short = {"name": "Dana", "city": "Acre", "next": datetime(2026, 12, 1, tzinfo=UTC)}

    assert fitting(short) == short
    assert fitting({}) == {}
    much = {"note": "x" * 900, **short, "plan": "y" * 1_200, "wish": "z" * 800}
    assert fitting(much) == {**short, "wish": "z" * 800}
