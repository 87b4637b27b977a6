"""Every word of every page stands in Hebrew and in Arabic, too."""

from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir

from bridge.console import language
from bridge.console.language import FOLDER, LANGUAGES, Catalogue

CONSOLE = Path(language.__file__).parent
METHODS = [("**.py", "python"), ("**.html", "jinja2.ext.babel_extract")]
OPTIONS = {"**.html": {"trimmed": "false", "silent": "false"}}
KEYWORDS = {"_": None, "N_": None, "gettext": None, "ngettext": (1, 2)}


def messages():
    """Return every message of the pages, and where it stands."""
    found = {}
    for name, line, message, _, _ in extract_from_dir(
        str(CONSOLE), METHODS, OPTIONS, KEYWORDS
    ):
        found.setdefault(message, f"{name}:{line}")
    return found


@pytest.mark.parametrize("name", sorted(set(LANGUAGES) - {"en"}))
def test_every_message_is_translated(name):
    catalogue = Catalogue(FOLDER / name)
    found = messages()
    missing = [
        f"{place}: {message}"
        for message, place in found.items()
        if (message[0] if isinstance(message, tuple) else message)
        not in catalogue.messages.keys() | catalogue.plurals.keys()
    ]

    assert len(found) > 50
    assert not missing, "\n".join(missing)


@pytest.mark.parametrize("name", sorted(set(LANGUAGES) - {"en"}))
def test_translations_keep_what_is_filled_in(name):
    catalogue = Catalogue(FOLDER / name)
    pairs = [*catalogue.messages.items()]
    pairs += [(one, form) for one, forms in catalogue.plurals.items() for form in forms]
    for message, translation in pairs:
        for part in ("%(num)d", "%(least)d", "%(most)d", "%(name)s"):
            # One and two are words in Hebrew and Arabic.
            if message in catalogue.plurals and part == "%(num)d":
                continue
            assert (part in message) == (part in translation), message


def test_a_number_takes_its_form():
    catalogue = Catalogue(FOLDER / "ar")
    one = "%(num)d call failed in the last seven days."
    forms = {catalogue.plural(one, one, number) for number in (0, 1, 2, 5, 11, 100)}

    assert len(forms) == 6
