"""Telephone numbers as people say them, as networks send them, and in E.164.

A number is accepted if its numbering plan can hold it: its length and leading digits
are right. Whether the number is assigned is not checked: plans grow faster than any
list of them, and a caller from a new area code is a real caller.
"""

import re
from functools import lru_cache
from urllib.parse import unquote

import phonenumbers
from phonenumbers import (
    PhoneMetadata,
    PhoneNumber,
    PhoneNumberType,
    ValidationResult,
)

# The countries whose national numbers can be read, as ISO 3166 names them.
COUNTRIES = frozenset(phonenumbers.SUPPORTED_REGIONS)
# The database checks the same (crm/migrations).
_E164 = re.compile(r"\+[1-9][0-9]{6,14}")
# A URI's scheme before a number, as Twilio sends it in To and From.
_SCHEME = re.compile(r"^(?:sips?|tel|whatsapp):", re.IGNORECASE)
# Separators that people put between digits, and invisible marks.
_BETWEEN = re.compile(
    r"[\s().\-\u00ad\u2010-\u2015\u200b-\u200f\u202a-\u202e\u2066-\u2069]"
)
# Mexico's mobile prefix from abroad, gone since August 2019; people still say it.
_MEXICO, _MEXICO_OLD = 52, re.compile(r"1(\d{10})")
# Numbers of one line that differ, as (form, other form). They are matched, and never
# made of one another to call or to write to.
# Since 2016 all of Brazil's mobiles have a 9 before their eight digits. The network has
# it, and many WhatsApp ids outside of area codes 11 to 28 have not
# (waha.devlike.pro/docs/apps/brazilian-phone-numbers, support.gupshup.io/hc/en-us/
# articles/4407840924953). Eight digits that begin with 2 to 5 are a fixed line; with 7,
# libphonenumber knows whole numbers.
# Argentina's mobiles have a 9 after +54 at WhatsApp and in calls from abroad, and no 9
# in calls and SMS from some networks. The ten digits after it are one number space:
# from a mobile they are dialled alone, whether a mobile or a fixed line has them
# (en.wikipedia.org/wiki/Telephone_numbers_in_Argentina, "Mobile phone numbers").
_OTHER_FORMS = tuple(
    (re.compile(form), other)
    for form, other in (
        (r"\+55([1-9][1-9])9([689]\d{7})", r"+55\1\2"),
        (r"\+55([1-9][1-9])([689]\d{7})", r"+55\g<1>9\2"),
        (r"\+549([1-3]\d{9})", r"+54\1"),
        (r"\+54([1-3]\d{9})", r"+549\1"),
    )
)
EXAMPLE = "+12025550123"


class PhoneError(ValueError):
    """A value is no telephone number; the text begins with the field's name."""


def is_e164(number: str) -> bool:
    """Tell whether a number has the form of E.164; its plan is not checked."""
    return _E164.fullmatch(number) is not None


def to_e164(number: str, country: str) -> str:
    """Return a number as E.164; a national one is of `country` (ISO 3166, as IL)."""
    found = read(number, country)
    if found is None:
        raise PhoneError(
            f"phone: expected an international number such as {EXAMPLE} or a whole "
            f"national one of {country}, area code and all, got {len(number)} "
            "characters of another form"
        )
    return found


def check(number: str, field: str = "phone") -> str:
    """Return the number if it is E.164 already and its plan can hold it."""
    if not is_e164(number) or read(number, "ZZ") != number:
        raise PhoneError(
            f"{field}: expected an international number such as {EXAMPLE}, country "
            f"code, area code and all its digits, got {len(number)} characters of "
            "another form"
        )
    return number


def read(number: str, country: str) -> str | None:
    """Return a number as E.164, as `to_e164` does, or None if it is no number."""
    text = number.strip()
    if text.startswith("00"):
        text = "+" + text[2:].lstrip()
    try:
        parsed = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    if parsed.country_code == _MEXICO:
        old = _MEXICO_OLD.fullmatch(str(parsed.national_number))
        if old:
            parsed.national_number = int(old[1])
    if not _is_held(parsed):
        return None
    found = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return found if is_e164(found) else None


def forms(number: str) -> tuple[str, ...]:
    """Return a number in E.164 and, after it, its line's other one, if it may have one:
    who matches numbers looks for both."""
    for form, other in _OTHER_FORMS:
        if found := form.fullmatch(number):
            return number, found.expand(other)
    return (number,)


def plain(address: str) -> str:
    """Return the number in a To or From as it was sent, without what is around it.

    `sip:+12025550123@host;region=us1`, `whatsapp:+12025550123` and `+1 202-555-0123`
    give +12025550123; digits without a plus stay without it. Text that is no number,
    such as a name, gives "".
    """
    text = _SCHEME.sub("", address.strip(), count=1)
    text = unquote(text.partition("@")[0].partition(";")[0])
    text = _BETWEEN.sub("", text)
    if text.startswith("00"):
        text = "+" + text[2:]
    digits = text.removeprefix("+")
    return text if digits.isascii() and digits.isdecimal() else ""


def dialled(address: str) -> str:
    """Return the number in a To in the form in which numbers are stored.

    Only the form is read: a business's number is found whatever its plan says.
    """
    number = plain(address)
    return f"+{number.lstrip('+')}" if number else ""


def sent(address: str, country: str) -> str | None:
    """Return the number in a From as E.164, or None if it is no number.

    Without a plus, the number is a national number of `country` if that is assigned or
    begins with a trunk prefix, as 050…; else it begins with its country code, as 1202….
    """
    number = plain(address)
    if number.startswith("+"):
        return read(number, "ZZ")
    national = read(number, country)
    if national is not None and (
        number.startswith("0")
        or phonenumbers.is_valid_number(phonenumbers.parse(national))
    ):
        return national
    return read(f"+{number}", "ZZ") or national


def _is_held(number: PhoneNumber) -> bool:
    """Tell whether the numbering plan can hold a number.

    `is_possible_number` checks the length alone and accepts numbers that are valid only
    within an area. `is_valid_number` refuses every range that was unassigned when its
    list was made, +972 50 1 among them. A number of such a range is accepted if it is
    as long as the fixed lines and mobiles of its plan, and begins as the plan's numbers
    do.
    """
    # For most numbers the first test passes at the plan's first country.
    return _is_like_a_line(number) or phonenumbers.is_valid_number(number)


def _is_like_a_line(number: PhoneNumber) -> bool:
    if not any(
        phonenumbers.is_possible_number_for_type_with_reason(number, kind)
        == ValidationResult.IS_POSSIBLE
        for kind in (PhoneNumberType.FIXED_LINE, PhoneNumberType.MOBILE)
    ):
        return False
    national = phonenumbers.national_significant_number(number)
    if len(set(national)) == 1:
        # A placeholder that people and switches use for no number: 999 999 9999.
        return False
    code = number.country_code or 0
    return any(
        re.fullmatch(_plan(code, region), national)
        for region in phonenumbers.region_codes_for_country_code(code)
    )


@lru_cache(maxsize=512)
def _plan(code: int, region: str) -> str:
    """Return the pattern of all numbers of a region, assigned or not."""
    plan = PhoneMetadata.metadata_for_region_or_calling_code(code, region)
    if plan is None or plan.general_desc is None:
        return "(?!)"
    return plan.general_desc.national_number_pattern or "(?!)"
