"""Decides what a caller's number is worth as proof; no other module decides it.

A number that the network sends is a claim. Withheld numbers arrive as the digits of a
word, and anyone with a trunk can forge any number. All code that reads or changes a
business's data on a caller asks for the worth first; no other code looks at the form of
a number. This module does no I/O: the same network data give the same caller.
"""

from collections.abc import Collection
from enum import Enum
from typing import NamedTuple

from crm import phones

# What Twilio sends for a withheld number: the keys of ANONYMOUS, RESTRICTED, BLOCKED,
# UNKNOWN and UNAVAILABLE on a telephone. The words themselves are no numbers.
WITHHELD = frozenset(("266696687", "7378742833", "2562533", "8656696", "86282452253"))
# The caller's carrier knows its customer and that the number is theirs, and the
# signature holds (STIR/SHAKEN, ATIS-1000074 5.2.3, as Twilio's StirVerstat says it). B
# and C are a carrier's word for a customer without the number, and for a gateway.
FULL_ATTESTATION = "TN-Validation-Passed-A"
# What CALLER_TRUST may be.
NUMBER = "number"
ATTESTED = "attested"


class Worth(Enum):
    """How far a number goes as proof of who calls."""

    # No number, or nobody's: nothing is shared with another call.
    NONE = "none"
    # A number that may be forged: nothing known of it is told or changed.
    UNVERIFIED = "unverified"
    # Enough for this business: the caller's own record is told and changed.
    VERIFIED = "verified"


class Caller(NamedTuple):
    """Who calls: a number as E.164, None where it is worth nothing."""

    phone: str | None
    worth: Worth

    @property
    def own_phone(self) -> str | None:
        """The number whose record is the caller's own."""
        return self.phone if self.worth is Worth.VERIFIED else None


NOBODY = Caller(None, Worth.NONE)


def caller_of(
    from_number: str,
    country: str,
    trust: str = NUMBER,
    stir_verstat: str = "",
    *,
    own_numbers: Collection[str] = (),
) -> Caller:
    """Return who calls, by a webhook's `From` and `StirVerstat`.

    `country` is the business's, for numbers sent without a country code; `trust` its
    CALLER_TRUST. Pass "" for an unsigned attestation. `own_numbers` are the business's:
    what a switchboard forwards comes from one of them, whoever calls.
    """
    number = phones.plain(from_number)
    if not number or number.removeprefix("+") in WITHHELD:
        return NOBODY
    phone = phones.sent(number, country)
    if phone is None or phone in own_numbers:
        return NOBODY
    is_proven = trust == NUMBER or stir_verstat == FULL_ATTESTATION
    return Caller(phone, Worth.VERIFIED if is_proven else Worth.UNVERIFIED)


class Standing:
    """Who the caller of one call is, as far as the call has come."""

    __slots__ = ("caller",)

    def __init__(self, caller: Caller) -> None:
        self.caller = caller

    @property
    def own_phone(self) -> str | None:
        """The number whose record is the caller's own, now."""
        return self.caller.own_phone

    def verify(self) -> None:
        """Note that the caller has proven that the number is theirs."""
        if self.caller.phone is not None:
            self.caller = Caller(self.caller.phone, Worth.VERIFIED)
