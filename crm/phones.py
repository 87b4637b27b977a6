"""Telephone numbers as people say them, and as the world writes them: E.164."""

import re

import phonenumbers

# The countries whose national numbers can be read, as ISO 3166 names them.
COUNTRIES = frozenset(phonenumbers.SUPPORTED_REGIONS)
E164 = re.compile(r"\+[1-9][0-9]{6,14}")


class PhoneError(ValueError):
    """This is no telephone number; the text begins with the field's name."""


def to_e164(number: str, country: str) -> str:
    """Return a number as E.164; a national one is of `country` (ISO 3166, as IL).

    Only numbers of a possible length are taken. Whether somebody answers, a numbering
    plan cannot say.
    """
    text = number.strip()
    if text.startswith("00"):
        text = "+" + text[2:].lstrip()
    try:
        parsed = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        raise _wrong(number, country) from None
    if not phonenumbers.is_possible_number(parsed):
        raise _wrong(number, country)
    found = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    if not E164.fullmatch(found):
        raise _wrong(number, country)
    return found


def _wrong(number: str, country: str) -> PhoneError:
    return PhoneError(
        "phone: expected an international number such as +15551234567 or a whole "
        f"national one of {country}, got {len(number)} characters of another form"
    )
