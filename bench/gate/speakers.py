"""Everybody who speaks in the material: recorded, or synthesised, by rules or a net."""

from bench.gate import neural, synthesis
from bench.gate.packages import VOICES

EVERYBODY = (*VOICES, *synthesis.SPOKEN, *neural.SPEAKERS)
BY_RULES = frozenset(voice.name for voice in synthesis.SPOKEN)
BY_NET = frozenset(voice.name for voice in neural.SPEAKERS)
