"""Loops: who says the same again, and whether that is one."""

import pytest

from bridge.call import loops
from bridge.call.loops import LOOP_TURNS
from bridge.call.plan import Phase
from bridge.call.transcript import Transcript
from bridge.media.playout import Cut
from bridge.realtime import openai
from tests.bridge import builders
from tests.bridge.builders import answered_call, done, of

QUESTION = "Which day would you like to come?"
SORRY = "Sorry, I did not understand that. Could you say it again?"


def talk(*turns):
    """A conversation of (role, text), in order."""
    transcript = Transcript()
    for number, (role, text) in enumerate(turns):
        transcript.set_text(role, f"{role}{number}", text, float(number))
    return transcript


def loop(transcript):
    """The AI's newest item if it goes round in a loop."""
    turn = loops.find(transcript.placed())
    return None if turn is None else turn.item_id


def answers_until_noticed(ai, caller, limit=30):
    """After how many answers two sides that go round are noticed; 0 if never."""
    transcript = Transcript()
    for number in range(limit):
        words = caller[number % len(caller)]
        transcript.set_text("caller", f"u{number}", words, 1.0)
        transcript.set_text("ai", f"a{number}", ai[number % len(ai)], 1.0)
        if loop(transcript):
            return number + 1
    return 0


def test_an_ai_that_says_the_same_three_times_is_in_a_loop():
    transcript = Transcript()
    for number in range(LOOP_TURNS):
        assert loop(transcript) is None
        text = QUESTION.upper() if number == 1 else QUESTION
        transcript.set_text("ai", f"i{number}", text, float(number))

    assert loop(transcript) == f"i{LOOP_TURNS - 1}"


@pytest.mark.parametrize(
    "said",
    [
        ["I want a person."] * 8,
        ["Thank you for watching."] * 8,  # what transcribers make of noise
        ["No, it is 050 123 4567.", "No, it is 050 123 4568."] * 4,
    ],
)
def test_what_the_caller_alone_repeats_is_no_loop(said):
    ai = [
        "How can I help you today?",
        "I am sorry, I cannot put you through.",
        "Shall I have somebody call you back?",
        "At what time would that suit you?",
        "May I have your name for that?",
        "I have noted it; what is it about?",
        "Is there anything else to tell them?",
        "Then they will call you back today.",
    ]
    turns = [one for pair in zip(said, ai, strict=True) for one in pair]
    roles = ["caller", "ai"] * len(said)

    assert loop(talk(*zip(roles, turns, strict=True))) is None


@pytest.mark.parametrize(
    "read_back",
    [
        ["Your number is 050-123-4567.", "Your number is 050-123-4568."] * 3,
        [f"So that is 0 5 0 1 2 3 4 5 6 {last}, is it?" for last in "789012"],
        [f"Let me spell that: D, A, N, {last}. Is that right?" for last in "AIEYOU"],
        [
            f"On Tuesday I have {hour}:30 free. Shall I book it?"
            for hour in range(9, 15)
        ],
    ],
)
def test_read_backs_that_differ_in_digits_or_letters_are_no_loop(read_back):
    assert loop(talk(*(("ai", text) for text in read_back))) is None


def test_a_read_back_that_never_changes_is_a_loop():
    assert loop(talk(*[("ai", "Your number is 050-123-4567.")] * 3))


@pytest.mark.parametrize("texts", [["Yes."] * 4, [QUESTION, QUESTION, "At nine then?"]])
def test_short_words_and_a_new_sentence_are_no_loop(texts):
    assert loop(talk(*(("ai", text) for text in texts))) is None


def test_a_reply_that_the_caller_cuts_short_may_be_begun_again():
    transcript = talk(*[("ai", "We are at 12 Main Street, behind the station.")] * 4)
    for number in range(4):
        transcript.cut(Cut(f"ai{number}", 0, 2_000, 3_000))

    assert loop(transcript) is None


def test_long_turns_that_are_nearly_the_same_are_a_loop():
    transcript = Transcript()
    for number, hour in enumerate(("nine", "five", "four")):
        text = (
            f"On Tuesday I have {hour} o'clock free, on Wednesday half past {hour} "
            "or two in the afternoon. Which of these would suit you best, or shall I "
            "look at next week? Please tell me, and I book it. "
        )
        transcript.set_text("ai", f"a{number}", text * 15, 1.0)

    assert loop(transcript) == "a2"


@pytest.mark.parametrize(
    ("callers", "is_loop"),
    [
        (["Leave a message after the tone.", "The line is busy, please hold."], True),
        (["At nine o'clock, please.", "What does it cost altogether?"], True),
        (["Yes.", "No."], False),
        (
            [
                "I would like to come on Tuesday.",
                "A haircut for my son, please.",
                "What does it cost altogether?",
                "Then rather at half past nine.",
                "My name is Dana Levi.",
                "Thank you, that is all for today.",
            ],
            False,
        ),
    ],
)
def test_two_machines_that_go_round_are_a_loop(callers, is_loop):
    transcript = Transcript()
    ai = ["How can I help you today?", "Sorry, I did not understand that."]
    for number in range(6):
        transcript.set_text("ai", f"a{number}", ai[number % 2], 1.0)
        words = callers[number % len(callers)]
        transcript.set_text("caller", f"u{number}", words, 1.0)

    assert bool(loop(transcript)) is is_loop


@pytest.mark.parametrize(
    ("ai_round", "caller_round", "answers"),
    [(1, 1, 3), (2, 2, 6), (3, 3, 9), (3, 1, 9)],
)
def test_two_machines_are_noticed_within_ten_answers(ai_round, caller_round, answers):
    ai = ["How can I help you today?", SORRY, "Are you there? I cannot hear you."]
    caller = [
        "You have reached the main office.",
        "Press one for sales, two for service.",
        "Please hold the line, all agents are busy.",
    ]
    found = answers_until_noticed(ai[:ai_round], caller[:caller_round])
    assert found == answers


def test_one_garbled_turn_does_not_hide_that_two_machines_go_round():
    ai = ["How can I help you today?", SORRY, "Are you there? I cannot hear you."] * 3
    caller = [
        "You have reached us.",
        "Press one for sales.",
        "Please hold the line.",
    ] * 3
    ai[4] = "I beg your pardon?"
    turns = [
        one
        for words, answer in zip(caller, ai, strict=True)
        for one in (("caller", words), ("ai", answer))
    ]
    assert loop(talk(*turns))


# --- what a call does about it ---


def converse(call, ai, caller=(), now=1.0):
    """Let the sides speak in turns; return when each correction came."""
    corrected = []
    for number, text in enumerate(ai):
        now += 1.0
        name = f"{now:.0f}"
        if caller:
            call.receive_openai(openai.Committed(item_id=f"u{name}"), now)
            words = caller[number % len(caller)]
            said = openai.TranscriptionCompleted(item_id=f"u{name}", transcript=words)
            call.receive_openai(said, now)
        builders.begun(call, f"r{name}", now)
        whole = openai.TranscriptDone(f"r{name}", f"a{name}", text)
        call.receive_openai(whole, now)
        actions = call.receive_openai(done(f"r{name}"), now)
        if of(openai.CreateItem, actions):
            corrected.append(number + 1)
        if call.phase is not Phase.TALKING:
            return corrected, number + 1
    return corrected, 0


def test_an_ai_that_talks_to_itself_is_corrected_and_then_stopped():
    assert converse(answered_call(), [QUESTION] * 9) == ([3], 4)


def test_a_caller_who_asks_again_and_again_is_not_hung_up_on_in_haste():
    address = "We are at Main Street, behind the old station."
    asks = ["Could you repeat that?", "Sorry, once more?", "Again, please."]
    assert converse(answered_call(), [address] * 9, asks) == ([3], 6)

    others = [address, "It is behind the station, on Main Street. Do you know it?"]
    asks += ["What street?", "Which station is it?", "Say that slowly.", "Where?"]
    assert converse(answered_call(), [address] * 3 + others * 2, asks) == ([3], 0)


def test_noise_that_nobody_can_write_down_is_given_as_much_time():
    assert converse(answered_call(), [SORRY] * 9, [""]) == ([3], 6)


def test_two_machines_are_stopped_a_round_after_their_correction():
    ai = ["How can I help you today?", SORRY, "Are you there? I cannot hear you."]
    caller = ["You have reached us.", "Press one for sales.", "Please hold the line."]

    assert converse(answered_call(), ai * 6, caller) == ([9], 12)


def test_another_loop_is_corrected_anew():
    call = answered_call()
    assert converse(call, [QUESTION] * 3 + ["Good, on Tuesday then."]) == ([3], 0)

    assert converse(call, [SORRY] * 4, now=20.0) == ([3], 4)
    assert call.ending.reason == "loop"


def test_a_correction_that_helps_ends_nothing():
    call = answered_call()
    assert converse(call, [QUESTION] * 3, ["Tuesday."]) == ([3], 0)
    assert converse(call, ["At nine or at ten?"] * 2, ["At ten."], now=20.0) == ([], 0)

    assert call.phase is Phase.TALKING


def test_a_response_without_words_is_no_news():
    call = answered_call()
    assert converse(call, [QUESTION] * 3) == ([3], 0)
    builders.begun(call, "x", 30.0)
    assert not of(openai.CreateItem, call.receive_openai(done("x"), 30.0))

    assert call.phase is Phase.TALKING
    assert builders.texts(call.receive_hangup("checked", 31.0))


def test_one_older_turn_that_differs_does_not_hide_a_round_of_two():
    first, second = "At what time would you like to come?", QUESTION
    other = "We are closed at noon; the chair is free from two."
    ai = [first, second, other, second, first, second]
    caller = ["What did you say to me?", "I did not hear what you said."] * LOOP_TURNS
    turns = [one for pair in zip(caller, ai, strict=True) for one in pair]

    assert loop(talk(*zip(["caller", "ai"] * len(ai), turns, strict=True)))
