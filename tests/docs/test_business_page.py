"""docs/business.md: its examples are businesses, and no field or verb is missing."""

from uuid import UUID

import msgspec
import pytest

from bridge.agent import prompt_length
from bridge.agent.calendar_tools import _PLAIN
from bridge.agent.prompt import CLOSURES_MAX
from bridge.business.quotas import Limit
from bridge.business.tenant_file import (
    TenantFile,
    from_business,
    read,
    to_business,
    write,
)
from bridge.cli.tenant import VERBS
from bridge.settings.message_options import BOTH
from bridge.settings.options import CallOptions
from bridge.telephony import sentences
from crm.businesses import Service

from .page import DOCS, blocks, flat, page, rows, section

PAGE = page("business.md")
EXAMPLES = {"toml": DOCS / "examples/salon.toml", "json": DOCS / "examples/bakery.json"}
ID = UUID(int=1)


def business_of(kind):
    file = read(EXAMPLES[kind].read_bytes(), is_json=kind == "json")
    return to_business(file, ID, CallOptions())


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_example_on_the_page_is_the_file_beside_it(kind):
    assert blocks(PAGE, kind)[0] == EXAMPLES[kind].read_text("utf-8")


@pytest.mark.parametrize("kind", EXAMPLES)
def test_an_example_is_a_business_and_comes_back_whole(kind):
    business = business_of(kind)
    written = write(from_business(business), is_json=kind == "json").encode()

    assert to_business(read(written, is_json=kind == "json"), ID, CallOptions()) == (
        business
    )


def test_the_first_example_shows_every_field():
    given = read(EXAMPLES["toml"].read_bytes(), is_json=False)

    assert all(msgspec.structs.asdict(given).values())


def test_the_first_example_says_what_it_seems_to():
    salon = business_of("toml")

    assert [one.dow for one in salon.hours] == [1, 1, 2, 2, 3, 3, 4, 4, 5]
    assert salon.settings["barge_in_grace_ms"] == 250
    assert salon.services[0] == Service("Haircut", 45, 5, "$80")
    assert [one.name for one in salon.staff] == ["Dana", "Maya"]
    assert salon.staff[1].services == ("Haircut",)
    assert (salon.closures[0].last_day - salon.closures[0].first_day).days == 2


def test_every_field_of_the_file_stands_there_with_its_default():
    found = {
        cells[0].strip("`"): cells[1].strip("`")
        for cells in rows(PAGE, "| field | default | meaning |")
    }
    empty = TenantFile(name="")

    assert list(found) == list(TenantFile.__struct_fields__)
    for name in found.keys() - {"name"}:
        assert found[name] == (getattr(empty, name) or "none"), name


def test_every_setting_of_a_business_stands_there_once():
    found = [
        name.strip("`").lower()
        for cells in rows(PAGE, "| about | settings |")
        for name in cells[1].split(", ")
    ]

    assert sorted(found) == sorted(BOTH)


def test_every_limit_stands_there_and_says_who_acts():
    found = {
        cells[0].strip("`").lower(): cells[2]
        for cells in rows(PAGE, "| setting | counts | when it is reached |")
    }
    limits = [
        name for name in CallOptions.__struct_fields__ if name.startswith("limit")
    ]

    assert sorted(found) == sorted(limits)
    for name, what in found.items():
        is_of_calls = name in {one.value for one in Limit}
        assert is_of_calls == ("the tool refuses" not in what), name


def test_every_verb_stands_there():
    found = [cells[0].strip("`") for cells in rows(PAGE, "| verb | does |")]

    assert sorted(found) == sorted(VERBS)


def test_the_figures_in_the_text_are_the_codes():
    text = flat(PAGE)
    most = prompt_length.TOKENS_MAX - prompt_length.CALLER_TOKENS

    assert f"at most {most} tokens" in text
    assert f"the model takes {prompt_length.TOKENS_MAX}" in text
    assert f"the next {CLOSURES_MAX} closures" in text
    assert f"an appointment takes {_PLAIN.minutes} minutes" in text


def test_a_business_without_a_greeting_has_one_in_its_language():
    assert sentences.greeting_in("he", "IL") is not None
    assert "a greeting in the business's language" in section(PAGE, "### Fields")
