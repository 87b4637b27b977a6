"""The compiled audio kernels: mu-law, filters, features, and the noise gate.

Owns the noise gate and its networks, with their weights; G.711 and its gain tables; and
resampling. `NoiseGate.analyze` measures a frame and does not change it. The package
does not know calls: it takes one frame and returns one small decision.
May use: no other package of the repository.
"""
