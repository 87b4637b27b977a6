"""The sockets, timer and tool tasks of one call.

Owns both legs of a call from the first byte to the close. `CallDriver` passes each
input to the `Call`, and performs every action before the next input. However a call
ends, both sockets close and the record is passed on once. Decides nothing about the
conversation and knows no other call.
May use: `call`, `media`, `telephony`, `realtime`, `wire`, `agent`, `recorder`,
`telemetry`, `settings` and `dsp`.
"""
