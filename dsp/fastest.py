"""The gate as this processor runs it fastest; both builds are of one text."""

from dsp.cpu import has_avx2

if has_avx2():
    from dsp.gate_avx2 import NoiseGate
else:
    from dsp.gate import NoiseGate

__all__ = ["NoiseGate"]
