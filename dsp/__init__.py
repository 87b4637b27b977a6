"""The compiled audio kernels: mu-law, filters, features, and the noise gate.

Owns the noise gate and its networks, with their weights; G.711 and its gain tables; and
resampling. `NoiseGate.analyze` measures a frame and leaves it as it is. Knows no call:
one frame comes in, one small decision goes out.
May use: no other package of the repository.
"""
