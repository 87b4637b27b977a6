"""docs/whatsapp.md has the limits and times of the code."""

import re

import pytest

from bridge.messaging import (
    contents,
    inbound,
    media,
    receiving,
    sending,
    splitting,
    twilio_messages,
    window,
)
from bridge.records.journal import MESSAGES_FOLDER

from .page import flat, page, section

PAGE = page("whatsapp.md")
WORDS = flat(PAGE)


@pytest.mark.parametrize(
    "told",
    [
        f"last message, less {24 * 3600 - window.WINDOW.total_seconds():.0f} s",
        f"`sent`, or after {sending.ORDER_WAIT.seconds} s",
        f"longer than {splitting.UNITS_MAX} characters",
        f"at most {contents.ROWS_MAX} rows, or at most {contents.BUTTONS_MAX} buttons",
        f"looked for at Twilio after {sending.FATE_WAIT.seconds} s",
        f"no callback comes within {sending.STATUS_WAIT.seconds} s",
        f"for {sending.STATUS_WAIT_MAX.seconds // 60} minutes at most",
        f"at most {sending.PAUSE_MAX.seconds} s, or when Twilio says",
        f"no answer within {twilio_messages.ANSWER_WAIT_S:.0f} s",
        f"`failed` after {sending.REFUSED_TRIES_MAX} tries",
        f"at most {receiving.FORMS_WAITING_MAX} messages and statuses",
        f"below `KOLBRIDGE_HOME/{MESSAGES_FOLDER}`",
        f"more than {inbound.BODY_CHARS_MAX} characters is cut",
        f"pictures up to {media.PICTURE_BYTES_MAX // 1024**2} MiB",
        f"sound up to {media.SOUND_BYTES_MAX // 1024**2} MiB",
        f"within {media.FETCH_WAIT_S:.0f} s",
    ],
)
def test_the_page_has_the_figures_of_the_code(told):
    assert told in WORDS


def test_codes_that_fail_at_once_are_among_those_of_the_code():
    told = section(PAGE, "## In order, and once")
    (line,) = [one for one in told.splitlines() if "such as" in one]

    assert set(map(int, re.findall(r"\b\d{5}\b", line))) <= sending.PERMANENT


def test_pauses_are_those_of_the_code():
    assert "after 1, 2, 4 … s" in WORDS
    assert sending.PAUSE.total_seconds() == 1
