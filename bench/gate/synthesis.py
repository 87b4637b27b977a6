"""Voices synthesised by flite, festival and espeak-ng.

A synthesiser's voice belongs to one part of the split, and so does a variant of
espeak-ng in every language. A child speaks high and fast, an old person low and slow.
What they say stands in `sentences.txt`; numerals are read in the voice's language.
"""

import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from bench.gate.packages import Voice

SENTENCES = Path(__file__).with_name("sentences.txt")
FOLDER = "synthesised"  # in the cache, beside the packages
TRIES = 20

FLITE = {"train": "slt kal16", "dev": "rms", "test": "awb"}
# Of one reader: flite's slt and kal16, festival's slt and kal.
FESTIVAL = {
    "train": "kal_diphone:en ked_diphone:en cmu_us_slt_arctic_hts:en lp_diphone:it "
    "hy_fi_mv_diphone:fi czech_dita:cs czech_machac:cs upc_ca_ona_hts:ca",
    "dev": "czech_krb:cs pc_diphone:it",
    "test": "czech_ph:cs suo_fi_lj_diphone:fi",
}
ENCODINGS = {"cs": "iso8859-2"}
SPEAKS_AS_AI = ("flite-slt", "flite-rms", "flite-awb", "festival-pc_diphone")

# language+variant:pitch:words a minute
ESPEAK = {
    "train": """
        en-us+m3:45:175 en-gb+f2:55:160 en+klatt3:40:190 en-us+f5:92:165
        en-gb+m8:15:115 en-us+whisper:50:160 de+m1:35:175 de+f3:60:150 de+f5:95:170
        de+m8:12:120 fr+m4:45:205 fr+f1:60:175 es+m7:50:190 es+f4:55:205 pt+m2:30:175
        it+f5:70:170 ru+m6:40:175 ru+f2:50:150 ru+whisper:45:150 uk+m5:55:205
        pl+f3:65:175 he+m2:40:150 he+f1:60:175 he+klatt2:45:190 he+f4:95:165
        he+m8:12:115 he+whisper:50:150 he+m6:35:205 he+f3:70:140 he+Michael:50:170
        he+belinda:60:160 ar+m1:45:150 ar+f4:65:175 ar+whisper:55:165 tr+m3:50:205
        el+f2:60:175 nl+m4:40:150 sv+f5:70:175 da+m6:50:190 hi+m7:45:150 cmn+f3:55:175
        cmn+linda:60:160 ja+m2:45:175 ko+f1:65:150 hu+m5:40:175 ro+f4:60:205
        fi+klatt4:45:150 vi+f2:55:175 id+m3:50:190 sw+m1:35:150 fa+f3:60:175
        cs+benjamin:45:170 nb+aunty:60:165 bg+max:40:160 hr+victor:35:185
        sk+zac:50:175 lt+klatt5:45:165 lv+m7:55:180 ca+f2:60:160 et+klatt:40:170
        fr+f5:96:170 es+m8:10:110 it+whisper:50:160
    """,
    "dev": """
        en-us+Alicia:60:170 en-gb+robert:20:120 de+Denis:45:180 fr+Alicia:55:165
        ru+Lee:45:170 he+Lee:50:160 he+shelby:94:165 he+iven:30:130 he+Alicia:60:185
        es+pablo:40:190 ar+Jacky:45:160 pl+shelby:60:175 tr+iven:45:185
        el+pablo:50:160 nl+Denis:35:150 hi+Lee:55:175 hu+Alicia:65:170
        cmn+Jacky:50:165 fa+robert:40:170
    """,
    "test": """
        en-us+Andrea:55:175 en-gb+steph:94:165 de+Gene:40:170 fr+Henrique:45:190
        he+Andrea:60:165 he+Gene:40:150 he+Hugo:15:115 he+whisperf:50:160
        he+steph:93:170 es+Andrea:50:185 ru+kaukovalta:45:165 uk+anika:60:175
        ar+Gene:50:170 pt+ed:40:180 sv+anika:55:160 ko+Henrique:45:170
        ro+Andrea:60:175 vi+Hugo:45:165 fi+ed:50:175 en-gb+whisperf:50:165
    """,
}
LANGUAGES = {"cmn": "zh", "en-us": "en", "en-gb": "en"}


class Spoken(NamedTuple):
    """A synthesised voice and the command that speaks a text into FILE."""

    name: str
    language: str
    split: str
    command: tuple[str, ...]


def spoken() -> Iterator[Spoken]:
    """Yield every synthesised voice."""
    for split, names in FLITE.items():
        for name in names.split():
            command = ("flite", "-voice", name, "-o", "FILE", "-t")
            yield Spoken(f"flite-{name}", "en", split, command)
    for split, names in FESTIVAL.items():
        for one in names.split():
            name, language = one.split(":")
            command = ("text2wave", "-eval", f"(voice_{name})", "-o", "FILE")
            yield Spoken(f"festival-{name}", language, split, command)
    for split, names in ESPEAK.items():
        for one in names.split():
            voice, pitch, speed = one.split(":")
            spelt = voice.split("+")[0]
            language = LANGUAGES.get(spelt, spelt)
            command = ("espeak-ng", "-v", voice, "-p", pitch, "-s", speed)
            command += ("-w", "FILE", "--")
            yield Spoken(f"espeak-{voice}", language, split, command)


def _voices() -> Iterator[Voice]:
    for one in spoken():
        ai = ("ai",) if one.name in SPEAKS_AS_AI else ()
        for name, roles, letter in (
            (one.name, ("near", *ai), "s"),
            (f"{one.name}-words", ("words",), "w"),
        ):
            pattern = (f"{one.name}/{letter}*.wav",)
            yield Voice(name, one.language, roles, one.split, FOLDER, pattern)


SPOKEN = tuple(_voices())


def synthesise(
    cache: Path, is_right: Callable[[Path], bool], voices: Iterable[Spoken] = ()
) -> None:
    """Speak the sentences with these voices, or all; keep what the cache has.

    espeak-ng says some sentences in more than one way (1.51, Arabic: one time in five).
    It is asked again until `is_right`.
    """
    said = texts()
    for voice in voices or spoken():
        folder = cache / "x" / FOLDER / voice.name
        folder.mkdir(parents=True, exist_ok=True)
        for suffix, letter in (("", "s"), (" words", "w")):
            lines = said[voice.language + suffix]
            # English says its numbers in sentences; espeak-ng has none in Hebrew.
            if voice.name.startswith("espeak") and voice.language not in ("en", "he"):
                lines = lines + said["numerals" + suffix]
            for at, text in enumerate(lines):
                file = folder / f"{letter}{at:02}.wav"
                tries = 0 if file.exists() else TRIES
                while tries and not (file.exists() and is_right(file)):
                    _speak(voice, text, file)
                    tries -= 1


def _speak(voice: Spoken, text: str, file: Path) -> None:
    command = [str(file) if part == "FILE" else part for part in voice.command]
    if command[0] == "text2wave":
        encoding = ENCODINGS.get(voice.language, "latin-1")
        said, argument = text.encode(encoding, "ignore"), []
    else:
        said, argument = b"", [text]
    subprocess.run([*command, *argument], input=said, check=True, capture_output=True)


def texts() -> dict[str, list[str]]:
    """Return the sentences by language, and the words by "language words"."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in SENTENCES.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            name = line.strip("[]")
            found[name] = []
        elif line and name:
            found[name].append(line)
    return found
