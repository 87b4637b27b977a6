"""Training material of the score beyond the evaluation's own.

The evaluator's `sources.py` brings recorded voices, music and noises from Debian
packages. This module adds packages with more music, knocks and beats, and voices
synthesised by flite, festival and espeak-ng, so that the score hears more kinds of
voice than were recorded. It installs only the synthesisers. No recording is committed.
"""

import copy
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# package -> (what is used, licence by its debian/copyright)
PACKAGES = {
    "sonic-pi-samples": ("drums, knocks, loops, ambience", "CC0-1.0"),
    "hydrogen-drumkits": ("single beats, used as knocks", "GPL-2+ / CC-BY-SA"),
    "wesnoth-1.16-music": ("orchestral music", "GPL-2+ / CC-BY-SA-4.0"),
    "supertux-data": ("music, effects", "GPL-3+ / CC-BY-SA"),
    "widelands-data": ("music, animals, tools", "GPL-2+"),
    "freedroidrpg-data": ("robot voices (babble only), music", "GPL-2+"),
    "megaglest-data": ("game voices (babble only), knocks", "CC-BY-SA-3.0"),
}

# Recorded voices of the evaluator's packages that are not in its split.
_PROMPTS = "usr/share/asterisk/sounds/*"
VOICES = {
    "fr-june": ("asterisk-core-sounds-fr-wav", _PROMPTS, 420),
    "es-co": ("asterisk-prompt-es-co", _PROMPTS, 420),
    "fr-armelle": ("asterisk-prompt-fr-armelle", _PROMPTS, 420),
    "cs-v": ("fillets-ng-data-cs", "*/cs/*-v-*.ogg", 420),
    "nl-m": ("fillets-ng-data-nl", "*/nl/*-m-*.ogg", 420),
    "pocketsphinx": ("pocketsphinx-testdata", "*.wav", 200),
}
LETTERS = ("ar", "en_GB", "fr", "he", "hu", "it", "ml", "nb", "pt_BR", "tn")
WORDS = (
    "ca",
    "el",
    "fi",
    "fr",
    "ga",
    "gl",
    "it",
    "nn",
    "pt",
    "ro",
    "sl",
    "sr",
    "sv",
    "wa",
)
NOT_SPEECH = ("*silence*", "*beep*", "*tone*")

MUSIC = [
    ("asterisk-moh-opsound-wav", "*manolo*.wav"),
    ("asterisk-moh-opsound-wav", "*reno*.wav"),
    ("hedgewars-data", "*Data/Music/[N-Z]*.ogg"),
    ("wesnoth-1.16-music", "*music/*.ogg"),
    ("supertux-data", "*music/*/*.ogg"),
    ("widelands-data", "*sound/music/*.ogg"),
    ("widelands-data", "*data/music/*.ogg"),
    ("freedroidrpg-data", "*sound/music/*.ogg"),
    ("sonic-pi-samples", "*samples/loop_*.flac"),
]
NOISE = {
    "street": ("TraficHigh2", "TraficLow2", "RailTrain2", "DirtTrack2", "Water[1-5]"),
    "fan": ("PowerCoalMed", "IndustryHigh2", "IndustryLight2", "Mill[23]", "OreMine*"),
    "crowd": ("MarketMed1", "SportsCroud2", "Shanty2"),
}
BUMPS = [
    ("bucklespring-data", "*/[4-9a-f]*.wav"),
    ("minetest-data", "*wood_footstep*.ogg"),
    ("minetest-data", "*dug*.ogg"),
    ("sonic-pi-samples", "*samples/drum_*.flac"),
    ("sonic-pi-samples", "*samples/elec_*.flac"),
    ("sonic-pi-samples", "*samples/perc_*.flac"),
    ("sonic-pi-samples", "*samples/tabla_*.flac"),
    ("hydrogen-drumkits", "*Gimme A Hand*/*.flac"),
    ("hydrogen-drumkits", "*rumpf_kit*/*.flac"),
    ("widelands-data", "*sound/woodcutting/*.ogg"),
    ("widelands-data", "*sound/smiths/*.ogg"),
]

SENTENCES = (
    "Hello, I would like to make an appointment for next week, please.",
    "Could you tell me when you are open on Friday?",
    "Yes.",
    "No, thank you.",
    "Uh, let me think. Maybe Tuesday at half past four.",
    "My name is Sharon, and my number is zero five four, two two one, nine eight.",
    "I am calling about the invoice that I received yesterday.",
    "Wait, stop. That is not what I meant.",
    "Okay.",
    "One, two, three, four, five, six, seven, eight, nine, zero.",
    "How much does the whole treatment cost, and how long does it take?",
    "Perhaps. I have to ask my husband first, he has the car that day.",
    "Is there anything earlier? I could come in the morning too.",
    "Great, see you then. Bye bye.",
    "Please repeat that more slowly, the line is bad.",
    "We live near the old station, on the second floor.",
)
# A synthesiser reads numerals in the words of its language.
NUMERALS = (
    "1, 2, 3, 4, 5",
    "17 24 2026",
    "054 221 98 76",
    "8. 9. 10. 11. 12.",
    "3",
    "7 6",
    "1948, 365, 60, 24",
    "100, 200, 1000, 41, 42",
    "15:30 6:45",
    "90 80 70 13 14 15",
)

FLITE = ("awb", "rms", "slt", "kal16")
FESTIVAL = {
    "kal_diphone": SENTENCES,
    "ked_diphone": SENTENCES,
    "cmu_us_slt_arctic_hts": SENTENCES,
    "lp_diphone": ("Buongiorno, vorrei un appuntamento.", "Sì.", "No, grazie mille."),
    "pc_diphone": ("Buonasera, quanto costa la visita?", "Sì.", "Forse domani."),
    "hy_fi_mv_diphone": ("Hyvää päivää, haluaisin ajan.", "Kyllä.", "Ei kiitos."),
    "suo_fi_lj_diphone": ("Mitä se maksaa, ja milloin?", "Joo.", "Ehkä huomenna."),
    "czech_dita": ("Chtela bych se objednat na zitra.", "Ano.", "Ne, dekuji."),
    "czech_krb": ("Dobry den, kdy mate otevreno?", "Ano.", "Nevim, snad v patek."),
    "czech_machac": ("Volam kvuli te fakture.", "Ano.", "Ne, to nechci."),
    "czech_ph": ("Muzete to zopakovat pomaleji?", "Ano.", "Dobre, na shledanou."),
    "upc_ca_ona_hts": ("Bon dia, voldria demanar hora.", "Si.", "No, gracies."),
}
ESPEAK = (
    "en-us+m3",
    "en-gb+f2",
    "en+klatt3",
    "de+m1",
    "de+f3",
    "fr+m4",
    "fr+f1",
    "es+m7",
    "es+f4",
    "pt+m2",
    "it+f5",
    "ru+m6",
    "ru+f2",
    "uk+m5",
    "pl+f3",
    "he+m2",
    "he+f1",
    "he+klatt2",
    "ar+m1",
    "ar+f4",
    "tr+m3",
    "el+f2",
    "nl+m4",
    "sv+f5",
    "da+m6",
    "hi+m7",
    "zh+f3",
    "ja+m2",
    "ko+f1",
    "hu+m5",
    "ro+f4",
    "fi+klatt4",
    "vi+f2",
    "id+m3",
    "sw+m1",
    "fa+f3",
)
SPEEDS = (150, 175, 205)  # espeak-ng speeds, words a minute


def fetch(cache: Path) -> None:
    """Download and unpack the packages of `PACKAGES` into `cache`."""
    (cache / "deb").mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        target = cache / "x" / package
        if target.is_dir():
            continue
        print(f"fetching {package}", flush=True)
        folder = cache / "deb"
        subprocess.run(["apt-get", "download", package], cwd=folder, check=True)
        found = next(folder.glob(f"{package}_*.deb"))
        target.mkdir(parents=True)
        subprocess.run(["dpkg-deb", "-x", str(found), str(target)], check=True)


def synthesise(cache: Path) -> list[str]:
    """Speak the sentences with every voice into `cache`; return the voices' names."""
    voices = []
    for name, lines in _voices():
        folder = cache / "x" / "synthesised" / name
        folder.mkdir(parents=True, exist_ok=True)
        for at, (command, text) in enumerate(lines):
            file = folder / f"{at:02}.wav"
            if not file.exists():
                _speak([part.replace("FILE", str(file)) for part in command], text)
        voices.append(name)
    return voices


def _voices() -> Iterator[tuple[str, list[tuple[list[str], str]]]]:
    for voice in FLITE:
        lines = [(["flite", "-voice", voice, "-o", "FILE"], s) for s in SENTENCES]
        yield f"flite-{voice}", [(c, s) for c, s in lines]
    for voice, sentences in FESTIVAL.items():
        command = ["text2wave", "-eval", f"(voice_{voice})", "-o", "FILE"]
        yield f"festival-{voice}", [(command, s) for s in sentences]
    for at, voice in enumerate(ESPEAK):
        speed = SPEEDS[at % len(SPEEDS)]
        pitch = 30 + 13 * at % 50
        command = ["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch)]
        command += ["-w", "FILE"]
        lines = SENTENCES if voice.startswith("en") else NUMERALS
        yield f"espeak-{voice}", [(command, s) for s in lines]


def _speak(command: list[str], text: str) -> None:
    if command[0] == "flite":
        subprocess.run([*command, "-t", text], check=False, capture_output=True)
    elif command[0] == "espeak-ng":
        subprocess.run([*command, text], check=False, capture_output=True)
    else:
        subprocess.run(
            command, input=text.encode("latin-1"), check=False, capture_output=True
        )


def training_split(dev: dict[str, Any], voices: list[str]) -> dict[str, Any]:
    """Return the evaluator's split with the additions of this module."""
    split = copy.deepcopy(dev)
    split["name"] = "training"
    for voice in voices:
        split["speakers"][voice] = {
            "files": [("synthesised", f"{voice}/*.wav")],
            "role": ["near", "babble"],
            "max_s": 120,
        }
    split["speakers"]["freedroid"] = {
        "files": [("freedroidrpg-data", "*voice_samples/*.ogg")],
        "role": ["babble"],
        "max_s": 60,
    }
    split["speakers"]["megaglest"] = {
        "files": [("megaglest-data", "*units/*/sounds/*.wav")],
        "role": ["babble"],
        "max_s": 90,
    }
    for voice, (package, pattern, seconds) in VOICES.items():
        split["speakers"][voice] = _speaker(package, pattern, seconds)
    for name in LETTERS:
        pattern = f"usr/share/klettres/{name}/*"
        split["speakers"][f"klettres-{name}"] = _speaker("klettres-data", pattern, 90)
    for name in WORDS:
        pattern = f"usr/share/ktuberling/sounds/{name}/*"
        split["speakers"][f"ktub-{name}"] = _speaker("ktuberling-data", pattern, 90)
    for kind, files in NOISE.items():
        found = [("lincity-ng-data", f"*sounds/{name}.wav") for name in files]
        split["noise"][kind] += found
    split["music"] += MUSIC
    split["noise"]["bump"] += BUMPS
    return split


def _speaker(package: str, pattern: str, seconds: int) -> dict[str, Any]:
    return {
        "files": [(package, pattern)],
        "role": ["near", "babble"],
        "max_s": seconds,
        "exclude": NOT_SPEECH,
    }
