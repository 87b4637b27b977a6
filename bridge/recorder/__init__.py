"""The flight recorder: keeps the input of a call, so that it can be replayed.

Owns the recording's file format, the ring of each running call, replay through the same
state machine, and the explanations of its decisions. Refuses what is beyond its limits
and counts it; masks phone numbers and secrets. Nothing on the audio path waits for it.
May use: `call`, `realtime`, `telephony`, `telemetry` and `dsp`.
"""
