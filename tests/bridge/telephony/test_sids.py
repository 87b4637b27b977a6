"""Which texts can name a call or a message."""

import pytest

from bridge.telephony.sids import is_call_sid, is_message_sid

DIGITS = "0123456789abcdef" * 2


@pytest.mark.parametrize("text", ["CA" + DIGITS, "CA1", "a" * 64])
def test_names_of_calls(text):
    assert is_call_sid(text)


@pytest.mark.parametrize("text", ["", "CA/1", "CA 1", "../x", "CÄ1", "a" * 65, "CA1\n"])
def test_texts_that_name_no_call(text):
    assert not is_call_sid(text)


@pytest.mark.parametrize("kind", ["SM", "MM"])
def test_names_of_messages(kind):
    assert is_message_sid(kind + DIGITS)


@pytest.mark.parametrize(
    "text",
    ["", "SM", "CA" + DIGITS, "SM" + DIGITS + "0", "sm" + DIGITS, f"SM{DIGITS}\n"],
)
def test_texts_that_name_no_message(text):
    assert not is_message_sid(text)
