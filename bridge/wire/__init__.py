"""The parts that both vendors' protocols share: audio payloads and lenient reading.

Owns base64 coding of a frame's audio (compiled), and the field-by-field reading of a
message that the strict decoders refuse. Knows no vendor, call or socket.
May use: `dsp`, for what a frame is.
"""
