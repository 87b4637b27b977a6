"""docs/tools.md names every tool, argument, type and limit as the code has it."""

import re
from uuid import UUID

import pytest
from msgspec.structs import replace

from bridge.agent import tools
from bridge.agent.crm_tools import crm_tools
from bridge.agent.identity import Worth
from bridge.call import tool_calls
from bridge.line import side_tasks
from bridge.settings.process import Settings
from crm import appointments, proofs
from crm.businesses import Business, Person

from .page import flat, page, rows, section

PAGE = page("tools.md")
SALON = Business(
    id=UUID(int=1),
    name="Dana's Salon",
    language="en",
    country="US",
    time_zone="America/New_York",
    greeting="",
    custom_prompt="",
    fallback_sentence="",
)
HEADER = "| argument | type | required | meaning |"
# How the page says what a pattern takes, and what shows that it does.
PATTERNS = {
    r"^(\d{4}-\d{2}-\d{2})?$": ("day, `YYYY-MM-DD`", "2026-11-24"),
    r"^([01]\d:[0-5]\d|2[0-3]:[0-5]\d)?$": ("time, `HH:MM`", "16:30"),
}


def specified(worth=Worth.UNVERIFIED):
    """Return the tools of a call as its session is told of them, by name."""
    made = crm_tools(None, SALON, "+12025550123", worth=worth)
    return {one.name: one for one in tools.specifications(made)}


def type_of(schema):
    if "enum" in schema:
        *others, last = (f"`{one}`" for one in schema["enum"])
        return f"{', '.join(others)} or {last}"
    assert schema["type"] == "string"
    if "pattern" in schema:
        return PATTERNS[schema["pattern"]][0]
    return f"text, at most {schema['maxLength']} characters"


def test_each_tool_of_the_model_has_a_section_and_nothing_else_has():
    # What stands before the first tool are the rules of all of them.
    headings = re.findall(r"^## (\w+)$", PAGE, re.MULTILINE)

    assert set(headings) == set(specified())
    assert len(headings) == len(set(headings))


@pytest.mark.parametrize("name", sorted(specified()))
def test_each_argument_stands_there_with_its_type(name):
    parameters = specified()[name].parameters
    expected = [
        [f"`{field}`", type_of(schema), "yes" if is_required else "no"]
        for field, schema in parameters["properties"].items()
        for is_required in [field in parameters["required"]]
    ]

    assert [row[:3] for row in rows(section(PAGE, f"## {name}"), HEADER)] == expected


@pytest.mark.parametrize("name", sorted(specified()))
def test_each_argument_has_the_meaning_that_the_model_is_given(name):
    properties = specified()[name].parameters["properties"]

    for cells in rows(section(PAGE, f"## {name}"), HEADER):
        told = properties[cells[0].strip("`")].get("description")
        assert cells[3]
        assert told in (None, cells[3])


def test_arguments_for_staff_are_the_codes():
    people = (Person(0, "Dana"), Person(1, "Maya"))
    made = crm_tools(None, replace(SALON, staff=people), "+12025550123")
    found = rows(section(PAGE, "## The arguments for staff"), HEADER)

    assert [cells[0] for cells in found] == ["`staff`", "`staff_now`"]
    for cells in found:
        told = {
            tuple(schema.values())
            for one in tools.specifications(made)
            for field, schema in one.parameters["properties"].items()
            if f"`{field}`" == cells[0]
        }
        assert len(told) == 1
        assert cells[3] in told.pop()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_patterns_words_are_true(pattern):
    _, example = PATTERNS[pattern]
    assert re.fullmatch(pattern, example)
    assert not re.fullmatch(pattern, f"x{example}")


def test_the_limits_are_the_codes():
    found = [row[1] for row in rows(PAGE, "| limit | value | beyond it |")]

    assert found == [
        str(tool_calls.TOOLS_MAX),
        str(side_tasks.TOOLS_IN_FLIGHT_MAX),
        str(tool_calls.ARGUMENT_CHARS_MAX),
        str(tools.OUTPUT_BYTES_MAX),
    ]


def test_the_figures_in_the_text_are_the_codes():
    deadline_ms = Settings.__struct_defaults__[
        Settings.__struct_fields__.index("tool_deadline_ms")
        - len(Settings.__struct_fields__)
    ]
    verify = flat(section(PAGE, "## caller_verify"))

    assert f"`TOOL_DEADLINE_MS` ({deadline_ms})" in PAGE
    assert f"{proofs.TRIES_PER_CALL} tries in a call" in verify
    assert f"{proofs.TRIES_PER_DAY} in a day" in verify
    booking = section(PAGE, "## calendar_create_appointment")
    assert f"up to {appointments.ALTERNATIVES_MAX}" in booking


def test_only_an_unverified_caller_is_offered_the_proof():
    assert "caller_verify" not in specified(Worth.VERIFIED)
    assert "caller_verify" in specified(Worth.UNVERIFIED)
    verify = flat(section(PAGE, "## caller_verify"))
    assert "Only an unverified caller's call has this tool." in verify
