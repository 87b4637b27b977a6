"""The parts that both vendors' wires share: audio payloads and lenient reading.

Owns base64 at the edge of a frame (compiled), and the field-by-field reading of a
message that the strict decoders refuse. Refuses to know a vendor, a call or a socket.
May use: no other package of the bridge; `dsp` for what a frame is.
"""
