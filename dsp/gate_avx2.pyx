"""The text of `gate.pyx`, compiled for processors with AVX2."""

include "gate.pyx"
