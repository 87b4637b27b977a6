"""Numbers as people say them and as networks send them."""

import re
from pathlib import Path

import pytest

from crm import phones

MIGRATIONS = Path(phones.__file__).parent / "migrations"


@pytest.mark.parametrize(
    ("said", "country", "number"),
    [
        ("052-555-0123", "IL", "+972525550123"),
        ("+972 (0)52-5550123", "IL", "+972525550123"),
        ("00972525550123", "IL", "+972525550123"),
        ("٠٥٢٥٥٥٠١٢٣", "IL", "+972525550123"),
        ("\u200e+972-52-555-0123\u202c", "IL", "+972525550123"),
        # A range that was unassigned when the library's list was made.
        ("050-123-4567", "IL", "+972501234567"),
        ("(202) 555-0123 ext. 12", "US", "+12025550123"),
        ("tel:+1-202-555-0123", "IL", "+12025550123"),
        ("011 44 20 7946 0958", "US", "+442079460958"),
        ("06 1234 5678", "IT", "+390612345678"),
        ("+52 1 55 1234 5678", "MX", "+525512345678"),
        ("+800 1234 5678", "US", "+80012345678"),
        ("1-700-500-500", "IL", "+9721700500500"),
        # An area code of no area yet.
        ("+1 555 010 0001", "US", "+15550100001"),
    ],
)
def test_whole_numbers_are_read(said, country, number):
    assert phones.to_e164(said, country) == number
    assert phones.check(number) == number


@pytest.mark.parametrize(
    ("said", "country"),
    [
        ("555-0100", "US"),
        ("+1 555 0100", "US"),
        ("(202) 555-012", "US"),
        ("(202) 555-01234", "US"),
        ("052 555 012", "IL"),
        ("052 5550123 4", "IL"),
        ("+972 52 555 01 2", "IL"),
        ("0525550123", "US"),
        ("1111111111", "US"),
        ("+10000000000", "US"),
        ("999 999 9999", "US"),
        ("911", "US"),
        ("*2700", "IL"),
        # As long as no line of the plan, though numbers of a free service begin so.
        ("1800 123", "IL"),
        ("800 1111 1", "GB"),
        ("202-555-0123 or 202-555-0124", "US"),
        ("+266696687", "US"),
        ("+7378742833", "US"),
        ("+86282452253", "US"),
        ("anonymous", "US"),
        ("", "US"),
        ("1" * 250, "US"),
    ],
)
def test_parts_of_numbers_and_what_is_none_are_refused(said, country):
    with pytest.raises(phones.PhoneError, match=r"^phone: expected .*area code"):
        phones.to_e164(said, country)


def test_a_number_that_is_kept_has_its_plus_and_all_its_digits():
    for number in ("12025550123", "+1 202 555 0123", "+15550100", "0525550123"):
        with pytest.raises(phones.PhoneError, match=r"^numbers: expected an intern"):
            phones.check(number, "numbers")


@pytest.mark.parametrize(
    "address",
    [
        "+12025550123",
        "12025550123",
        "0012025550123",
        " +12025550123",
        "+1 (202) 555-0123",
        "sip:+12025550123@salon.sip.twilio.com",
        "sip:+12025550123@salon.sip.twilio.com;region=us1",
        "SIPS:12025550123@x",
        "sip:%2B12025550123@x",
        "sip:+12025550123;phone-context=x@y",
        "whatsapp:+12025550123",
        "tel:+1-202-555-0123;ext=1",
    ],
)
def test_a_dialled_number_is_found_in_every_form(address):
    assert phones.dialled(address) == "+12025550123"
    assert phones.sent(address, "IL") == "+12025550123"


@pytest.mark.parametrize(
    "address", ["", "+", "client:alice", "client:12025550123", "sip:alice@x", "a" * 99]
)
def test_what_is_no_number_is_not_made_one(address):
    assert phones.dialled(address) == ""
    assert phones.sent(address, "US") is None


@pytest.mark.parametrize(
    ("address", "country", "number"),
    [
        ("0525550123", "IL", "+972525550123"),
        ("525550123", "IL", "+972525550123"),
        ("972525550123", "IL", "+972525550123"),
        ("2025550123", "US", "+12025550123"),
        # Eleven digits that Israel's plan could hold, and no telephone there has.
        ("12025550123", "IL", "+12025550123"),
        ("12345", "IL", None),
    ],
)
def test_a_sender_without_a_plus_is_read_by_the_businesss_country(
    address, country, number
):
    assert phones.sent(address, country) == number


@pytest.mark.parametrize(
    ("number", "others"),
    [
        ("+5531987654321", ["+553187654321"]),
        ("+553187654321", ["+5531987654321"]),
        # A fixed line, one that never had eight digits, and a 7, which may be whole.
        ("+553132345678", []),
        ("+5511912345678", []),
        ("+551178123456", []),
        ("+5491123456789", ["+541123456789"]),
        ("+541123456789", ["+5491123456789"]),
        ("+548001234567", []),
        ("+12025550123", []),
        ("", []),
    ],
)
def test_a_line_of_brazil_or_argentina_may_have_two_numbers(number, others):
    assert phones.forms(number) == (number, *others)
    for other in others:
        assert phones.forms(other) == (other, number)
        assert {phones.read(one, "ZZ") for one in (number, other)} == {number, other}


@pytest.mark.parametrize(
    ("number", "is_one"),
    [
        ("+1234567", True),
        ("+123456789012345", True),
        ("+123456", False),
        ("+1234567890123456", False),
        ("+0234567", False),
        ("1234567", False),
        ("+123 4567", False),
        ("+1234567\n", False),
        ("+\u0661234567", False),
    ],
)
def test_the_form_of_a_number_is_one_for_us_and_for_the_database(number, is_one):
    checks = [
        found
        for path in MIGRATIONS.glob("*.sql")
        for found in re.findall(r"~ '\^(\\\+[^']*)\$'", path.read_text())
    ]

    assert len(checks) == 3
    assert phones.is_e164(number) is is_one
    assert all(bool(re.fullmatch(check, number)) is is_one for check in checks)
