"""docs/calls.md: its pictures are drawn from real runs, its figures are the code's."""

import ast
import re
import runpy

import pytest

from bridge.call import (
    bad_messages,
    barge_in,
    greeting,
    history_seed,
    keypad,
    last_turn,
    sessions,
    standby_session,
    streams,
    time_limit,
)
from bridge.settings.options import CallOptions

from .page import DOCS, ROOT, flat, page, rows, section

PAGE = page("calls.md")
PICTURES = sorted(path.name for path in (DOCS / "pictures").glob("*.svg"))


@pytest.fixture(scope="module")
def script():
    pytest.importorskip("matplotlib")
    return runpy.run_path(str(ROOT / "scripts" / "draw_docs.py"))


def test_the_script_draws_the_pictures_of_the_page(script, tmp_path):
    script["main"](tmp_path)

    drawn = sorted(path.name for path in tmp_path.iterdir())
    assert drawn == PICTURES == sorted(re.findall(r"\(pictures/(.*?)\)", PAGE))


def test_the_short_sound_is_one_that_only_holds_the_reply(script):
    recording = script["read"](script["RECORDED"])
    until_s = script["VOICE_AT_S"] + script["COUGH_S"]

    trace = script["run"](recording, 7.6, until_s)

    held = [at for at, one in zip(trace.at_s, trace.is_held, strict=True) if one]
    assert 0.2 < held[-1] - held[0] <= barge_in.HOLD_S
    assert "Clear" not in [name for _, name in trace.marks]
    assert trace.sent_s[-1] > trace.sent_s[trace.at_s.index(held[-1])]


def test_the_voice_is_one_that_interrupts_and_is_given_from_its_first_sound(script):
    trace = script["run"](script["read"](script["RECORDED"]), 7.6)

    clear_s = next(at for at, name in trace.marks if name == "Clear")
    voiced = zip(trace.at_s, trace.voice, strict=True)
    given = [at for at, one in voiced if one == script["GIVEN_AT"] and at > 6]
    assert script["VOICE_AT_S"] < clear_s < script["VOICE_AT_S"] + 0.2
    assert given[0] < script["VOICE_AT_S"]


@pytest.mark.parametrize("name", CallOptions.__struct_fields__)
def test_a_default_in_brackets_is_the_settings(name):
    default = getattr(CallOptions(), name)
    shown = {True: "on", False: "off"}.get(default, f"{default}".removesuffix(".0"))
    for value in re.findall(rf"`{name.upper()}` \(([\w.]+)", PAGE):
        assert value in (shown, "default"), name
    for cells in rows(section(PAGE, "## Barge-in: how a caller interrupts"), HEADER):
        if cells[0] == f"`{name.upper()}`":
            assert cells[1] == shown


HEADER = "| setting | default | meaning |"
TEXT = flat(PAGE)


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("After {} frames of voice", barge_in.EVIDENCE_FRAMES),
        ("not confirmed within {} ms", round(barge_in.HOLD_S * 1e3)),
        ("a pause of {} s", keypad.PAUSE_S),
        ("at most {} of them", keypad.DIGITS_MAX),
        ("no greeting comes within {:.0f} s", greeting.GREETING_WAIT_S),
        ("for at most {:.0f} s, and stands in the record", last_turn.WORDS_WAIT_S),
        ("more than {} messages could not be read", bad_messages.MALFORMED_MAX),
        ("asks within {:.0f} s what comes next", streams.ASK_S),
        ("must come within {:.0f} s", streams.RETURN_S),
        ("More than {} lost streams", streams.LOSSES_MAX),
        ("up to {} entries of the conversation", history_seed.ENTRIES_MAX),
        ("no session can be had within {:.0f} s", sessions.REOPEN_S),
        ("More than {} lost sessions", sessions.LOSSES_MAX),
    ],
)
def test_a_figure_in_the_text_is_the_codes(words, value):
    assert words.format(value) in TEXT


def test_the_other_figures_are_the_codes():
    assert standby_session.RENEW_AT == 0.9
    assert "At nine tenths of its life" in TEXT
    assert time_limit.WARNING_S == 60


def test_every_reason_of_an_end_is_explained():
    ends = {"end", "end_politely", "fail", "Fail"}
    reasons = {
        argument.value
        for path in (ROOT / "bridge" / "call").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ends
        for argument in node.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
        if re.fullmatch("[a-z_]+", argument.value)
    }
    table = rows(
        section(PAGE, "## Endings"), "| reason | what happened | the caller hears |"
    )
    explained = {name.strip("`") for cells in table for name in cells[0].split(", ")}

    assert len(reasons) > 5
    assert reasons <= explained
