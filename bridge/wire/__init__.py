"""What all protocols share: audio payloads, lenient reading, bodies within a limit.

Owns base64 coding of a frame's audio (compiled), the field-by-field reading of a
message that the strict decoders refuse, the reading of an HTTP body to its end, and
whose request it is.
Knows no vendor, call or socket.
May use: `dsp`, for what a frame is.
"""
