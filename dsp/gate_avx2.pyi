from dsp.gate import NoiseGate as NoiseGate
