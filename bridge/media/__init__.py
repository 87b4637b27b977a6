"""The audio of one call: what the model was given and what the caller has heard.

Owns the uplink (gate, preroll, withheld speech, silence inside a turn), the playout
ledger (what was sent, what was heard), the compiled fast path of a usual frame, and the
record of untranscribed audio. Uses no clock, socket or log: time is an argument.
May use: `settings` for a call's options, and the kernels of `dsp`.
"""
