"""What a text may show: numbers as people write them go, what only looks so stays."""

import io
import re

import pytest
from hypothesis import given, strategies as st

from bridge.telemetry.masking import VisibleStream, clean, mask_phone, one_line, visible

# Fictional numbers, in the forms of speakers, models and forms.
NUMBERS = [
    "+12025550123", "12025550123", "2025550123", "202-555-0123", "202 555 0123",
    "(202) 555-0123", "(202)555-0123", "1 (202) 555-0123", "+1 (202) 555-0123",
    "202.555.0123", "+1.202.555.0123", "202/555/0123", "202_555_0123",
    "050-1234567", "050 123 45 67", "050  1234567", "050 - 123 - 4567",
    "050\u2013123\u20134567", "050\u2014123\u20144567", "050\u2011123\u20114567",
    "050\u05be123\u05be4567", "050\u2212123\u22124567", "050\uff0d1234567",
    "050\u00a0123\u00a04567", "05\u200e012\u202d34567", "05-01-23-45-67",
    "0 5 0 1 2 3 4 5 6 7", "0, 5, 0, 1, 2, 3, 4, 5, 6, 7",
    "\u0660\u0665\u0660\u0661\u0662\u0663\u0664\u0665\u0666\u0667",
    "555-0123", "5550123", "+972-(0)50-1234567",
    "4111 1111 1111 1111", "4111-1111-1111-1111", "4111111111111111",
    "123-45-6789", "987654321",
]  # fmt: skip
AROUND = [
    "%s", "call me on %s!", "tel:%s", "sip:%s@host", "whatsapp:%s", "number=%s",
    '{"phone":"%s"}', "Caller said: it is %s.", "a%s", "%sx12", "/%s", "2026-11-28 %s",
]  # fmt: skip
KEPT = [
    f"WS_STOP sid=MZ{'0123456789' * 3} rx=1000000000 tx=12",
    "call CA0123456789abcdef0123456789abcdef and item_0123456789012345678901",
    "c0a80101-1234-4567-8901-123456789012",
    "at 2026-11-21 10:30, 2026-11-28T10:00:00.123456+02:00",
    "on 28.11.2026 or 11/28/2026, open 09:00-17:30, 10:00-11:00",
    "took 123456789.25 ms", "bytes=123456789 snr=12.5 code=1006",
    "12 of 34 done", "worker 0 of 2, pid 1234567",
    "listening on 192.168.100.200:8080", "1 (800) FLOWERS",
]  # fmt: skip


def digits_of(text):
    return sum(one.isdigit() for one in text)


@pytest.mark.parametrize("around", AROUND)
@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_are_masked_however_they_are_written(number, around):
    shown = clean(around % number)

    beside = digits_of(around.replace("%s", "")) + 4 * shown.count("<U+20")
    assert digits_of(shown) - beside <= 6
    assert number not in shown
    assert "…" in shown


@pytest.mark.parametrize("text", KEPT)
def test_what_only_looks_like_a_number_stays(text):
    assert clean(text) == text


def test_number_under_a_name_that_is_somebodys_is_masked():
    assert clean("caller_number=12025550123 bytes=12025550123") == (
        "caller_number=1202…23 bytes=12025550123"
    )


# Texts that are dense in what the mask looks at.
PIECES = st.sampled_from(
    [*NUMBERS, *KEPT, "0", "12", "345", " ", ", ", "-", ".", ":", "=", "a", "…", "+",
     "(", ")", "\u202e", "<U+202E>", "x=", "phone=", "2026-11-28"]
)  # fmt: skip
TEXTS = st.lists(PIECES, max_size=8).map("".join)


@given(TEXTS)
def test_masking_a_masked_text_changes_nothing(text):
    assert clean(clean(text)) == clean(text)


@given(TEXTS)
def test_what_stands_before_a_text_changes_nothing_in_it(text):
    assert clean(f"[REALTIME] Caller said: {clean(text)}") == clean(
        f"[REALTIME] Caller said: {text}"
    )


@given(st.text(max_size=60))
def test_no_text_keeps_a_number_or_a_hidden_character(text):
    shown = clean(f"{text}+12025550123{text}")

    assert "12025550123" not in shown
    assert not re.search(
        "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e]", shown
    )


@pytest.mark.parametrize(
    ("number", "masked"),
    [
        ("+12025550123", "+120…23"),
        ("whatsapp:+12025550123", "+120…23"),
        ("(202) 555-0123", "(202…23"),
        ("5550123", "…23"),
        ("anonymous", "anonymous"),
        ("", "anonymous"),
        ("sip:alice@example.com", "…"),
    ],
)
def test_masked_number_tells_calls_apart_and_no_more(number, masked):
    assert mask_phone(number) == masked


def test_secrets_are_blotted_out_but_for_short_ones():
    assert clean("key sk-abcdefgh short", ("sk-abcdefgh", "short")) == "key *** short"


def test_hidden_characters_are_shown_by_their_code():
    assert visible("a\tb\n\x1b[2J\u202e\U000e0041") == (
        "a\tb\n\\u001b[2J\\u202e\\udb40\\udc41"
    )
    assert one_line("a\tb\r\n") == r"a\u0009b\u000d\u000a"
    # What joins letters, and letters of any script, stay.
    assert visible("שלום नमस्ते \u200d\u200c") == "שלום नमस्ते \u200d\u200c"


def test_stream_shows_what_a_terminal_would_obey():
    below = io.StringIO()
    print("\x1b]0;title\x07", file=VisibleStream(below), flush=True)

    assert below.getvalue() == "\\u001b]0;title\\u0007\n"
    assert VisibleStream(below).writable()
    assert not VisibleStream(below).isatty()
    with pytest.raises(io.UnsupportedOperation):
        VisibleStream(below).fileno()
