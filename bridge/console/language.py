"""The languages of the pages, and the translation of their words.

`_` and `ngettext` translate into the language of the running request. Each page has a
catalogue of its own, `locale/LANGUAGE/PAGE.po`; all catalogues of a language are one.
A message without a translation is shown in English.
"""

from contextvars import ContextVar
from gettext import c2py
from pathlib import Path
from typing import Any

from babel.messages.pofile import read_po

FOLDER = Path(__file__).parent / "locale"
# Each as its own speakers write it.
LANGUAGES = {"en": "English", "he": "עברית", "ar": "العربية"}
DEFAULT = "en"
_RIGHT_TO_LEFT = frozenset(("he", "ar"))
_current: ContextVar[str] = ContextVar("language", default=DEFAULT)


class Catalogue:
    """The translations into one language."""

    def __init__(self, folder: Path) -> None:
        self.messages: dict[str, str] = {}
        self.plurals: dict[str, tuple[str, ...]] = {}
        self._form_of: Any = c2py("n != 1")
        for path in sorted(folder.glob("*.po")):
            self._read(path)

    def _read(self, path: Path) -> None:
        with path.open("rb") as file:
            found = read_po(file, locale=path.parent.name)
        self._form_of = c2py(found.plural_expr)
        for message in found:
            if not message.id or message.fuzzy:
                continue
            if isinstance(message.id, tuple):
                forms = tuple(message.string or ())
                if all(forms):
                    self.plurals[message.id[0]] = forms
            elif message.string:
                self.messages[str(message.id)] = str(message.string)

    def plural(self, one: str, many: str, number: int) -> str:
        """Return the form of a message for a number."""
        forms = self.plurals.get(one)
        if forms is None:
            return one if number == 1 else many
        form: int = self._form_of(number)
        return forms[min(form, len(forms) - 1)]


_catalogues = {name: Catalogue(FOLDER / name) for name in LANGUAGES}


def gettext(message: str) -> str:
    """Return a message in the language of the request."""
    return _catalogues[_current.get()].messages.get(message, message)


def ngettext(one: str, many: str, number: int) -> str:
    """Return the form of a message for a number, in the language of the request."""
    return _catalogues[_current.get()].plural(one, many, number)


def N_(message: str) -> str:
    """Mark a message that is translated where it is shown."""
    return message


def use(name: str) -> None:
    """Set the language of the running request."""
    _current.set(name)


def current() -> str:
    """Return the language of the running request."""
    return _current.get()


def direction() -> str:
    """Return in which direction the language of the request is written."""
    return "rtl" if _current.get() in _RIGHT_TO_LEFT else "ltr"


def accepted(header: str) -> str:
    """Return the first language of an Accept-Language header that the pages have."""
    for part in header.split(",")[:20]:
        name = part.partition(";")[0].strip().lower()[:2]
        # What browsers called Hebrew before 1989.
        name = "he" if name == "iw" else name
        if name in LANGUAGES:
            return name
    return DEFAULT
