"""What a caller's number is worth."""

import pytest

from bridge.agent.identity import NOBODY, Worth, caller_of

NUMBER = "+12025550123"


@pytest.mark.parametrize(
    "digits", ["266696687", "7378742833", "2562533", "8656696", "86282452253"]
)
@pytest.mark.parametrize(
    "form",
    ["+{}", "{}", "sip:{}@x", "sip:+{}@x;y=z", "tel:+{}", "whatsapp:+{}", " +{} "],
)
@pytest.mark.parametrize("country", ["US", "IL", "PT"])
def test_digits_that_spell_a_withheld_number_are_nobodys(digits, form, country):
    assert caller_of(form.format(digits), country) == NOBODY


@pytest.mark.parametrize(
    "sent",
    [
        "",
        "anonymous",
        "Restricted",
        "unknown",
        "unavailable",
        "private",
        "sip:anonymous@anonymous.invalid",
        "client:alice",
        "client:12025550123",
        "12345",
        "+12345",
        "911",
        "+15550100",
        "+10000000000",
        "9999999999",
    ],
)
def test_names_short_codes_and_impossible_numbers_are_worth_nothing(sent):
    caller = caller_of(sent, "US", "attested", "TN-Validation-Passed-A")

    assert caller == NOBODY
    assert (caller.worth, caller.own_phone) == (Worth.NONE, None)


@pytest.mark.parametrize(
    ("trust", "stir_verstat", "worth"),
    [
        ("number", "", Worth.VERIFIED),
        ("number", "TN-Validation-Failed-C", Worth.VERIFIED),
        ("attested", "TN-Validation-Passed-A", Worth.VERIFIED),
        ("attested", "TN-Validation-Passed-B", Worth.UNVERIFIED),
        ("attested", "TN-Validation-Passed-C", Worth.UNVERIFIED),
        ("attested", "TN-Validation-Failed-A", Worth.UNVERIFIED),
        ("attested", "No-TN-Validation", Worth.UNVERIFIED),
        ("attested", "tn-validation-passed-a", Worth.UNVERIFIED),
        ("attested", "", Worth.UNVERIFIED),
    ],
)
def test_a_number_is_proof_where_the_business_trusts_it_or_it_is_fully_attested(
    trust, stir_verstat, worth
):
    caller = caller_of(NUMBER, "US", trust, stir_verstat)

    assert caller == (NUMBER, worth)
    assert caller.own_phone == (NUMBER if worth is Worth.VERIFIED else None)


@pytest.mark.parametrize("sent", [NUMBER, "sip:+12025550123@pbx", "202-555-0123"])
def test_a_number_of_the_business_itself_is_nobodys(sent):
    own = (NUMBER, "+12025550199")

    assert caller_of(sent, "US", own_numbers=own) == NOBODY
    assert caller_of("+12025550124", "US", own_numbers=own).own_phone == "+12025550124"
