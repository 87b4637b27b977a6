"""Names however they are typed: kept alike, found alike, and on one line."""

# ruff: noqa: RUF001  (look-alikes are what is tested)

import unicodedata

import pytest

from crm.names import may_be_one, same_name_key, tidy, unwritable, writable

RLM, ZWNJ, ZWJ, NBSP, BOM = "\u200f", "\u200c", "\u200d", "\u00a0", "\ufeff"


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("Dana", "Dana"),
        ("  Dana   Salon ", "Dana Salon"),
        (f"Dana{NBSP}Salon", "Dana Salon"),
        (f"{BOM}Dana", "Dana"),
        ("Da\u00adna", "Dana"),
        ("\u2067מספרה\u2069", "מספרה"),
        (f"מספרת דנה{RLM}", f"מספרת דנה{RLM}"),
        (f"می{ZWNJ}خواهم", f"می{ZWNJ}خواهم"),
        (f"Salon 👩{ZWJ}🦰", f"Salon 👩{ZWJ}🦰"),
        (unicodedata.normalize("NFD", "Café"), "Café"),
    ],
)
def test_a_name_is_kept_composed_and_without_what_nobody_sees(typed, kept):
    assert tidy(typed) == kept
    assert tidy(kept) == kept


@pytest.mark.parametrize(
    "typed", ["", "  ", "a\nb", "a\tb", "a\x1bb", "a\u2028b", "\ud800", RLM, "\u0301"]
)
def test_what_is_no_name_on_one_line_is_refused(typed):
    with pytest.raises(ValueError, match="expected a name on one line"):
        tidy(typed)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Women\u2019s cut", "women's CUT"),
        ("Women\u02bcs cut", "Women`s cut"),
        ("Women\u00b4s cut", "Women's cut"),
        ("Café", unicodedata.normalize("NFD", "CAFÉ")),
        ("ג׳ל", "ג'ל"),
        ("ד״ר כהן", 'ד"ר כהן'),
        ("ד״ר כהן", "ד''ר כהן"),
        ("Color  full", f" color{NBSP}FULL"),
        (f"דנה{RLM}", "דנה"),
        ("Blow\u2013dry", "blow-dry"),
        ("Straße", "STRASSE"),
        ("ＣＵＴ", "cut"),
        ("בית־ספר", "בית-ספר"),
    ],
)
def test_one_name_typed_in_two_ways_is_one_name(one, other):
    assert same_name_key(one) == same_name_key(other)


@pytest.mark.parametrize(
    ("one", "other"), [("Cut", "Cute"), ("Color full", "Colorful"), ("Café", "Cafe")]
)
def test_two_names_are_two(one, other):
    assert same_name_key(one) != same_name_key(other)


@pytest.mark.parametrize("char", ["\0", "\x08", "\x1b", "\x7f", "\x9b", "\ufffe"])
def test_what_no_document_can_hold_is_found(char):
    assert unwritable(f"Hello{char}") == char
    assert writable(f"Hello{char}!") == "Hello!"


def test_what_a_document_can_hold_stands():
    text = "שלום,\n\tDana's \U0001f487\u200d\u2642\ufe0f\r\n"

    assert unwritable(text) is None
    assert writable(text) == text


@pytest.mark.parametrize(
    ("name", "other", "is_one"),
    [
        ("Dana Levi", "levi  DANA", True),
        ("Dana", "Dana Levi", True),
        (None, "Dana", True),
        ("Dana", "", True),
        ("Dana Levi", "Tom Levi", False),
        ("Dana", "Danah", False),
    ],
)
def test_two_names_may_be_ones_if_one_says_a_part_of_the_other(name, other, is_one):
    assert may_be_one(name, other) is may_be_one(other, name) is is_one
