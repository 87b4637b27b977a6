"""The languages of e-mails: those of the console's pages."""

LANGUAGES = ("en", "he", "ar")


def language_of(code: str) -> str:
    """Return the language of e-mails to a business: English where there is no other."""
    return code if code in LANGUAGES else "en"
