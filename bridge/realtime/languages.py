"""The languages that OpenAI transcribes when it is told which one is spoken.

The server refuses any other language, and with it the whole `session.update`. Without a
language it finds out itself which one is spoken. Pure data by ISO 639-1.
"""

# As the refusal of another language lists them.
_CODES = (
    "af ar az be bg bs ca cs cy da de el en es et fa fi fr gl he hi hr hu hy id is it "
    "ja kk kn ko lt lv mi mk mr ms ne nl no pl pt ro ru sk sl sr sv sw ta th tl tr uk "
    "ur vi zh"
)
TRANSCRIBED = frozenset(_CODES.split())
# Written Norwegian, and codes that ISO 639 has withdrawn.
_ALIASES = {"nb": "no", "nn": "no", "in": "id", "iw": "he", "sh": "sr"}


def transcribed(language: str) -> str | None:
    """Return the language as OpenAI may be told it; None if it must find out itself."""
    language = _ALIASES.get(language, language)
    return language if language in TRANSCRIBED else None
