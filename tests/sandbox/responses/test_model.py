"""What the sandbox's model of a chat says to what was written and what tools gave."""

import msgspec
import pytest

from bridge.sandbox.responses.model import Say, Use, answer

SLOTS = [
    {"starts_at": "2026-12-01T16:30:00+02:00", "spoken": "Tuesday at 16:30"},
    {"starts_at": "2026-12-01T17:00:00+02:00", "spoken": "Tuesday at 17:00"},
]
TIMES = [one["starts_at"] for one in SLOTS]
KNOWN = 'Writer: {"name": "Dana Levi"}\nServices: Cut (30 min), Beard (15 min)'


def tool(name, *fields, strict=True):
    properties = {one: {"type": ["string", "null"]} for one in fields}
    return {
        "type": "function",
        "name": name,
        "strict": strict,
        "parameters": {"type": "object", "properties": properties},
    }


TOOLS = [
    tool("leads_upsert", "name", "city"),
    tool("calendar_find_slots", "service"),
    tool("calendar_create_appointment", "starts_at", "service", "name"),
    tool("calendar_cancel_appointment", "starts_at"),
    tool("calendar_reschedule_appointment", "new_starts_at", "starts_at"),
    tool("ask_for_person", "reason", "text"),
]
SEND_TIMES = tool("send_times", "text", "starts_at")


def wrote(words):
    return {"role": "user", "content": words}


def said(words):
    return {"role": "assistant", "content": words}


def gave(name, output):
    text = msgspec.json.encode(output).decode()
    return [
        {"type": "function_call", "call_id": "c", "name": name, "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": text},
    ]


def to(*items, tools=(*TOOLS, SEND_TIMES), facts=KNOWN):
    return answer({"instructions": facts, "input": [*items], "tools": [*tools]})


def test_writer_whose_name_is_not_known_is_asked_for_it():
    asked = Say("With pleasure. What is your name?")
    assert to(wrote("I want an appointment"), facts="") == [asked]
    assert to(wrote("I want an appointment"), said(asked.text), wrote("Dana Levi")) == [
        Use("leads_upsert", {"name": "Dana Levi", "city": None}),
        Use("calendar_find_slots", {"service": "Cut"}),
    ]


def test_writer_without_a_number_is_asked_for_it_and_booked_for_it():
    tools = [
        tool("leads_upsert", "name", "phone"),
        TOOLS[1],
        tool("calendar_create_appointment", "starts_at", "name", "phone"),
        SEND_TIMES,
    ]
    asked = Say("Thank you. What is your phone number?")
    hidden = gave("leads_upsert", {"error": "phone: the number is hidden; ask for it"})
    found = gave("calendar_find_slots", {"slots": SLOTS})
    named = [said("With pleasure. What is your name?"), wrote("Dana")]
    assert to(*named, *hidden, *found, tools=tools) == [asked]

    phone = "+1 202 555 0123"
    given = [*named, said(asked.text), wrote(f"it is {phone}")]
    assert to(*given, tools=tools) == [
        Use("leads_upsert", {"name": None, "phone": phone}),
        Use("calendar_find_slots", {"service": "Cut"}),
    ]
    chosen = wrote(f"[chosen from what was offered: 16:30, starts_at={TIMES[0]}]")
    assert to(*given, said("Which?"), chosen, tools=tools) == [
        Use(
            "calendar_create_appointment",
            {"starts_at": TIMES[0], "name": None, "phone": phone},
        )
    ]


@pytest.mark.parametrize(
    ("words", "name", "arguments"),
    [
        ("book me for a beard", "calendar_find_slots", {"service": "Beard"}),
        ("אפשר לקבוע תור?", "calendar_find_slots", {"service": "Cut"}),
        ("please cancel it", "calendar_cancel_appointment", {"starts_at": None}),
        ("אני רוצה לבטל", "calendar_cancel_appointment", {"starts_at": None}),
        ("another time please", "calendar_find_slots", {"service": "Cut"}),
    ],
)
def test_what_is_wanted_leads_to_its_tool(words, name, arguments):
    assert to(wrote(words)) == [Use(name, arguments)]


def test_only_times_that_the_tool_gave_are_offered():
    found = gave("calendar_find_slots", {"slots": SLOTS})

    offer = "These times are free. Which one suits you?"
    assert to(wrote("book"), *found) == [
        Use("send_times", {"text": offer, "starts_at": TIMES})
    ]
    assert to(wrote("book"), *found, tools=TOOLS) == [
        Say(f"{offer} {', '.join(TIMES)}")
    ]
    nothing = gave("calendar_find_slots", {"slots": []})
    assert "nothing is free" in to(wrote("book"), *nothing)[0].text


@pytest.mark.parametrize("words", ["2", "the second one", f"(starts_at={TIMES[1]})"])
def test_chosen_time_is_booked(words):
    offered = said(f"Which one? starts_at={TIMES[0]} starts_at={TIMES[1]}")

    assert to(wrote("book"), offered, wrote(words)) == [
        Use(
            "calendar_create_appointment",
            {"starts_at": TIMES[1], "service": "Cut", "name": None},
        )
    ]


def test_chosen_time_moves_what_was_to_be_moved():
    offered = said(f"Which one? starts_at={TIMES[0]}")
    moved = Use(
        "calendar_reschedule_appointment",
        {"new_starts_at": TIMES[0], "starts_at": None},
    )

    assert to(wrote("move it"), offered, wrote("1")) == [moved]
    again = (said("Moved."), wrote("one more"), offered, wrote("1"))
    assert to(wrote("move it"), *again)[0].name == "calendar_create_appointment"


@pytest.mark.parametrize(
    ("name", "output", "words"),
    [
        (
            "calendar_create_appointment",
            {"booked": SLOTS[0]},
            "You are booked: Tuesday",
        ),
        ("calendar_reschedule_appointment", {"moved": SLOTS[0]}, "is now Tuesday"),
        ("calendar_cancel_appointment", {"cancelled": SLOTS[0]}, "is cancelled"),
        ("calendar_cancel_appointment", {"error": "none"}, "did not work: none"),
        ("leads_upsert", {"saved": []}, "How can I help"),
    ],
)
def test_what_a_tool_did_is_told(name, output, words):
    assert words in to(wrote("1"), *gave(name, output))[0].text


def test_taken_time_leads_to_another_offer():
    taken = {"error": "this time is taken", "alternatives": SLOTS}

    offer = to(wrote("1"), *gave("calendar_create_appointment", taken))
    assert offer[0].name == "send_times"


def test_languages_follow_the_writer():
    assert "בשמחה" in to(wrote("תור בבקשה"), facts="")[0].text
    assert "With pleasure" in to(wrote("תור"), wrote("book"), facts="")[0].text
    assert to(wrote("לדבר עם נציג"))[0].arguments["text"] == "נציג יענה לך כאן בקרוב."


def test_picture_and_thanks_are_answered():
    image = {"role": "user", "content": [{"type": "input_image", "image_url": "data:"}]}
    assert "picture" in to(image)[0].text
    assert "welcome" in to(wrote("thanks!"))[0].text


def test_tool_that_is_not_strict_gets_no_empty_arguments():
    loose = tool("calendar_find_slots", "service", strict=False)
    assert to(wrote("book"), tools=[loose], facts='"name":') == [
        Use("calendar_find_slots", {})
    ]
